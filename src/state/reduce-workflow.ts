import { eventsOf, replyOf, startedLsns } from '../actions/decode.ts'
import {
  entryFlags,
  eventCountOf,
  flagsOf,
  hashOf,
  keyOf,
  lsnOf,
  nameOf,
  referenceOf,
  tokenOf,
} from '../actions/entry-layout.ts'
import { token } from '../kernel/identifiers.ts'
import { activate, clearSuspects, deactivate, isSuspect, markAdvanced, markResumed } from './activations.ts'
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
  if ((flags & entryFlags.releases) !== 0) deactivate(activations, keyOf(b, o))
  else if (isSuspect(activations, referenceOf(b, o)) && getsOn(b, o)) markAdvanced(activations, referenceOf(b, o))
}

/** To begin a request once more, or to wait, is not to get on: that may be what crashes the process. */
const getsOn = (b: Buffer, o: number): boolean =>
  eventsOf(b, o).some(({ type }) => type !== 'request/started' && type !== 'signal/awaited')

/** Void for an instance that was deregistered since it was drafted. Of none: those that it works on are no longer suspected. */
export function reduceResumed({ applications, activations }: RootState, b: Buffer, o: number): void {
  const instance = nameOf(b, o)
  if (!applications.byInstance.has(instance)) return
  const assignment = token(lsnOf(b, o))
  const resumed = startedLsns(b, o)
  if (resumed.length === 0) clearSuspects(activations, instance)
  for (const at of resumed) markResumed(activations, at, instance, assignment)
}
