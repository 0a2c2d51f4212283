import type { Environment, Timer } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn, noEpoch, noLsn } from '../kernel/identifiers.ts'
import type { ReplicatedBatch } from './batch.ts'
import { BatchQueue } from './batch-queue.ts'
import type { ServerAnswer, ServerId, ServerRequest, StatusIsAnswer } from './messages.ts'
import { readSealed, type SealedReading } from './sealed-reading.ts'
import type { StreamArchive } from './stream-archive.ts'
import { mustReach, StreamFollower } from './stream-follower.ts'
import { openSegmentOf, type SealedSegment, type StreamMeta, sealedEndOf } from './stream-meta.ts'
import type { StreamPlace } from './stream-place.ts'

export interface NodeFeedOptions {
  readonly environment: Environment
  readonly stream: string
  readonly send: (server: ServerId, request: ServerRequest) => boolean
  /** For reads and questions: an answer is known by it. */
  readonly nextId: () => number
  /** What the journal servers have given up is read from there. Default: nowhere. */
  readonly archive?: StreamArchive | null
  readonly failed: (error: CommanderError) => void
}

/** Committed batches of a stream, as a journal writer takes them. */
export interface OpenFeed {
  next(after: Lsn): ReplicatedBatch | null
  onMore(more: () => void): void
  close(): void
}

interface Reading {
  readonly follower: StreamFollower
  readonly queue: BatchQueue
}

const askAgainMs = 200

/** What a node reads of a stream: to compare its local segments with it, and to follow. */
export class NodeFeed {
  readonly #o: NodeFeedOptions
  readonly #readings = new Set<Reading>()
  readonly #sealed = new Set<SealedReading>()
  /** `undefined` until the record was looked at; null: the stream does not exist. */
  /** The most that any journal server has said to be committed. */
  #known: Lsn = noLsn
  #meta: StreamMeta | null | undefined
  /** Of the reading that was opened last. */
  #last: Reading | null = null
  #waiting: ((tail: Lsn) => void)[] = []
  #timer: Timer | null = null
  #archiveTrouble: string | null = null

  constructor(options: NodeFeedOptions) {
    this.#o = options
  }

  /** Where the reading that was opened last stands; null before there is one. */
  get end(): StreamPlace | null {
    return this.#last?.follower.end ?? null
  }

  setMeta(meta: StreamMeta | null): void {
    this.#meta = meta
    if (meta !== null) for (const { follower } of this.#readings) follower.setMeta(meta)
    this.#askForTail()
  }

  answered(answer: ServerAnswer): void {
    for (const { follower } of this.#readings) follower.answered(answer)
    for (const { follower } of this.#sealed) follower.answered(answer)
    if (answer.kind === 'statusIs' && answer.stream === this.#o.stream) this.#takeStatus(answer)
  }

  /** The last entry that is known to be committed; waits until a journal server answers. */
  tail(): Promise<Lsn> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      this.#askForTail()
    })
  }

  /**
   * Committed batches behind `after`, which ends one.
   *
   * @throws CommanderError `log_trimmed`: they are no longer at the journal servers, and there is no archive
   */
  open(after: Lsn): OpenFeed {
    if (this.#meta && !this.#o.archive) mustReach(this.#meta, after)
    const reading = this.#read({ lsn: after, digest: null })
    this.#last = reading
    const { queue, follower } = reading
    return {
      next: (behind) => queue.next(behind),
      onMore: (more) => queue.onMore(more),
      close: () => {
        follower.stop()
        queue.close()
        this.#readings.delete(reading)
      },
    }
  }

  /** The batches of a sealed segment, from the servers of its group. @throws CommanderError where they have something else, or `stop` came */
  readonly sealed = (segment: SealedSegment): AsyncIterable<ReplicatedBatch> => {
    const { environment, stream, send, nextId } = this.#o
    return readSealed({ environment, stream, send, nextId, readings: this.#sealed }, segment)
  }

  stop(): void {
    for (const { follower } of this.#readings) follower.stop()
    for (const { fail } of this.#sealed) fail(new CommanderError('not_ready', 'this node stops'))
    this.#readings.clear()
    this.#timer?.cancel()
  }

  #read(after: StreamPlace): Reading {
    const { environment, stream, send, failed, nextId, archive = null } = this.#o
    const queue = new BatchQueue(() => follower.resume())
    const follower: StreamFollower = new StreamFollower({
      environment,
      stream,
      archive,
      archiveFailed: (error) => this.#archiveFailed(error),
      after,
      send,
      failed,
      nextId,
      batches: (batches) => queue.add(batches),
      accepts: () => queue.accepts,
      known: () => this.#known,
    })
    const reading = { follower, queue }
    this.#readings.add(reading)
    if (this.#meta) follower.setMeta(this.#meta)
    return reading
  }

  /** Said once for each way of failing. */
  #archiveFailed({ code, message }: CommanderError): void {
    if (this.#archiveTrouble === message) return
    this.#archiveTrouble = message
    this.#o.environment.log.warn({ code }, `what is needed from the archive cannot be read, trying again: ${message}`)
  }

  #askForTail(): void {
    this.#timer?.cancel()
    const meta = this.#meta
    if (this.#waiting.length === 0 || meta === undefined) return
    const open = meta === null ? null : openSegmentOf(meta)
    if (meta === null || open === null) {
      this.#tell(meta === null ? noLsn : sealedEndOf(meta).tail)
      return
    }
    const { stream, send, nextId, environment } = this.#o
    for (const server of open.group) send(server, { kind: 'status', id: nextId(), stream, epoch: noEpoch })
    this.#timer = environment.scheduler.after(askAgainMs, () => this.#askForTail())
  }

  #takeStatus({ segments }: StatusIsAnswer): void {
    const open = this.#meta ? openSegmentOf(this.#meta) : null
    if (open === null || this.#waiting.length === 0) return
    const own = segments.find(({ segmentEpoch }) => segmentEpoch === open.epoch)
    this.#tell(lsn(Math.max(open.base - 1, Math.min(own?.committed ?? 0, own?.flushed ?? 0))))
  }

  #tell(tail: Lsn): void {
    if (tail > this.#known) this.#known = tail
    this.#timer?.cancel()
    for (const resolve of this.#waiting.splice(0)) resolve(tail)
  }
}
