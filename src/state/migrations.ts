import type { MigrationStep, RewrittenCommand } from '../actions/action.ts'
import { aggregateTypeOf } from '../actions/aggregate-key.ts'
import { entryFlags, flagsOf } from '../actions/entry-layout.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { lsn } from '../kernel/identifiers.ts'

/** A pending or parked command in its new form, until the switch. */
export interface RewrittenForm {
  readonly bytes: number
  /** The whole `command/received`; null where the process keeps no payloads. */
  readonly source: Buffer | null
}

/** Streams of one type on their way to another version. */
export interface MigrationState {
  readonly type: string
  /** LSN of the entry that started it: its name. */
  readonly startedLsn: Lsn
  readonly startedAtMs: number
  readonly fromVersion: number
  readonly toVersion: number
  /** Of the code that rewrites. */
  readonly digest: string
  /** Events of older versions are rewritten up to this position. */
  copied: number
  /** Position of the last event that may be of an older version. */
  newestOld: number
  /** How many events were rewritten. */
  rewritten: number
  /** 0 until readers see the new form. */
  switchedLsn: Lsn
  /** What the type was at before the switch; null when it had never been switched. */
  before: TypeVersion | null
  /** Rewritten commands; none after the switch. */
  readonly commands: Map<Lsn, RewrittenForm>
  /** Parked since it began, in an older form, and not rewritten. */
  readonly parkedOld: Set<Lsn>
}

/** Since a switch, what a type's events and commands must be at least. */
export interface TypeVersion {
  readonly version: number
  readonly sinceLsn: Lsn
}

export interface MigrationsSlice {
  readonly byType: Map<string, MigrationState>
  readonly versions: Map<string, TypeVersion>
}

export const emptyMigrations = (): MigrationsSlice => ({ byType: new Map(), versions: new Map() })

type Started = Extract<MigrationStep, { phase: 'started' }>
type Rewritten = Extract<MigrationStep, { phase: 'rewritten' }>

/** Void while another one of the type is not over. */
export function startMigration(
  slice: MigrationsSlice,
  type: string,
  toVersion: number,
  { fromVersion, digest, atMs }: Started,
  at: Lsn,
  lastPosition: number,
): void {
  if (slice.byType.has(type)) return
  slice.byType.set(type, {
    type,
    startedLsn: at,
    startedAtMs: atMs,
    fromVersion,
    toVersion,
    digest,
    copied: 0,
    newestOld: lastPosition,
    rewritten: 0,
    switchedLsn: lsn(0),
    before: null,
    commands: new Map(),
    parkedOld: new Set(),
  })
}

/** The migration that an entry is about, unless that is over or was never there. */
export function migrationOf(slice: MigrationsSlice, type: string, startedLsn: Lsn): MigrationState | undefined {
  const migration = slice.byType.get(type)
  return migration?.startedLsn === startedLsn ? migration : undefined
}

/** Whether a batch follows on what is rewritten so far: of two copies of one batch, or of two migrators, one does. */
export const follows = ({ copied, switchedLsn }: MigrationState, { after, through }: Rewritten): boolean =>
  switchedLsn === 0 && after === copied && through >= after

export function noteRewritten(migration: MigrationState, step: Rewritten, keepsPayloads: boolean): void {
  if (!follows(migration, step)) return
  migration.copied = step.through
  migration.rewritten += step.events.length
  for (const command of step.commands) noteCommand(migration, command, keepsPayloads)
}

function noteCommand({ commands, parkedOld }: MigrationState, [at, received]: RewrittenCommand, keeps: boolean): void {
  commands.set(at, { bytes: received.length, source: keeps ? Buffer.from(received) : null })
  parkedOld.delete(at)
}

/** Events were appended; `position` is that of the last one. */
export function noteEvents(slice: MigrationsSlice, key: string, version: number, position: number): void {
  const migration = slice.byType.get(aggregateTypeOf(key))
  if (migration !== undefined && version < migration.toVersion) migration.newestOld = position
}

export function noteParked(slice: MigrationsSlice, key: string, command: Lsn, version: number): void {
  const migration = slice.byType.get(aggregateTypeOf(key))
  if (migration === undefined || version >= migration.toVersion || migration.switchedLsn !== 0) return
  if (!migration.commands.has(command)) migration.parkedOld.add(command)
}

/** The command is parked no longer. */
export function noteUnparked(slice: MigrationsSlice, key: string, command: Lsn): void {
  slice.byType.get(aggregateTypeOf(key))?.parkedOld.delete(command)
}

/** The command has ended for good. */
export function forgetRewritten(slice: MigrationsSlice, key: string, command: Lsn): void {
  const migration = slice.byType.get(aggregateTypeOf(key))
  migration?.commands.delete(command)
  migration?.parkedOld.delete(command)
}

/** Whether something is in a form of before the type's switch: it can no longer be taken for what it was. */
export function isOutdated({ versions }: MigrationsSlice, key: string, version: number): boolean {
  if (versions.size === 0) return false
  const now = versions.get(aggregateTypeOf(key))
  return now !== undefined && version < now.version
}

/** Whether every assignment ends with the entry: what was decided before it must be decided anew. */
export const releasesAll = (b: Buffer, o: number): boolean => (flagsOf(b, o) & entryFlags.releasesAll) !== 0

/** Ends a migration: its type may be migrated again. */
export function endMigration(slice: MigrationsSlice, { type }: MigrationState): void {
  slice.byType.delete(type)
}
