import type { CommandParked } from '../actions/action.ts'
import { parseAggregateKey } from '../actions/aggregate-key.ts'
import type { PendingCommand } from '../state/commands.ts'

/** What is said of a command that the dispatcher gives up, because it took its process down too often. */
export const parkingOf = (command: PendingCommand, atMs: number): CommandParked => ({
  type: 'command/parked',
  command: command.lsn,
  aggregate: parseAggregateKey(command.queue.key),
  release: command.token,
  atMs,
  idempotencyKey: 'none',
  message: `the application process crashed ${command.crashes} times while it worked on this command`,
  attempts: command.attempts,
  blocksAggregate: false,
})
