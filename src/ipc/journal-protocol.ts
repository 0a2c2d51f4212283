import { pack, unpack } from '../actions/message-pack.ts'
import type { WireError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { readUint64, writeUint64 } from '../kernel/integers.ts'
import type { Leadership } from './leadership.ts'

/** The frames between the journal writer and the processes that follow it. */
export const journalFrames = {
  /** follower -> writer: who I am and from where I want entries. */
  subscribe: 1,
  /** writer -> follower: from where you get them. */
  subscribed: 2,
  /** writer -> follower: entries, each padded to 8 bytes, as they lie in the journal. */
  entries: 3,
  /** writer -> follower: how far the journal and the store are. */
  watermark: 4,
  /** follower -> writer: drafts, each padded to 8 bytes. */
  drafts: 5,
  /** writer -> follower: a draft was refused. */
  refused: 6,
  /** follower -> writer: I have dropped what was built on the refused draft; go on with this sequence. */
  resume: 7,
  /** writer -> follower: you were too slow; read from the segments, then subscribe again. */
  lagged: 8,
  /** projection applier -> writer: the store has applied up to here. */
  applied: 9,
  /** follower -> writer: seal the current segment, so that it can be archived. */
  switchSegment: 10,
  /** writer -> follower: the answer to it. */
  switched: 11,
  /** writer -> follower: say your state's hash after this entry, the last of the batch that comes next. */
  attest: 12,
  /** follower -> writer: the state's hash after an entry that was asked about. */
  attested: 13,
  /** writer -> follower: there is room again for drafts such as were refused as `journal_full`. */
  room: 14,
  /** follower -> writer: who of those who follow is alive? */
  rollCall: 15,
  /** writer -> follower: say that you are there. */
  areYouThere: 16,
  /** follower -> writer: the answer to it. */
  here: 17,
  /** writer -> follower: the answer to `rollCall`. */
  present: 18,
  /** writer -> follower: who leads the journal now; see `leadership.ts`. */
  leading: 19,
  /** follower -> writer: how far must be applied for a read that sees everything acknowledged by now? */
  readPoint: 20,
  /** writer -> follower: the answer to it. */
  readPointIs: 21,
  /** writer -> follower, where the journal is replicated: whether `replicated` can be promised now. */
  replicates: 22,
} as const

export interface Subscribe {
  readonly name: string
  /** Number of the process incarnation; drafts carry it as their origin. */
  readonly origin: number
  /** The first entry wanted. */
  readonly from: number
  /** The sequence that the next draft will have. */
  readonly nextSequence: number
  /** Drafts build on each other: after a refused one all later ones are dropped until `resume`. */
  readonly ordered: boolean
  /** Wants the flushed watermark after each flush, and not just when the store moves. */
  readonly followsFlush: boolean
  /** The last batch that the follower has applied, so that a journal that lost it is noticed; null for none. */
  readonly last: BatchIdentity | null
}

export interface BatchIdentity {
  readonly firstLsn: number
  readonly lastLsn: number
  readonly crc: number
}

export interface Subscribed {
  /** live: entries follow from `from`. behind: read the segments up to `written` first. reset: your state is not of this journal. */
  readonly mode: 'live' | 'behind' | 'reset'
  /** LSN of the oldest entry that the segments hold. */
  readonly first: number
  readonly written: number
  readonly flushed: number
  readonly applied: number
  readonly storeAgrees: boolean
  /** Whether this writer leads, and so takes drafts, or who does. */
  readonly leadership: Leadership
}

export const encodeSubscribe = (message: Subscribe): Buffer => Buffer.from(pack(message))
export const decodeSubscribe = (body: Buffer): Subscribe => unpack(body, 0, body.length) as Subscribe
export const encodeSubscribed = (message: Subscribed): Buffer => Buffer.from(pack(message))
export const decodeSubscribed = (body: Buffer): Subscribed => unpack(body, 0, body.length) as Subscribed

/** `entries` begin with this; then the entries. */
export const entriesHeaderBytes = 16

export function encodeEntriesHeader(firstLsn: Lsn, lastLsn: Lsn): Buffer {
  const header = Buffer.allocUnsafe(entriesHeaderBytes)
  writeUint64(header, firstLsn, 0)
  writeUint64(header, lastLsn, 8)
  return header
}

export interface Watermark {
  written: Lsn
  flushed: Lsn
  /** What the store has committed. */
  applied: Lsn
  /** The journal has grown: a checkpoint at this entry or behind it is due; 0 when none is. */
  checkpointWanted: Lsn
  /**
   * The applier has told this writer what the store holds. Before that the store may get entries that this journal has lost,
   * from an applier that had heard of them from the writer before (R9): what it shows beyond `applied` is not to be decided on.
   */
  storeAgrees: boolean
}

export function encodeWatermark(mark: Watermark): Buffer {
  const body = Buffer.allocUnsafe(33)
  writeUint64(body, mark.written, 0)
  writeUint64(body, mark.flushed, 8)
  writeUint64(body, mark.applied, 16)
  writeUint64(body, mark.checkpointWanted, 24)
  body[32] = mark.storeAgrees ? 1 : 0
  return body
}

export const decodeWatermark = (body: Buffer): Watermark => ({
  written: lsn(readUint64(body, 0)),
  flushed: lsn(readUint64(body, 8)),
  applied: lsn(readUint64(body, 16)),
  checkpointWanted: lsn(readUint64(body, 24)),
  storeAgrees: body[32] === 1,
})

export interface Refused {
  readonly sequence: number
  readonly error: WireError
}

export const encodeRefused = (message: Refused): Buffer => Buffer.from(pack(message))
export const decodeRefused = (body: Buffer): Refused => unpack(body, 0, body.length) as Refused

/** What the projection applier says of the store and of the archive. */
export interface Applied {
  /** The store has committed up to here. */
  readonly applied: Lsn
  /** A checkpoint was taken here: no child that starts needs this entry or an older one. */
  readonly checkpoint: Lsn
  /** The archive has everything up to here; `null` where there is no archive. */
  readonly archived: Lsn | null
  /** The checkpoint was taken by hand: what became stale goes at once, and not little by little. */
  readonly atOnce: boolean
}

/** Names of those who follow and have answered since the call before. */
export const encodePresent = (names: readonly string[]): Buffer => Buffer.from(pack(names))
export const decodePresent = (body: Buffer): readonly string[] => unpack(body, 0, body.length) as readonly string[]

/** Up to where the segments are sealed now; or why the current one could not be. */
export type Switched = { readonly sealed: number } | { readonly error: WireError }

export const encodeSwitched = (message: Switched): Buffer => Buffer.from(pack(message))
export const decodeSwitched = (body: Buffer): Switched => unpack(body, 0, body.length) as Switched

/** The answer to a question by its number: whoever has applied this entry sees it all; or why that is not known. */
export type ReadPointIs = { readonly id: number } & ({ readonly lsn: Lsn } | { readonly error: WireError })

export const encodeReadPointIs = (message: ReadPointIs): Buffer => Buffer.from(pack(message))
export const decodeReadPointIs = (body: Buffer): ReadPointIs => unpack(body, 0, body.length) as ReadPointIs

/** Why `replicated` cannot be promised; null: it can. */
export interface Replicates {
  readonly refusal: WireError | null
}

export const encodeReplicates = (message: Replicates): Buffer => Buffer.from(pack(message))
export const decodeReplicates = (body: Buffer): Replicates => unpack(body, 0, body.length) as Replicates

const noArchive = Number.MAX_SAFE_INTEGER

export function encodeApplied({ applied, checkpoint, archived, atOnce }: Applied): Buffer {
  const body = Buffer.allocUnsafe(25)
  writeUint64(body, applied, 0)
  writeUint64(body, checkpoint, 8)
  writeUint64(body, archived ?? noArchive, 16)
  body[24] = atOnce ? 1 : 0
  return body
}

export function decodeApplied(body: Buffer): Applied {
  const archived = readUint64(body, 16)
  return {
    applied: lsn(readUint64(body, 0)),
    checkpoint: lsn(readUint64(body, 8)),
    archived: archived === noArchive ? null : lsn(archived),
    atOnce: body[24] === 1,
  }
}

export function encodeNumber(value: number): Buffer {
  const body = Buffer.allocUnsafe(8)
  writeUint64(body, value, 0)
  return body
}

export const decodeNumber = (body: Buffer): number => readUint64(body, 0)

/** The hash of a process's state after an entry (G7). */
export interface Attested {
  readonly at: Lsn
  /** 32 hexadecimal digits. */
  readonly hash: string
}

export const encodeAttested = (message: Attested): Buffer => Buffer.from(pack(message))
export const decodeAttested = (body: Buffer): Attested => unpack(body, 0, body.length) as Attested
