import type { ApplicationRegistered, IdempotencyKey, StreamMigrated } from '../actions/action.ts'
import { actionCodes } from '../actions/action-codes.ts'
import { envelopeOf, payloadOf, replyOf } from '../actions/decode.ts'
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
  tokenOf,
  variantOf,
  wallMsOf,
} from '../actions/entry-layout.ts'
import { assert } from '../kernel/assert.ts'
import type { Lsn, Token } from '../kernel/identifiers.ts'
import { lsn } from '../kernel/identifiers.ts'
import { readUint64 } from '../kernel/integers.ts'
import { activeOn, releaseActivations } from './activations.ts'
import { deregisterAll, deregisterApplication, registerApplication } from './applications.ts'
import {
  addPending,
  blockAggregate,
  dispatcherName,
  markFailed,
  markStarted,
  pendingBefore,
  releaseAll,
  releaseInstance,
  startedOn,
  unblockAggregate,
} from './commands.ts'
import {
  answeredLongAgo,
  expireKeys,
  findKey,
  isConflict,
  type KeyRecord,
  rememberCall,
  saveKey,
} from './idempotency.ts'
import { abandonMigration, switchMigration } from './migration-switch.ts'
import {
  endMigration,
  forgetRewritten,
  isOutdated,
  migrationOf,
  noteEvents,
  noteParked,
  noteRewritten,
  noteUnparked,
  startMigration,
} from './migrations.ts'
import { takeMessage } from './outbox.ts'
import { type Place, takeSlot } from './queues.ts'
import { endCompleted, endPending, endWorkflow, noteQueueing, placeOf } from './reduce-queue.ts'
import {
  reduceAdvanced,
  reduceCompletedOfWorkflow,
  reduceRejectedOfWorkflow,
  reduceResumed,
  reduceSkippedOfWorkflow,
} from './reduce-workflow.ts'
import type { RootState } from './root-state.ts'
import { endStart, noteStart, reduceFired, registerSchedules } from './schedules.ts'

export { emptyRoot, type RootOptions, type RootState } from './root-state.ts'

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
    case actionCodes['command/completed']: {
      const command = endCompleted(state, referenceOf(b, o), b, o)
      state.commands.completed++
      state.globalPosition += eventCountOf(b, o)
      if (command?.reply != null || (flagsOf(b, o) & entryFlags.ofWorkflow) !== 0)
        reduceCompletedOfWorkflow(state, b, o, command)
      if (state.migrations.byType.size > 0) noteCompleted(state, b, o)
      return isNew
    }
    case actionCodes['workflow/advanced']:
      reduceAdvanced(state, b, o)
      return isNew
    case actionCodes['command/rejected']: {
      const command = endPending(state, referenceOf(b, o))
      state.commands.rejected++
      if (command?.reply != null) reduceRejectedOfWorkflow(state, b, o, command)
      if (state.schedules.byName.size > 0) endStart(state.schedules, referenceOf(b, o))
      if (state.migrations.byType.size > 0) forgetRewritten(state.migrations, keyOf(b, o), referenceOf(b, o))
      return isNew
    }
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

/** Forwarded before, by another draft of the same message. */
const forwardedBefore: Repeats = answeredLongAgo

function reduceReceived(state: RootState, b: Buffer, o: number, at: Lsn): Repeats {
  if ((flagsOf(b, o) & entryFlags.forwarded) !== 0) {
    if (takeMessage(state.outbox, referenceOf(b, o), tokenOf(b, o)) === undefined) return forwardedBefore
    if (state.schedules.byName.size > 0) noteStart(state.schedules, referenceOf(b, o), at)
    addReceived(state, b, o, at)
    return isNew
  }
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
  addReceived(state, b, o, at)
  return isNew
}

function addReceived({ commands, keepsPayloads }: RootState, b: Buffer, o: number, at: Lsn): void {
  const source = keepsPayloads ? b : null
  const command = addPending(commands, at, keyOf(b, o), hashOf(b, o), lengthOf(b, o), source, o, variantOf(b, o))
  if ((flagsOf(b, o) & entryFlags.replies) !== 0) command.reply = replyOf(b, o)
  if ((flagsOf(b, o) & entryFlags.queues) !== 0) noteQueueing(command, b, o)
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
  const { commands, queues, applications } = state
  const takesSlot = (place: Place): boolean => takeSlot(queues, applications.queues, place, wallMsOf(b, o))
  for (let i = payloadStart(b, o); i + 8 <= end; i += 8) {
    markStarted(commands, lsn(readUint64(b, i)), instance, assignment, takesSlot)
  }
}

/** Whether the `stream/deleted` at `o`, about to be reduced, takes no effect. Everybody comes to the same answer. */
export const isVoidDeletion = ({ commands, activations }: RootState, b: Buffer, o: number): boolean =>
  pendingBefore(commands, keyOf(b, o), referenceOf(b, o)) > 0 || activations.byKey.has(keyOf(b, o))

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
      noteParked(migrations, keyOf(b, o), referenceOf(b, o), endPending(state, referenceOf(b, o))?.version ?? 0)
      commands.parked++
      return
    case actionCodes['command/retried']: {
      const source = state.keepsPayloads ? b : null
      const command = referenceOf(b, o)
      const key = keyOf(b, o)
      const version = retriedVersion(b, o)
      if (commands.byLsn.has(command) || isOutdated(migrations, key, version)) return
      const at = payloadStart(b, o)
      const again = addPending(commands, command, key, hashOf(b, o), lengthOf(b, o), source, at, version)
      again.reply = replyOf(b, at)
      again.place = placeOf(b, at)
      noteUnparked(migrations, key, command)
      unblockAggregate(commands, key, command)
      commands.parked--
      return
    }
    case actionCodes['command/skipped']:
      unblockAggregate(commands, keyOf(b, o), referenceOf(b, o))
      forgetRewritten(migrations, keyOf(b, o), referenceOf(b, o))
      commands.parked--
      reduceSkippedOfWorkflow(state, b, o)
      return
    case actionCodes['workflow/resumed']:
      reduceResumed(state, b, o)
      return
    case actionCodes['idempotency-key/expired']:
      expireKeys(state.idempotency, (payloadOf(b, o) as { untilMs: number }).untilMs)
      return
    case actionCodes['application/registered']: {
      const action = { instance: nameOf(b, o), ...(payloadOf(b, o) as object) } as ApplicationRegistered
      releaseAt(state, action.instance, action.former === 'crashed')
      registerApplication(state.applications, action, at, migrations.versions)
      registerSchedules(state.schedules, action.application, action.schedules)
      return
    }
    case actionCodes['application/deregistered']: {
      const { reason } = payloadOf(b, o) as { reason: string }
      releaseAt(state, nameOf(b, o), reason === 'crashed')
      deregisterApplication(state.applications, nameOf(b, o), migrations.versions)
      return
    }
    case actionCodes['journal/epoch-started']:
      releaseEverything(state)
      deregisterAll(state.applications, migrations.versions)
      return
    case actionCodes['schedule/fired']:
      reduceFired(state.schedules, state.outbox, b, o)
      return
    case actionCodes['stream/deleted']:
      if (!isVoidDeletion(state, b, o)) endWorkflow(state, keyOf(b, o))
      return
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

function releaseAt({ commands, activations }: RootState, instance: string, crashed: boolean): void {
  // Who was not alone may have been beside the culprit.
  const isSure = crashed && startedOn(commands, instance) + activeOn(activations, instance) === 1
  releaseInstance(commands, instance, crashed, isSure)
  releaseActivations(activations, instance, crashed, isSure)
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
  releaseEverything(state)
  if (known !== undefined) switchMigration(state, known, at)
}

function releaseEverything({ commands, activations }: RootState): void {
  releaseAll(commands)
  releaseActivations(activations, null, false)
}

function reduceMigrationOver(state: RootState, b: Buffer, o: number): void {
  const { aggregateType, migration } = payloadOf(b, o) as Pick<StreamMigrated, 'aggregateType' | 'migration'>
  const known = migrationOf(state.migrations, aggregateType, migration)
  if (codeOf(b, o) === actionCodes['stream/migration-abandoned']) {
    releaseEverything(state)
    if (known !== undefined) abandonMigration(state, known)
  } else if (known !== undefined && known.switchedLsn !== 0) endMigration(state.migrations, known)
}
