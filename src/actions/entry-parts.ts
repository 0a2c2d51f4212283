import type { Lsn } from '../kernel/identifiers.ts'

/** The unit of ordering and of locking. */
export interface AggregateReference {
  readonly type: string
  readonly id: string
}

/** An event as a command decided on it; its revision, position and LSN follow from the entry that holds it. */
export interface EventDraft {
  readonly type: string
  readonly data: unknown
}

/** A state of the aggregate after the entry's events, so that restoring it need not begin at revision 1. */
export interface AggregateSnapshot {
  readonly definition: string
  readonly state: unknown
}

/** One message of an entry: the entry, and which of its messages, from 0 on. */
export interface ForwardedFrom {
  readonly source: Lsn
  readonly index: number
}

/** A workflow's aggregate key, and the operation of it that waits. */
export interface ReplyAddress {
  readonly key: string
  readonly operation: string
}

/** A command that an entry sends to an aggregate; the dispatcher drafts it as `command/received`, once. */
export interface Message {
  readonly to: AggregateReference
  readonly command: string
  /** The command's data in MessagePack. */
  readonly data: Uint8Array
  /** The operation of the sending workflow that waits for the outcome. */
  readonly operation?: string
  readonly expectedRevision?: number
  /** The partition of the command's queue; absent where the sender does not know of one. */
  readonly partition?: string
}
