import type { ApplicationRegistered, IdempotencyKey, StreamMigrated } from '../actions/action.ts'
import { actionCodes } from '../actions/action-codes.ts'
import { envelopeOf, payloadOf } from '../actions/decode.ts'
import {
  answeredBelowOf,
  codeOf,
  entryEnd,
  entryFlags,
  eventCountOf,
  flagsOf,
  hashOf,
  keyOf,
  lengthOf,
  lsnOf,
  nameOf,
  payloadStart,
  referenceOf,
  sessionOf,
  sessionSequenceOf,
  variantOf,
  wallMsOf,
} from '../actions/entry-layout.ts'
import { assert } from '../kernel/assert.ts'
import type { Lsn, Token } from '../kernel/identifiers.ts'
import { lsn } from '../kernel/identifiers.ts'
import { readUint64 } from '../kernel/integers.ts'
import {
  type ApplicationsSlice,
  deregisterApplication,
  emptyApplications,
  registerApplication,
} from './applications.ts'
import {
  addPending,
  blockAggregate,
  type CommandsSlice,
  dispatcherName,
  emptyCommands,
  markFailed,
  markStarted,
  pendingBefore,
  releaseAll,
  releaseInstance,
  removePending,
  unblockAggregate,
} from './commands.ts'
import {
  emptyIdempotency,
  expireKeys,
  findKey,
  type IdempotencySlice,
  isConflict,
  type KeyLookup,
  type KeyRecord,
  rememberCall,
  saveKey,
} from './idempotency.ts'
import { abandonMigration, switchMigration } from './migration-switch.ts'
import {
  emptyMigrations,
  endMigration,
  forgetRewritten,
  isOutdated,
  type MigrationsSlice,
  migrationOf,
  noteEvents,
  noteParked,
  noteRewritten,
  noteUnparked,
  startMigration,
} from './migrations.ts'

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
  keepsPayloads,
})

/** What a received command turned out to be: 0 for a new one, otherwise the LSN of the command that it repeats. */
export type Repeats = Lsn

const isNew: Repeats = lsn(0)

/**
 * Folds the entry at `o` into the state, in place: the same entries in the same order give the same state everywhere.
 * No clock, randomness, environment or I/O, other than looking up saved keys, whose answer is a function of the LSN (G7).
 */
export function reduce(state: RootState, b: Buffer, o: number): Repeats {
  const at = lsnOf(b, o)
  assert(at === state.lsn + 1, `entry ${at} follows entry ${state.lsn}`)
  state.lsn = at
  switch (codeOf(b, o)) {
    case actionCodes['command/received']:
      return reduceReceived(state, b, o, at)
    case actionCodes['command/started']:
      reduceStarted(state, b, o, at)
      return isNew
    case actionCodes['command/completed']:
      removePending(state.commands, referenceOf(b, o))
      state.commands.completed++
      state.globalPosition += eventCountOf(b, o)
      if (state.migrations.byType.size > 0) noteCompleted(state, b, o)
      return isNew
    case actionCodes['command/rejected']:
      removePending(state.commands, referenceOf(b, o))
      state.commands.rejected++
      if (state.migrations.byType.size > 0) forgetRewritten(state.migrations, keyOf(b, o), referenceOf(b, o))
      return isNew
    default:
      reduceRare(state, b, o, at)
      return isNew
  }
}

function noteCompleted({ migrations, globalPosition }: RootState, b: Buffer, o: number): void {
  const key = keyOf(b, o)
  forgetRewritten(migrations, key, referenceOf(b, o))
  if (eventCountOf(b, o) > 0) noteEvents(migrations, key, variantOf(b, o), globalPosition)
}

function reduceReceived(state: RootState, b: Buffer, o: number, at: Lsn): Repeats {
  const { idempotency } = state
  let key: IdempotencyKey | null = null
  let record: KeyRecord | undefined
  if ((flagsOf(b, o) & entryFlags.idempotencyKey) !== 0) {
    key = (envelopeOf(b, o) as { idempotencyKey: IdempotencyKey }).idempotencyKey
    record = findKey(idempotency, key.key, at)
  }
  let repeats = record?.lsn ?? isNew
  const session = sessionOf(b, o)
  if (session !== 0) {
    // The call is not the command that has its key: sent again when the key has expired, it must not get that one's outcome.
    const conflicts = key !== null && record !== undefined && isConflict(key, record)
    const became = conflicts ? null : repeats === isNew ? at : repeats
    const call = rememberCall(idempotency, session, sessionSequenceOf(b, o), answeredBelowOf(b, o), at, became)
    // What became of this very call counts for more than who else has used its key since.
    if (repeats === isNew || call > 0) repeats = call
  }
  if (repeats !== isNew) return repeats
  if (key !== null) saveKey(idempotency, key, at, wallMsOf(b, o))
  const source = state.keepsPayloads ? b : null
  addPending(state.commands, at, keyOf(b, o), hashOf(b, o), lengthOf(b, o), source, o, variantOf(b, o))
  return isNew
}

/** Whether the client's call of this `command/received` has come before, under whatever key. */
export function isCallKnown({ idempotency }: RootState, b: Buffer, o: number): boolean {
  return idempotency.sessions.get(sessionOf(b, o))?.calls.has(sessionSequenceOf(b, o)) === true
}

function reduceStarted(state: RootState, b: Buffer, o: number, at: Lsn): void {
  const instance = nameOf(b, o)
  // Drafted before the instance was deregistered: the assignment is void from the start.
  if (instance !== dispatcherName && !state.applications.byInstance.has(instance)) return
  const end = entryEnd(b, o)
  const assignment = at as number as Token
  for (let i = payloadStart(b, o); i + 8 <= end; i += 8) {
    markStarted(state.commands, lsn(readUint64(b, i)), instance, assignment)
  }
}

/** Whether the `stream/deleted` at `o`, about to be reduced, takes no effect. Everybody comes to the same answer. */
export const isVoidDeletion = ({ commands }: RootState, b: Buffer, o: number): boolean =>
  pendingBefore(commands, keyOf(b, o), referenceOf(b, o)) > 0

function reduceRare(state: RootState, b: Buffer, o: number, at: Lsn): void {
  const { commands, migrations } = state
  switch (codeOf(b, o)) {
    case actionCodes['command/failed']: {
      const { retryDelayMs } = payloadOf(b, o) as { retryDelayMs: number }
      markFailed(commands, referenceOf(b, o), wallMsOf(b, o), retryDelayMs)
      return
    }
    case actionCodes['command/parked']:
      if ((flagsOf(b, o) & entryFlags.blocksAggregate) !== 0) {
        blockAggregate(commands, keyOf(b, o), hashOf(b, o), referenceOf(b, o))
      }
      noteParked(migrations, keyOf(b, o), referenceOf(b, o), removePending(commands, referenceOf(b, o))?.version ?? 0)
      commands.parked++
      return
    case actionCodes['command/retried']: {
      const source = state.keepsPayloads ? b : null
      const command = referenceOf(b, o)
      const key = keyOf(b, o)
      const version = retriedVersion(b, o)
      if (commands.byLsn.has(command) || isOutdated(migrations, key, version)) return
      addPending(commands, command, key, hashOf(b, o), lengthOf(b, o), source, payloadStart(b, o), version)
      noteUnparked(migrations, key, command)
      unblockAggregate(commands, key, command)
      commands.parked--
      return
    }
    case actionCodes['command/skipped']:
      unblockAggregate(commands, keyOf(b, o), referenceOf(b, o))
      forgetRewritten(migrations, keyOf(b, o), referenceOf(b, o))
      commands.parked--
      return
    case actionCodes['idempotency-key/expired']:
      expireKeys(state.idempotency, (payloadOf(b, o) as { untilMs: number }).untilMs)
      return
    case actionCodes['application/registered']: {
      const action = { instance: nameOf(b, o), ...(payloadOf(b, o) as object) } as ApplicationRegistered
      releaseInstance(commands, action.instance, action.former === 'crashed')
      registerApplication(state.applications, action, at, migrations.versions)
      return
    }
    case actionCodes['application/deregistered']: {
      const { reason } = payloadOf(b, o) as { reason: string }
      releaseInstance(commands, nameOf(b, o), reason === 'crashed')
      deregisterApplication(state.applications, nameOf(b, o), migrations.versions)
      return
    }
    case actionCodes['stream/migrated']:
      reduceMigrated(state, payloadOf(b, o) as StreamMigrated, at)
      return
    case actionCodes['stream/migration-finalised']:
    case actionCodes['stream/migration-abandoned']:
      reduceMigrationOver(state, b, o)
      return
    default:
      // Actions about the store (streams, checkpoints, deleted keys) change nothing that is held here.
      return
  }
}

/** The version of the command that a `command/retried` carries. */
const retriedVersion = (b: Buffer, o: number): number => variantOf(b, payloadStart(b, o))

function reduceMigrated(
  state: RootState,
  { aggregateType, toVersion, migration, step }: StreamMigrated,
  at: Lsn,
): void {
  const { migrations } = state
  if (step.phase === 'started') {
    startMigration(migrations, aggregateType, toVersion, step, at, state.globalPosition)
    return
  }
  const known = migrationOf(migrations, aggregateType, migration)
  if (step.phase === 'rewritten') {
    if (known !== undefined) noteRewritten(known, step, state.keepsPayloads)
    return
  }
  // Also where the switch is void: the journal writer's guard cannot know that.
  releaseAll(state.commands)
  if (known !== undefined) switchMigration(state, known, at)
}

function reduceMigrationOver(state: RootState, b: Buffer, o: number): void {
  const { aggregateType, migration } = payloadOf(b, o) as Pick<StreamMigrated, 'aggregateType' | 'migration'>
  const known = migrationOf(state.migrations, aggregateType, migration)
  if (codeOf(b, o) === actionCodes['stream/migration-abandoned']) {
    releaseAll(state.commands)
    if (known !== undefined) abandonMigration(state, known)
  } else if (known !== undefined && known.switchedLsn !== 0) endMigration(state.migrations, known)
}
