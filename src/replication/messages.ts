import type { Epoch, Lsn } from '../kernel/identifiers.ts'
import type { BatchHead, Digest, ReplicatedBatch } from './batch.ts'

/**
 * The closed union of what leader, journal servers and readers say to each other. Machines see batches as heads, the wire
 * carries them whole: hence the parameter `Batch`. Messages may be lost, doubled, late and out of order; every
 * answer says what is so at the server, and not which request did it, so that an old one does no harm.
 */
export type ServerId = string

/** A journal server as it was registered. One with the same id and another identity is somebody else: its disk was lost. */
export interface Member {
  readonly id: ServerId
  readonly identity: string
  readonly address: string
}

interface ToServer {
  /** Chosen by the sender, returned in the answer. */
  readonly id: number
  readonly stream: string
  /** Of the sender: of the leader that writes, or of the candidate. 0 from readers, who need no leave. */
  readonly epoch: Epoch
}

interface AboutSegment extends ToServer {
  /** The epoch that opened the segment. */
  readonly segmentEpoch: Epoch
}

/** Creates the segment where the server does not have it. Raises the promise to `epoch`. -> `segmentState` */
export interface OpenSegmentRequest extends AboutSegment {
  readonly kind: 'openSegment'
  readonly base: Lsn
  readonly baseDigest: Digest
}

/** Batches in order, contiguous. -> `appended` once they are flushed, or `refused` */
export interface AppendRequest<Batch extends BatchHead = ReplicatedBatch> extends AboutSegment {
  readonly kind: 'append'
  readonly batches: readonly Batch[]
  /** Hint: all up to here in this segment is committed. */
  readonly committed: Lsn
  /** Chain: to whom the server passes this on, in order; the first one gets the rest of the list. Empty: to nobody. */
  readonly next: readonly Member[]
}

/** Raises the promise to `epoch`, durably, and stops acknowledging lower ones. -> `sealed` */
export interface SealRequest extends AboutSegment {
  readonly kind: 'seal'
}

/** The segment was sealed at `tail`: what lies above is dropped, what does not is committed. -> `segmentState` */
export interface FinishRequest extends AboutSegment {
  readonly kind: 'finish'
  readonly tail: Lsn
  readonly tailDigest: Digest
}

/**
 * Of a sealed segment that is damaged here, and whole on `ackQuorum` others: drops everything above `after`, in order
 * to take it again. -> `segmentState`
 */
export interface RewindRequest extends AboutSegment {
  readonly kind: 'rewind'
  readonly after: Lsn
}

/** The committed hint alone, when there is nothing to append. -> `segmentState` */
export interface CommitRequest extends AboutSegment {
  readonly kind: 'commit'
  readonly committed: Lsn
}

/** Whether `epoch` is still the highest that was promised. -> `confirmed` or `refused` (fenced) */
export interface ConfirmRequest extends ToServer {
  readonly kind: 'confirm'
}

/**
 * Whole batches from the one that holds `from` up to the one that holds `until`, at least one. `known`: committed ones only, for whoever follows.
 * `repair`: whatever is there and intact, for a candidate or leader whose epoch is promised. -> `batches`
 */
export interface ReadRequest extends AboutSegment {
  readonly kind: 'read'
  readonly from: Lsn
  readonly until: Lsn
  readonly bytesMax: number
  readonly purpose: 'known' | 'repair'
  /** What the reader knows to be committed: from the tail of a sealed segment, or from the leader. 0 for nothing. */
  readonly committed: Lsn
}

/** The digest at `lsn`, which must be the last entry of a batch. -> `digestIs` */
export interface DigestRequest extends AboutSegment {
  readonly kind: 'digest'
  readonly lsn: Lsn
}

/** -> `statusIs` */
export interface StatusRequest extends ToServer {
  readonly kind: 'status'
}

/** Everything up to and with `trimLsn` may go. -> `trimmed` */
export interface TrimRequest extends ToServer {
  readonly kind: 'trim'
  readonly trimLsn: Lsn
}

/** -> `deleted` */
export interface DeleteStreamRequest extends ToServer {
  readonly kind: 'deleteStream'
}

export type ServerRequest<Batch extends BatchHead = ReplicatedBatch> =
  | OpenSegmentRequest
  | AppendRequest<Batch>
  | SealRequest
  | FinishRequest
  | RewindRequest
  | CommitRequest
  | ConfirmRequest
  | ReadRequest
  | DigestRequest
  | StatusRequest
  | TrimRequest
  | DeleteStreamRequest

export interface DamagedRange {
  readonly from: Lsn
  readonly to: Lsn
}

/** What a server has of a segment. */
export interface SegmentState {
  readonly segmentEpoch: Epoch
  readonly base: Lsn
  readonly baseDigest: Digest
  /** The last entry that is flushed; `base - 1` for none. Damaged ones count as there. */
  readonly flushed: Lsn
  /** At `flushed`; null where that is damaged. */
  readonly flushedDigest: Digest | null
  /** Hint: all up to here is committed. May lie above `flushed`. */
  readonly committed: Lsn
  /** The end of the log is damaged: there may have been more than `flushed` says. */
  readonly atLeast: boolean
  readonly damaged: readonly DamagedRange[]
  /** It was told where the segment ends. */
  readonly finished: boolean
}

interface FromServer {
  /** Of the request; 0 in what a server says by itself. */
  readonly id: number
  readonly stream: string
  readonly server: ServerId
  readonly identity: string
}

/** How far a server has flushed a segment, cumulative. */
export interface Acknowledgement {
  readonly server: ServerId
  readonly identity: string
  readonly flushed: Lsn
}

export interface AppendedAnswer extends FromServer {
  readonly kind: 'appended'
  readonly segmentEpoch: Epoch
  /** The epoch of the writer that it is for: the server promised none higher when it answered. */
  readonly epoch: Epoch
  /** The server's own, and in a chain those of the servers behind it. */
  readonly acks: readonly Acknowledgement[]
}

export interface SealedAnswer extends FromServer {
  readonly kind: 'sealed'
  /** The epoch that is promised now, durably: that of the request. */
  readonly promised: Epoch
  /** null: the server never had the segment. */
  readonly segment: SegmentState | null
}

export interface SegmentStateAnswer extends FromServer {
  readonly kind: 'segmentState'
  /** The epoch of the writer that it is for. */
  readonly epoch: Epoch
  readonly segment: SegmentState
}

export interface ConfirmedAnswer extends FromServer {
  readonly kind: 'confirmed'
  readonly epoch: Epoch
}

export interface BatchesAnswer<Batch extends BatchHead = ReplicatedBatch> extends FromServer {
  readonly kind: 'batches'
  readonly segmentEpoch: Epoch
  /** Empty: there is nothing yet that may be read. */
  readonly batches: readonly Batch[]
  /** How far may be read here by now. */
  readonly committed: Lsn
}

export interface DigestIsAnswer extends FromServer {
  readonly kind: 'digestIs'
  readonly segmentEpoch: Epoch
  readonly lsn: Lsn
  /** null: no batch that the server has, intact, ends there. */
  readonly digest: Digest | null
}

export interface StatusIsAnswer extends FromServer {
  readonly kind: 'statusIs'
  readonly promised: Epoch
  readonly segments: readonly SegmentState[]
}

export interface TrimmedAnswer extends FromServer {
  readonly kind: 'trimmed'
  readonly trimLsn: Lsn
}

export interface DeletedAnswer extends FromServer {
  readonly kind: 'deleted'
}

export interface RefusedAnswer extends FromServer {
  readonly kind: 'refused'
  /** The epoch of the request. */
  readonly epoch: Epoch
  /** null where the request was about none. */
  readonly segmentEpoch: Epoch | null
  readonly refusal: Refusal
}

/** Why a server did nothing. */
export type Refusal =
  /** A higher epoch is promised: step down. */
  | { readonly reason: 'fenced'; readonly promised: Epoch }
  /** Open it first, or it was trimmed away. */
  | { readonly reason: 'unknownSegment' }
  /** The server has nothing between `matched` and the batch. */
  | { readonly reason: 'gap'; readonly matched: Lsn }
  /** The server holds something else at `lsn`: an alarm, nothing is ever overwritten. */
  | { readonly reason: 'conflict'; readonly lsn: Lsn }
  /** The segment ends at `tail`. */
  | { readonly reason: 'sealed'; readonly tail: Lsn }
  | { readonly reason: 'damaged'; readonly from: Lsn; readonly to: Lsn }
  | { readonly reason: 'trimmed'; readonly trimLsn: Lsn }
  /** No room on the disk. */
  | { readonly reason: 'full' }
  | { readonly reason: 'malformed'; readonly what: string }

export type ServerAnswer<Batch extends BatchHead = ReplicatedBatch> =
  | AppendedAnswer
  | SealedAnswer
  | SegmentStateAnswer
  | ConfirmedAnswer
  | BatchesAnswer<Batch>
  | DigestIsAnswer
  | StatusIsAnswer
  | TrimmedAnswer
  | DeletedAnswer
  | RefusedAnswer

/** A follower asks the node that leads how far it must have applied before a read that sees everything acknowledged. */
export interface TailRequest {
  readonly kind: 'tail'
  readonly id: number
  readonly stream: string
}

export interface TailIsAnswer {
  readonly kind: 'tailIs'
  readonly id: number
  readonly stream: string
  readonly epoch: Epoch
  readonly lsn: Lsn
}

export interface NotLeaderAnswer {
  readonly kind: 'notLeader'
  readonly id: number
  readonly stream: string
  readonly epoch: Epoch
  /** Who leads as far as the node knows. */
  readonly leader: { readonly id: string; readonly address: string } | null
}

export type LeaderAnswer = TailIsAnswer | NotLeaderAnswer

/** How a journal server is, whatever its streams. -> `reportIs` */
export interface ReportRequest {
  readonly kind: 'report'
  readonly id: number
}

export interface ReportIsAnswer {
  readonly kind: 'reportIs'
  readonly id: number
  readonly server: ServerId
  readonly identity: string
  /** What its directory takes on its disk, and what is left there. */
  readonly diskBytes: number
  readonly freeBytes: number
  readonly streams: number
  /** Since it started; each is in its log, and somebody must look. */
  readonly alarms: number
}
