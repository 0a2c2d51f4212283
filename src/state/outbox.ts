import type { ReplyAddress } from '../actions/action.ts'
import { aggregateKey } from '../actions/aggregate-key.ts'
import { eventsOf, messagesOf, payloadOf } from '../actions/decode.ts'
import { lsnOf } from '../actions/entry-layout.ts'
import { pack } from '../actions/message-pack.ts'
import type { Lsn } from '../kernel/identifiers.ts'

/** A command that an entry sends, and that the dispatcher has not forwarded yet. */
export interface OutboxMessage {
  readonly source: Lsn
  readonly index: number
  /** Aggregate key. */
  readonly to: string
  readonly command: string
  /** MessagePack. */
  readonly data: Buffer
  readonly reply: ReplyAddress | null
  readonly expectedRevision: number | null
  /** Absent where the sender knows of none. */
  readonly partition?: string
}

/** By the entry that sends them. Bounded by what is under way: each is forwarded as soon as the dispatcher sees it. */
export interface OutboxSlice {
  readonly bySource: Map<Lsn, OutboxMessage[]>
  size: number
}

export const emptyOutbox = (): OutboxSlice => ({ bySource: new Map(), size: 0 })

export function addMessage(slice: OutboxSlice, message: OutboxMessage): void {
  const messages = slice.bySource.get(message.source)
  if (messages === undefined) slice.bySource.set(message.source, [message])
  else messages.push(message)
  slice.size++
}

/** @returns the message, which is then forwarded, or undefined when it was before: the second one is void. */
export function takeMessage(slice: OutboxSlice, source: Lsn, index: number): OutboxMessage | undefined {
  const messages = slice.bySource.get(source)
  const at = messages?.findIndex((message) => message.index === index) ?? -1
  if (messages === undefined || at < 0) return undefined
  const [message] = messages.splice(at, 1)
  if (messages.length === 0) slice.bySource.delete(source)
  slice.size--
  return message
}

/** The messages that the entry at `o` sends. */
export function addMessagesOf(slice: OutboxSlice, b: Buffer, o: number, key: string): void {
  const source = lsnOf(b, o)
  messagesOf(b, o).forEach(({ to, command, data, operation, expectedRevision, partition }, index) => {
    addMessage(slice, {
      source,
      index,
      to: aggregateKey(to.type, to.id),
      command,
      data: Buffer.from(data),
      reply: operation === undefined ? null : { key, operation },
      expectedRevision: expectedRevision ?? null,
      ...(partition === undefined ? {} : { partition }),
    })
  })
}

/** How a command ended that a workflow waits for. */
export type ReplyOutcome =
  | { readonly outcome: 'completed'; readonly events: readonly { readonly type: string; readonly data: unknown }[] }
  | { readonly outcome: 'rejected'; readonly code: string; readonly message: string; readonly details: unknown }
  | { readonly outcome: 'skipped'; readonly message: string }

/** An entry may send messages of its own as well; it has no more than `limits.eventsPerCommandMax` of them. */
const replyIndex = 0xffff

/** The name of the command by which a workflow is told. */
export const replyCommand = 'commandEnded'

/** The entry at `o` ends a command that a workflow waits for: the workflow is sent what came of it. */
export function addReply(
  slice: OutboxSlice,
  b: Buffer,
  o: number,
  reply: ReplyAddress,
  command: Lsn,
  outcome: ReplyOutcome,
): void {
  const data = Buffer.from(pack({ operation: reply.operation, command, ...outcome }))
  const message = { index: replyIndex, to: reply.key, command: replyCommand, data, reply: null, expectedRevision: null }
  addMessage(slice, { source: lsnOf(b, o), ...message })
}

export const completedOutcome = (b: Buffer, o: number): ReplyOutcome => ({
  outcome: 'completed',
  events: eventsOf(b, o),
})

export function rejectedOutcome(b: Buffer, o: number): ReplyOutcome {
  const { code, message, details } = payloadOf(b, o) as { code: string; message: string; details: unknown }
  return { outcome: 'rejected', code, message, details }
}

export const skippedOutcome = (b: Buffer, o: number): ReplyOutcome => ({
  outcome: 'skipped',
  message: (payloadOf(b, o) as { reason: string }).reason,
})
