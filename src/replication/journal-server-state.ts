import { type Epoch, type Lsn, lsn } from '../kernel/identifiers.ts'
import type { BatchHead, Digest } from './batch.ts'
import type {
  Acknowledgement,
  DamagedRange,
  Member,
  SegmentState,
  ServerAnswer,
  ServerId,
  ServerRequest,
} from './messages.ts'

/** Who sent a request, in the shell's words: an answer goes back there. */
export type Sender = string

/** What one journal server knows of one stream. The shell makes it from the disk at its start. */
export interface ServerStream {
  readonly stream: string
  readonly server: ServerId
  readonly identity: string
  /** On the disk. */
  readonly promised: Epoch
  readonly trimLsn: Lsn
  readonly segments: ReadonlyMap<Epoch, ServerSegment>
}

export interface ServerSegment {
  readonly segmentEpoch: Epoch
  readonly base: Lsn
  readonly baseDigest: Digest
  readonly flushed: Lsn
  /** null where the end is damaged: recovery cuts such an end off, and says `atLeast`. */
  readonly flushedDigest: Digest | null
  /** The ends of the batches that are written and not flushed. */
  readonly unflushed: readonly BatchEnd[]
  readonly committed: Lsn
  readonly atLeast: boolean
  readonly damaged: readonly DamagedRange[]
  readonly finishedAt: Lsn | null
  readonly isFlushing: boolean
  /** Answers that wait for a flush. */
  readonly owed: readonly Owed[]
  /** Of a chain: who gets the acknowledgements of those behind, and how far these are. */
  readonly upstream: Owed | null
  readonly downstream: readonly Acknowledgement[]
}

export interface BatchEnd {
  readonly lsn: Lsn
  readonly digest: Digest
}

export interface Owed {
  readonly to: Sender
  readonly id: number
  readonly epoch: Epoch
  readonly upTo: Lsn
}

export type ServerEvent =
  | {
      readonly kind: 'request'
      readonly from: Sender
      readonly request: ServerRequest<BatchHead>
      /** The digest at the entry that `lsnAskedOf` names, where a batch ends there that is intact; null otherwise. */
      readonly held: Digest | null
    }
  /** Of the server that a chain goes on to. */
  | { readonly kind: 'answer'; readonly answer: ServerAnswer<BatchHead> }
  | { readonly kind: 'flushed'; readonly segmentEpoch: Epoch; readonly flushed: Lsn }
  /** There was no room: the log ends at `written`. The other effects of that step were carried out. */
  | { readonly kind: 'full'; readonly segmentEpoch: Epoch; readonly written: Lsn }
  /** A read or a scrub met it. */
  | { readonly kind: 'damaged'; readonly segmentEpoch: Epoch; readonly range: DamagedRange }

export type ServerEffect =
  /** Durable before the next effect. */
  | { readonly do: 'promise'; readonly epoch: Epoch }
  | {
      readonly do: 'createSegment'
      readonly segmentEpoch: Epoch
      readonly base: Lsn
      readonly baseDigest: Digest
    }
  /** The batches of the request that is being handled, but for the first `skip`. */
  | { readonly do: 'write'; readonly segmentEpoch: Epoch; readonly skip: number; readonly committed: Lsn }
  /** The request that is being handled, to the next of its chain. */
  | { readonly do: 'forward'; readonly to: Member; readonly next: readonly Member[] }
  /** Ends in an event `flushed`. */
  | { readonly do: 'flush'; readonly segmentEpoch: Epoch }
  /** Drops whole batches; durable before the next effect. */
  | { readonly do: 'truncate'; readonly segmentEpoch: Epoch; readonly after: Lsn }
  /** Segments that end below. */
  | { readonly do: 'dropSegments'; readonly before: Lsn }
  | { readonly do: 'deleteStream' }
  /** Answers with whole batches from the one that holds `from`, none that ends above `until`. */
  | {
      readonly do: 'read'
      readonly to: Sender
      readonly id: number
      readonly segmentEpoch: Epoch
      readonly from: Lsn
      readonly until: Lsn
      readonly bytesMax: number
      readonly committed: Lsn
    }
  | { readonly do: 'answer'; readonly to: Sender; readonly answer: ServerAnswer<BatchHead> }
  /** Somebody must look. */
  | { readonly do: 'alarm'; readonly what: string }

export const newServerStream = (
  stream: string,
  server: ServerId,
  identity: string,
  promised: Epoch,
  segments: readonly ServerSegment[],
): ServerStream => ({
  stream,
  server,
  identity,
  promised,
  trimLsn: lsn(0),
  segments: new Map(segments.map((segment) => [segment.segmentEpoch, segment])),
})

type Found = Pick<ServerSegment, 'segmentEpoch' | 'base' | 'baseDigest'> &
  Partial<Pick<ServerSegment, 'flushed' | 'flushedDigest' | 'committed' | 'atLeast' | 'damaged'>>

/** A segment as it was found on the disk; a new one without the rest. */
export const newServerSegment = (found: Found): ServerSegment => ({
  flushed: lsn(found.base - 1),
  flushedDigest: found.baseDigest,
  committed: lsn(0),
  atLeast: false,
  damaged: [],
  ...found,
  unflushed: [],
  finishedAt: null,
  isFlushing: false,
  owed: [],
  upstream: null,
  downstream: [],
})

export const writtenOf = ({ unflushed, flushed }: ServerSegment): Lsn => unflushed.at(-1)?.lsn ?? flushed
export const writtenDigestOf = ({ unflushed, flushedDigest }: ServerSegment): Digest | null =>
  unflushed.at(-1)?.digest ?? flushedDigest

export const stateOf = (segment: ServerSegment): SegmentState => ({
  segmentEpoch: segment.segmentEpoch,
  base: segment.base,
  baseDigest: segment.baseDigest,
  flushed: segment.flushed,
  flushedDigest: segment.flushedDigest,
  committed: segment.committed,
  atLeast: segment.atLeast,
  damaged: segment.damaged,
  finished: segment.finishedAt !== null,
})

export const withSegment = (state: ServerStream, segment: ServerSegment): ServerStream => ({
  ...state,
  segments: new Map(state.segments).set(segment.segmentEpoch, segment),
})

/** The entry whose digest in the log decides about a request; null where none does. */
export function lsnAskedOf(request: ServerRequest<BatchHead>): Lsn | null {
  switch (request.kind) {
    case 'append': {
      const last = request.batches.at(-1)
      return last === undefined ? null : lsn(last.firstLsn + last.entryCount - 1)
    }
    case 'finish':
      return request.tail
    case 'rewind':
      return request.after
    case 'digest':
      return request.lsn
    default:
      return null
  }
}
