export {
  type AggregateTest,
  type CommandCircumstances,
  type ExpectedRejection,
  rejected,
  type TestCommand,
  type Then,
  testAggregate,
  type When,
} from './testing/aggregate-test.ts'
export type { CrashPoint, EntryPlace, PlannedCrash } from './testing/crash-points.ts'
export type { Duration } from './testing/duration.ts'
export type { EffectCall, EffectPlace } from './testing/effect-log.ts'
export { type RecordedEvent, type Replayed, replay } from './testing/replay.ts'
export type { TestRole } from './testing/test-cluster.ts'
export {
  type CrashOptions,
  type TestClock,
  type TestDatabase,
  type TestDatabaseOptions,
  testDatabase,
} from './testing/test-database.ts'
export { VirtualTime } from './testing/virtual-time.ts'
export { NonDeterminismError } from './workflows/non-determinism.ts'
