import { replyOf } from '../actions/decode.ts'
import {
  entryEnd,
  entryFlags,
  eventCountOf,
  flagsOf,
  hashOf,
  keyOf,
  lsnOf,
  nameOf,
  payloadStart,
  referenceOf,
  tokenOf,
} from '../actions/entry-layout.ts'
import { lsn, token } from '../kernel/identifiers.ts'
import { readUint64 } from '../kernel/integers.ts'
import { activate, deactivate, markAdvanced, markResumed } from './activations.ts'
import type { PendingCommand } from './commands.ts'
import { addMessagesOf, addReply, completedOutcome, rejectedOutcome, skippedOutcome } from './outbox.ts'
import { endWorkflow } from './reduce-queue.ts'
import type { RootState } from './root-state.ts'
import { endStart } from './schedules.ts'

/** The command that the `command/completed` entry at `o` ended: what that means for workflows. */
export function reduceCompletedOfWorkflow(
  state: RootState,
  b: Buffer,
  o: number,
  command: PendingCommand | undefined,
): void {
  const { activations, outbox } = state
  if ((flagsOf(b, o) & entryFlags.ends) !== 0) endWorkflow(state, keyOf(b, o))
  if ((flagsOf(b, o) & entryFlags.releases) !== 0) deactivate(activations, keyOf(b, o))
  else if ((flagsOf(b, o) & entryFlags.activates) !== 0 && command !== undefined)
    activate(activations, command.lsn, keyOf(b, o), hashOf(b, o), command.instance, tokenOf(b, o))
  if ((flagsOf(b, o) & entryFlags.sends) !== 0) addMessagesOf(outbox, b, o, keyOf(b, o))
  if (command?.reply != null) addReply(outbox, b, o, command.reply, command.lsn, completedOutcome(b, o))
}

export function reduceRejectedOfWorkflow({ outbox }: RootState, b: Buffer, o: number, command: PendingCommand): void {
  if (command.reply !== null) addReply(outbox, b, o, command.reply, command.lsn, rejectedOutcome(b, o))
}

export function reduceSkippedOfWorkflow({ outbox, schedules }: RootState, b: Buffer, o: number): void {
  endStart(schedules, referenceOf(b, o))
  const address = replyOf(b, o)
  if (address !== null) addReply(outbox, b, o, address, referenceOf(b, o), skippedOutcome(b, o))
}

export function reduceAdvanced(state: RootState, b: Buffer, o: number): void {
  const { activations, outbox } = state
  const flags = flagsOf(b, o)
  if ((flags & entryFlags.ends) !== 0) endWorkflow(state, keyOf(b, o))
  state.globalPosition += eventCountOf(b, o)
  if ((flags & entryFlags.sends) !== 0) addMessagesOf(outbox, b, o, keyOf(b, o))
  if ((flags & entryFlags.releases) === 0) markAdvanced(activations, referenceOf(b, o))
  else deactivate(activations, keyOf(b, o))
}

/** Void for an instance that was deregistered since it was drafted. */
export function reduceResumed({ applications, activations }: RootState, b: Buffer, o: number): void {
  const instance = nameOf(b, o)
  if (!applications.byInstance.has(instance)) return
  const assignment = token(lsnOf(b, o))
  const end = entryEnd(b, o)
  for (let i = payloadStart(b, o); i + 8 <= end; i += 8)
    markResumed(activations, lsn(readUint64(b, i)), instance, assignment)
}
