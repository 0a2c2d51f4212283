import type { ReplyAddress } from '../actions/action.ts'
import type { Lsn, Token } from '../kernel/identifiers.ts'
import { lsn, token } from '../kernel/identifiers.ts'
import { NumberMap } from '../kernel/number-map.ts'
import type { Place } from './queues.ts'

/** The name under which the dispatcher assigns a command to itself, to park it. */
export const dispatcherName = 'dispatcher'

/** A command that was received and has no terminal entry yet. */
export interface PendingCommand {
  readonly lsn: Lsn
  readonly queue: AggregateQueue
  /** The pending command before it in its queue. */
  before: PendingCommand | null
  /** The application instance that it was started on last; '' while it is started nowhere. */
  instance: string
  /** LSN of the `command/started` that assigned its aggregate; 0 while it is started nowhere. */
  token: Token
  attempts: number
  /** How often it was under way when its process crashed by itself. */
  crashes: number
  /** Failed, and not to be started again before this wall time; 0 otherwise. */
  retryAtMs: number
  /** Version of the definition that it was admitted under, or was rewritten for; 0 where none was noted. */
  version: number
  bytes: number
  /** How long it had to wait when it failed: the most that it has to wait yet, whatever the wall clock says by now. */
  retryDelayMs: number
  /** The received entry, where the process keeps payloads: a view into `source` at `at`. */
  source: Buffer | null
  at: number
  /** The workflow that waits for its outcome. */
  reply: ReplyAddress | null
  /** Where it waits its turn; null: nowhere. */
  place: Place | null
}

/** The pending commands of one aggregate instance in LSN order; exists while there is one or while it is blocked. */
export interface AggregateQueue {
  readonly key: string
  readonly hash: number
  commands: PendingCommand[]
  /** The parked command that keeps the aggregate from going on; 0 if none. */
  blockedBy: Lsn
}

export interface CommandsSlice {
  readonly byLsn: NumberMap<PendingCommand>
  readonly byAggregate: Map<string, AggregateQueue>
  pendingBytes: number
  /** Terminal entries since the beginning, by kind. */
  completed: number
  rejected: number
  parked: number
}

export const emptyCommands = (): CommandsSlice => ({
  byLsn: new NumberMap(),
  byAggregate: new Map(),
  pendingBytes: 0,
  completed: 0,
  rejected: 0,
  parked: 0,
})

export function addPending(
  slice: CommandsSlice,
  at: Lsn,
  key: string,
  hash: number,
  bytes: number,
  source: Buffer | null,
  offset: number,
  version = 0,
): PendingCommand {
  let queue = slice.byAggregate.get(key)
  if (queue === undefined) {
    queue = { key, hash, commands: [], blockedBy: lsn(0) }
    slice.byAggregate.set(key, queue)
  }
  const command: PendingCommand = {
    lsn: at,
    queue,
    before: null,
    instance: '',
    token: token(0),
    attempts: 0,
    crashes: 0,
    retryAtMs: 0,
    version,
    retryDelayMs: 0,
    bytes,
    source,
    at: offset,
    reply: null,
    place: null,
  }
  insertInOrder(queue.commands, command)
  slice.byLsn.set(at, command)
  slice.pendingBytes += bytes
  return command
}

/** Almost always at the end; a retried command goes back to its old place. */
function insertInOrder(commands: PendingCommand[], command: PendingCommand): void {
  let at = commands.length
  while (at > 0 && (commands[at - 1] as PendingCommand).lsn > command.lsn) at--
  command.before = commands[at - 1] ?? null
  const next = commands[at]
  if (next === undefined) {
    commands.push(command)
    return
  }
  next.before = command
  commands.splice(at, 0, command)
}

export function removePending(slice: CommandsSlice, at: Lsn): PendingCommand | undefined {
  const command = slice.byLsn.get(at)
  if (command === undefined) return undefined
  slice.byLsn.delete(at)
  slice.pendingBytes -= command.bytes
  const { commands } = command.queue
  const index = commands[0] === command ? 0 : commands.indexOf(command)
  const next = commands[index + 1]
  if (next !== undefined) next.before = command.before
  command.before = null
  if (index === 0) commands.shift()
  else commands.splice(index, 1)
  forgetIfIdle(slice, command.queue)
  return command
}

/**
 * An assignment that would let the command overtake an earlier one of its aggregate is void from the start (G2), and one
 * for which its queue has no room.
 */
export function markStarted(
  slice: CommandsSlice,
  at: Lsn,
  instance: string,
  assignment: Token,
  takesSlot: (place: Place) => boolean = () => true,
): void {
  const command = slice.byLsn.get(at)
  if (command === undefined || !mayStart(command, instance)) return
  if (command.place !== null && command.attempts === 0 && !takesSlot(command.place)) return
  command.instance = instance
  command.token = assignment
  command.retryAtMs = 0
  command.retryDelayMs = 0
  if (instance !== dispatcherName) command.attempts++ // which only parks it
}

/**
 * Whether the command before it is on the same instance. It is not when that one was released after the assignment was
 * drafted. What the dispatcher holds it parks, which takes no effect on the aggregate.
 */
function mayStart(command: PendingCommand, instance: string): boolean {
  if (instance === dispatcherName) return true
  let { before } = command
  while (before !== null && before.instance === dispatcherName) before = before.before
  return before === null || before.instance === instance
}

/** How many commands from before `at` have not ended on an aggregate. */
export function pendingBefore(slice: CommandsSlice, key: string, at: Lsn): number {
  let count = 0
  for (const { lsn: received } of slice.byAggregate.get(key)?.commands ?? []) {
    if (received >= at) break
    count++
  }
  return count
}

export function markFailed(slice: CommandsSlice, at: Lsn, failedAtMs: number, retryDelayMs: number): void {
  const command = slice.byLsn.get(at)
  if (command === undefined) return
  command.instance = ''
  command.token = token(0)
  command.retryAtMs = failedAtMs + retryDelayMs
  command.retryDelayMs = retryDelayMs
}

/** A migration gives the command another form; does nothing when it is pending no longer. */
export function replacePending(
  slice: CommandsSlice,
  at: Lsn,
  bytes: number,
  source: Buffer | null,
  version: number,
): void {
  const command = slice.byLsn.get(at)
  if (command === undefined) return
  slice.pendingBytes += bytes - command.bytes
  command.bytes = bytes
  command.source = source
  command.at = 0
  command.version = version
}

/** Everything that was started anywhere is to be started anew. */
export function releaseAll(slice: CommandsSlice): void {
  for (const command of slice.byLsn.values()) {
    command.instance = ''
    command.token = token(0)
  }
}

/**
 * Everything that was started on an instance is to be started anew.
 *
 * @param isSure nothing else was at work there. Otherwise one that is suspected is not found guilty yet: it runs once
 *   more, and then alone.
 */
export function releaseInstance(slice: CommandsSlice, instance: string, crashed: boolean, isSure = true): void {
  for (const command of slice.byLsn.values()) {
    if (command.instance !== instance) continue
    command.instance = ''
    command.token = token(0)
    if (crashed && (isSure || command.crashes === 0)) command.crashes++
  }
}

/** How many commands are started on an instance. */
export function startedOn({ byLsn }: CommandsSlice, instance: string): number {
  let count = 0
  for (const command of byLsn.values()) if (command.token !== 0 && command.instance === instance) count++
  return count
}

export function blockAggregate(slice: CommandsSlice, key: string, hash: number, by: Lsn): void {
  const queue = slice.byAggregate.get(key)
  if (queue === undefined) slice.byAggregate.set(key, { key, hash, commands: [], blockedBy: by })
  else queue.blockedBy = by
}

export function unblockAggregate(slice: CommandsSlice, key: string, by: Lsn): void {
  const queue = slice.byAggregate.get(key)
  if (queue === undefined || queue.blockedBy !== by) return
  queue.blockedBy = lsn(0)
  forgetIfIdle(slice, queue)
}

function forgetIfIdle(slice: CommandsSlice, queue: AggregateQueue): void {
  if (queue.commands.length === 0 && queue.blockedBy === 0) slice.byAggregate.delete(queue.key)
}
