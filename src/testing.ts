export type { CrashPoint, EntryPlace, PlannedCrash } from './testing/crash-points.ts'
export type { Duration } from './testing/duration.ts'
export type { EffectCall, EffectPlace } from './testing/effect-log.ts'
export type { TestRole } from './testing/test-cluster.ts'
export {
  type CrashOptions,
  type TestClock,
  type TestDatabase,
  type TestDatabaseOptions,
  testDatabase,
} from './testing/test-database.ts'
export { VirtualTime } from './testing/virtual-time.ts'
