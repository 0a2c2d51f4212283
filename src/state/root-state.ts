import type { Lsn } from '../kernel/identifiers.ts'
import { lsn } from '../kernel/identifiers.ts'
import { type ActivationsSlice, emptyActivations } from './activations.ts'
import { type ApplicationsSlice, emptyApplications } from './applications.ts'
import { type CommandsSlice, emptyCommands } from './commands.ts'
import { emptyIdempotency, type IdempotencySlice, type KeyLookup } from './idempotency.ts'
import { emptyMigrations, type MigrationsSlice } from './migrations.ts'
import { emptyOutbox, type OutboxSlice } from './outbox.ts'
import { emptyQueues, type QueuesSlice } from './queues.ts'
import { emptySchedules, type SchedulesSlice } from './schedules.ts'

/**
 * The state that every child folds from the same entries. Bounded: it holds what is under way, never what is done.
 * What is done (streams, outcomes, keys) is in the store's tables, which the projection applier fills from the same entries.
 */
export interface RootState {
  /** The entry applied last. */
  lsn: Lsn
  /** Number of events among all entries applied: the position of the last one. */
  globalPosition: number
  readonly commands: CommandsSlice
  readonly applications: ApplicationsSlice
  readonly idempotency: IdempotencySlice
  readonly migrations: MigrationsSlice
  readonly activations: ActivationsSlice
  readonly outbox: OutboxSlice
  readonly schedules: SchedulesSlice
  readonly queues: QueuesSlice
  /** Keep the bytes of pending commands: for processes that decide them or store them. */
  readonly keepsPayloads: boolean
}

export interface RootOptions {
  readonly lookup: KeyLookup
  readonly keepsPayloads: boolean
}

export const emptyRoot = ({ lookup, keepsPayloads }: RootOptions): RootState => ({
  lsn: lsn(0),
  globalPosition: 0,
  commands: emptyCommands(),
  applications: emptyApplications(),
  idempotency: emptyIdempotency(lookup),
  migrations: emptyMigrations(),
  activations: emptyActivations(),
  outbox: emptyOutbox(),
  schedules: emptySchedules(),
  queues: emptyQueues(),
  keepsPayloads,
})
