import { aggregateTypeOf } from '../actions/aggregate-key.ts'
import { envelopeOf } from '../actions/decode.ts'
import { entryFlags, flagsOf, keyOf, nameOf, wallMsOf } from '../actions/entry-layout.ts'
import { type QueueFields, queueName } from '../actions/queue-actions.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { type PendingCommand, removePending } from './commands.ts'
import { endHolder, holdSlot, laneKey, leaveSlot, type Place } from './queues.ts'
import type { RootState } from './root-state.ts'
import { endRun } from './schedules.ts'

/** The place in its queue of the `command/received` at `o`; null: it has none. */
export function placeOf(b: Buffer, o: number): Place | null {
  if ((flagsOf(b, o) & entryFlags.queues) === 0) return null
  const { partition, priority = 0 } = envelopeOf(b, o) as QueueFields
  if (partition === undefined) return null
  return { name: queueName(aggregateTypeOf(keyOf(b, o)), nameOf(b, o)), partition, priority }
}

/** The command of the `command/received` at `o` waits its turn, or for a while. */
export function noteQueueing(command: PendingCommand, b: Buffer, o: number): void {
  command.place = placeOf(b, o)
  const { delayMs = 0 } = envelopeOf(b, o) as QueueFields
  if (delayMs === 0) return
  // As one that has failed waits for its next attempt.
  command.retryAtMs = wallMsOf(b, o) + delayMs
  command.retryDelayMs = delayMs
}

/** A command ends: it is pending no longer, and its slot is free. */
export function endPending({ commands, queues }: RootState, at: Lsn): PendingCommand | undefined {
  const command = removePending(commands, at)
  if (command !== undefined && holdsSlot(command)) leaveSlot(queues, laneKey(command.place))
  return command
}

/** As `endPending`; where the `command/completed` at `o` has started a workflow, that keeps the slot. */
export function endCompleted(state: RootState, at: Lsn, b: Buffer, o: number): PendingCommand | undefined {
  const command = removePending(state.commands, at)
  if (command === undefined || !holdsSlot(command)) return command
  const { applications, queues } = state
  const isUnderWay = (flagsOf(b, o) & entryFlags.activates) !== 0 && (flagsOf(b, o) & entryFlags.ends) === 0
  const isLimited = applications.queues.get(command.place.name)?.concurrency !== undefined
  if (isUnderWay && isLimited) holdSlot(queues, keyOf(b, o), laneKey(command.place))
  else leaveSlot(queues, laneKey(command.place))
  return command
}

/** A workflow has ended, or is not there any more. */
export function endWorkflow({ schedules, queues }: RootState, key: string): void {
  endRun(schedules, key)
  endHolder(queues, key)
}

/** It was started once: it has its slot until it ends, whatever becomes of the attempt. */
export const holdsSlot = (command: PendingCommand): command is PendingCommand & { place: Place } =>
  command.place !== null && command.attempts > 0
