import { aggregateTypeOf } from '../actions/aggregate-key.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { type ApplicationInstance, type ApplicationsSlice, rebalance } from './applications.ts'
import { type CommandsSlice, replacePending } from './commands.ts'
import { endMigration, type MigrationState, type MigrationsSlice } from './migrations.ts'

/** What a switch reads and changes of the state. */
interface Switched {
  readonly commands: CommandsSlice
  readonly applications: ApplicationsSlice
  readonly migrations: MigrationsSlice
}

/** What keeps a migration from its switch; all of it is known to every process alike. */
export interface Obstacles {
  /** Events of an older version up to here, and rewritten only up to there. */
  readonly events: { readonly copied: number; readonly newestOld: number } | null
  /** Pending or parked commands in an older form, not rewritten. */
  readonly commands: readonly Lsn[]
  /** Application instances whose code is not of the new version. */
  readonly instances: readonly ApplicationInstance[]
}

export function obstaclesOf(state: Switched, migration: MigrationState): Obstacles {
  const { type, toVersion, copied, newestOld, parkedOld } = migration
  const pending = pendingOld(state, migration)
  const instances = [...state.applications.byInstance.values()].filter((instance) => {
    const version = versionHosted(instance, type)
    return version !== null && version < toVersion
  })
  return {
    events: copied < newestOld ? { copied, newestOld } : null,
    commands: [...pending, ...parkedOld].sort((a, b) => a - b),
    instances,
  }
}

function pendingOld({ commands }: Switched, { type, toVersion, commands: rewritten }: MigrationState): Lsn[] {
  const old: Lsn[] = []
  for (const { lsn, queue, version } of commands.byLsn.values()) {
    if (version < toVersion && aggregateTypeOf(queue.key) === type && !rewritten.has(lsn)) old.push(lsn)
  }
  return old
}

/** Null when it does not host the type; 0 when it did not say. */
function versionHosted({ aggregateTypes, aggregateVersions }: ApplicationInstance, type: string): number | null {
  const index = aggregateTypes.indexOf(type)
  return index < 0 ? null : (aggregateVersions?.[index] ?? 0)
}

/**
 * Readers see the new form from here on, and pending commands have it. Void where something stands in its way: the
 * entry was drafted before that came about, and is drafted again when it has gone.
 */
export function switchMigration(state: Switched, migration: MigrationState, at: Lsn): void {
  const { events, commands, instances } = obstaclesOf(state, migration)
  if (migration.switchedLsn !== 0 || events !== null || commands.length > 0 || instances.length > 0) return
  const { type, toVersion } = migration
  for (const [command, { bytes, source }] of migration.commands)
    replacePending(state.commands, command, bytes, source, toVersion)
  migration.commands.clear()
  migration.switchedLsn = at
  migration.before = state.migrations.versions.get(type) ?? null
  state.migrations.versions.set(type, { version: toVersion, sinceLsn: at })
  rebalance(state.applications, state.migrations.versions)
}

/** After the switch the former version counts again; commands keep their new form, which the same code decides. */
export function abandonMigration(state: Switched, migration: MigrationState): void {
  const { type, before, switchedLsn } = migration
  endMigration(state.migrations, migration)
  if (switchedLsn === 0) return
  if (before === null) state.migrations.versions.delete(type)
  else state.migrations.versions.set(type, before)
  rebalance(state.applications, state.migrations.versions)
}
