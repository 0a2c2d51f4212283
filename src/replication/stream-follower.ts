import type { Environment, Timer } from '../kernel/environment.ts'
import { asCommanderError, CommanderError } from '../kernel/errors.ts'
import { type Epoch, type Lsn, lsn, noEpoch, noLsn } from '../kernel/identifiers.ts'
import { ArchiveReading } from './archive-reading.ts'
import { type Digest, isIntact, lastLsnOf, type ReplicatedBatch } from './batch.ts'
import type { BatchesAnswer, RefusedAnswer, ServerAnswer, ServerId, ServerRequest } from './messages.ts'
import type { StreamArchive } from './stream-archive.ts'
import type { SegmentMeta, StreamMeta } from './stream-meta.ts'
import type { StreamPlace } from './stream-place.ts'

export interface StreamFollowerOptions {
  readonly environment: Pick<Environment, 'scheduler'>
  readonly stream: string
  /** What the journal servers have given up is read from there. Default: nowhere. */
  readonly archive?: StreamArchive | null
  /** The archive fails; it is asked again. */
  readonly archiveFailed?: (error: CommanderError) => void
  /** The last entry that the follower has. */
  readonly after: StreamPlace
  /** The first batch may begin before `after`, and is handed on as a whole. Default false: then it cannot be what the follower was following. */
  readonly mayBeginWithin?: boolean
  /**
   * What is known here to be committed of this segment, while it is open: servers hear of it later. What is known of another one
   * says nothing: a server that has not heard of the seal may hold other entries there. Default: nothing.
   */
  readonly committed?: (segmentEpoch: Epoch) => Lsn
  /** What any server has said to be committed: one that does not know of it is left for another one. Default: nothing. */
  readonly known?: () => Lsn
  /** For reads: an answer is known by it. */
  readonly nextId: () => number
  /** @returns false: the request is lost */
  readonly send: (server: ServerId, request: ServerRequest) => boolean
  /** Committed batches, in order, each exactly once, without a gap. Their payloads are views: copy what is kept. */
  readonly batches: (batches: readonly ReplicatedBatch[]) => void
  /** False: no more batches for now; call `resume`. Default: always true. */
  readonly accepts?: () => boolean
  /** There was nothing more at the time: everything that is known to be committed was handed on. Again after each look. */
  readonly caughtUp?: () => void
  /** What is wanted is no longer at the servers, or what they have is not what the follower had: it cannot go on. */
  readonly failed: (error: CommanderError) => void
}

const bytesPerRead = 1_048_576
/** How long a follower that has everything waits before it asks again. */
const pollMs = 10
/** From a failure of the archive to the next try. */
const archiveRetryMs = 1000
/** Without an answer for so long, another server is asked. A server holds a read for a second when it has nothing yet. */
const answerMs = 2000

/**
 * Reads the committed entries of a stream from its journal servers, one request at a time, from whichever server of the
 * segment's group answers.
 *
 * - F1: batches are handed on only if they follow the digest before them and hold what their own says.
 * - F2: nothing beyond a segment's tail is taken from that segment.
 * - F3: what was trimmed comes out of the archive, where there is one; it is held to the same.
 */
export class StreamFollower {
  readonly #o: StreamFollowerOptions
  #meta: StreamMeta | null = null
  #after: Lsn
  #digest: Digest | null
  #requestId = 0
  /** Of the group of the segment that is read, by turns. */
  #turn = 0
  #timer: Timer | null = null
  #isWaiting = false
  #isFirst = true
  #stopped = false
  readonly #archive: ArchiveReading | null

  constructor(options: StreamFollowerOptions) {
    this.#o = options
    this.#archive = options.archive ? new ArchiveReading(options.archive) : null
    this.#after = options.after.lsn
    this.#digest = options.after.digest
  }

  /** The last entry that was handed on, and the digest there. */
  get end(): StreamPlace {
    return { lsn: this.#after, digest: this.#digest }
  }

  /** The stream's record, as it is now. Older ones than seen before do nothing. */
  setMeta(meta: StreamMeta): void {
    if (this.#meta !== null && meta.epoch < this.#meta.epoch) return
    this.#meta = meta
    if (!this.#isWaiting) this.#ask()
  }

  /** Batches are accepted again. */
  resume(): void {
    if (!this.#isWaiting) this.#ask()
  }

  answered(answer: ServerAnswer): void {
    if (this.#stopped || answer.stream !== this.#o.stream || answer.id !== this.#requestId || !this.#isWaiting) return
    if (answer.kind === 'batches') this.#take(answer)
    else if (answer.kind === 'refused') this.#refused(answer)
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
    this.#timer = null
    this.#archive?.close()
  }

  #ask(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#isWaiting = false
    if (this.#stopped || this.#meta === null || this.#o.accepts?.() === false) return
    const segment = segmentAt(this.#meta, this.#after)
    if (segment === 'trimmed') {
      this.#askArchive(this.#meta)
      return
    }
    if (segment === null) {
      // The record changes when there is more.
      this.#o.caughtUp?.()
      return
    }
    const server = segment.group[this.#turn % segment.group.length] as ServerId
    this.#requestId = this.#o.nextId()
    const isSent = this.#o.send(server, {
      kind: 'read',
      id: this.#requestId,
      stream: this.#o.stream,
      epoch: noEpoch,
      segmentEpoch: segment.epoch,
      from: lsn(this.#after + 1),
      until: segment.state === 'sealed' ? segment.tail : lsn(Number.MAX_SAFE_INTEGER),
      committed: segment.state === 'sealed' ? segment.tail : (this.#o.committed?.(segment.epoch) ?? noLsn),
      bytesMax: bytesPerRead,
      purpose: 'known',
    })
    if (isSent) this.#waitFor(answerMs, true)
    else this.#waitFor(pollMs, true)
  }

  /** F3. */
  #askArchive(meta: StreamMeta): void {
    if (this.#archive === null) {
      this.#fail(trimmedAway(this.#after, meta))
      return
    }
    this.#isWaiting = true
    this.#requestId = 0 // what a server still answers is too late
    this.#archive.next(this.#after, meta).then(
      (batches) => this.#takeArchived(batches),
      (error: unknown) => this.#archiveFailed(asCommanderError(error)),
    )
  }

  #takeArchived(batches: readonly ReplicatedBatch[]): void {
    if (this.#stopped) return
    const fresh = this.#fitting(batches, null)
    if (fresh === null) return
    if (fresh.length === 0) {
      // It ended before the servers go on: by now the record may say more.
      this.#waitFor(pollMs, false)
      return
    }
    this.#isWaiting = false
    this.#o.batches(fresh)
    this.#ask()
  }

  #archiveFailed(error: CommanderError): void {
    if (this.#stopped) return
    if (!error.retryable) {
      this.#fail(error)
      return
    }
    this.#o.archiveFailed?.(error)
    this.#waitFor(archiveRetryMs, false)
  }

  #waitFor(delayMs: number, nextServer: boolean): void {
    this.#isWaiting = true
    this.#timer = this.#o.environment.scheduler.after(delayMs, () => {
      if (nextServer) this.#turn++
      this.#ask()
    })
  }

  #take(answer: BatchesAnswer): void {
    this.#timer?.cancel()
    const segment = this.#meta === null ? null : segmentAt(this.#meta, this.#after)
    if (segment === null || segment === 'trimmed' || segment.epoch !== answer.segmentEpoch) {
      this.#ask()
      return
    }
    const fresh = this.#fitting(answer.batches, segment.state === 'sealed' ? segment.tail : null)
    if (fresh === null) return
    if (fresh.length > 0) this.#o.batches(fresh)
    if (this.#stopped) return
    // A server that was not told of the seal may know less than is committed, or have something damaged: another one is asked. So is
    // it where nobody leads, and this one is never told what others were told last.
    const isBehind = this.#after < (this.#o.known?.() ?? noLsn)
    const isOdd = segment.state === 'sealed' || answer.batches.length > 0 || isBehind
    if (fresh.length > 0) this.#ask()
    else {
      this.#waitFor(pollMs, isOdd)
      if (!isOdd) this.#o.caughtUp?.()
    }
  }

  /** Those that follow; null when what the server has cannot be what the follower was following. */
  #fitting(batches: readonly ReplicatedBatch[], tail: Lsn | null): readonly ReplicatedBatch[] | null {
    const fresh: ReplicatedBatch[] = []
    for (const batch of batches) {
      const last = lastLsnOf(batch)
      if (last <= this.#after) continue
      if (tail !== null && last > tail) break // F2
      if (!isIntact(batch) || batch.firstLsn > this.#after + 1) break
      if (this.#isFirst && this.#o.mayBeginWithin === true) this.#begin(batch)
      this.#isFirst = false
      if (batch.firstLsn !== this.#after + 1 || this.#digest?.equals(batch.prevDigest) === false) {
        this.#fail(otherHistory(this.#o.stream, this.#after))
        return null
      }
      fresh.push(batch) // F1
      this.#after = last
      this.#digest = Buffer.from(batch.digest)
    }
    return fresh
  }

  #begin({ firstLsn, prevDigest }: ReplicatedBatch): void {
    this.#after = lsn(firstLsn - 1)
    this.#digest = Buffer.from(prevDigest)
  }

  #refused({ refusal }: RefusedAnswer): void {
    this.#timer?.cancel()
    if (
      refusal.reason === 'trimmed' &&
      this.#after < refusal.trimLsn &&
      (this.#meta?.trimLsn ?? 0) >= refusal.trimLsn
    ) {
      this.#askArchive(this.#meta as StreamMeta)
      return
    }
    // Damaged, or not opened there (yet): another one has it.
    this.#waitFor(pollMs, true)
  }

  #fail(error: CommanderError): void {
    this.stop()
    this.#o.failed(error)
  }
}

/** The segment that holds the entry after this one; null where there is none (yet). */
function segmentAt(meta: StreamMeta, after: Lsn): SegmentMeta | null | 'trimmed' {
  const wanted = after + 1
  if (wanted <= meta.trimLsn) return 'trimmed'
  const segment = meta.segments.find((one) => one.state === 'open' || one.tail >= wanted)
  if (segment === undefined) return null
  return segment.base <= wanted ? segment : 'trimmed'
}

/** @throws CommanderError `log_trimmed`: what comes behind `after` is no longer at the journal servers */
export function mustReach(meta: StreamMeta, after: Lsn): void {
  if (segmentAt(meta, after) === 'trimmed') throw trimmedAway(after, meta)
}

const trimmedAway = (after: Lsn, { trimLsn }: Pick<StreamMeta, 'trimLsn'>): CommanderError =>
  new CommanderError(
    'log_trimmed',
    `this node has entries up to ${after}, and the journal servers have given up those up to ${trimLsn}: ` +
      'stop the node and start it again, then it takes the store of another node, if one is there',
    { details: { after, trimLsn } },
  )

const otherHistory = (stream: string, after: Lsn): CommanderError =>
  new CommanderError(
    'journal_corrupt',
    `what the journal servers have of ${stream} does not follow what this node has up to entry ${after}`,
    { details: { lsn: after } },
  )
