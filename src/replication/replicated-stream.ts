import type { Transport } from '../ipc/channel.ts'
import type { Environment } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Epoch, type Lsn, lsn, noEpoch, noLsn } from '../kernel/identifiers.ts'
import { AppendQueue } from './append-queue.ts'
import { lastLsnOf, type ReplicatedBatch } from './batch.ts'
import { FollowedBatches } from './followed-batches.ts'
import type { LeaderShell } from './leader-shell.ts'
import { type ConfirmedTail, LinearizableTail } from './linearizable-tail.ts'
import type { ServerAnswer, ServerId, ServerRequest } from './messages.ts'
import { NodeFeed } from './node-feed.ts'
import { type NodeStream, notLeading } from './node-stream.ts'
import type { Appended, AppendOptions, ReadOptions } from './single-write-journal.ts'
import { StreamFollower } from './stream-follower.ts'
import { type Peer, type StreamMeta, sealedEndOf } from './stream-meta.ts'
import type { StreamRecord } from './stream-role.ts'

export interface ReplicatedStreamOptions {
  readonly environment: Environment
  readonly stream: string
  /** Leads it, where this node does. */
  readonly node: NodeStream
  /** To other nodes. */
  readonly transport: Transport
  readonly me: string
  readonly send: (server: ServerId, request: ServerRequest) => boolean
  readonly nextId: () => number
}

interface Reading {
  readonly follower: StreamFollower
  readonly batches: FollowedBatches
}

/** Who asks for what is known waits so long for the word of a server. */
const knownPatienceMs = 500

/** One stream as a node reads it, and appends to it while it leads: what readers and writers of it have in common. */
export class ReplicatedStream {
  readonly node: NodeStream
  readonly #o: ReplicatedStreamOptions
  readonly #feed: NodeFeed
  readonly #readings = new Set<Reading>()
  readonly #tail: LinearizableTail
  #appends: AppendQueue | null = null
  #known: Lsn = noLsn
  /** By the word of a leader, of its open segment. */
  #told: ConfirmedTail = { epoch: noEpoch, lsn: noLsn }

  constructor(options: ReplicatedStreamOptions) {
    const { environment, stream, send, nextId, node, transport, me } = options
    this.#o = options
    this.node = node
    const leader = (): LeaderShell | null => node.leader
    const known = (): Peer | null => node.meta?.leader ?? null
    this.#tail = new LinearizableTail({ environment, transport, stream, me, leader, known })
    // Nothing is read by it: it asks for the tail.
    this.#feed = new NodeFeed({ environment, stream, send, nextId, failed: () => {} })
  }

  led(leader: LeaderShell): void {
    this.#appends = new AppendQueue(leader, this.#o.stream, () => this.notLeading())
    this.#setMeta(leader.meta)
  }

  recordSeen(record: StreamRecord | null): void {
    this.node.recordSeen(record)
    if (record !== null) this.#setMeta(record.meta)
    else for (const { batches } of this.#readings) batches.fail(noStream(this.#o.stream))
  }

  answered(answer: ServerAnswer): void {
    this.node.answered(answer)
    if (answer.stream !== this.#o.stream) return
    this.#feed.answered(answer)
    for (const { follower } of this.#readings) follower.answered(answer)
  }

  append(payload: Buffer, entryCount: number, options: AppendOptions): Promise<Appended> {
    if (this.#appends === null || this.node.leader === null) return Promise.reject(this.notLeading())
    return this.#appends.append(payload, entryCount, options)
  }

  async resign(): Promise<void> {
    this.#appends?.close()
    this.#appends = null
    await this.node.resign()
  }

  notLeading(cause?: unknown): CommanderError {
    const { stream } = this.#o
    return this.node.isDeleted ? noStream(stream) : notLeading(stream, this.node.meta, cause)
  }

  async *read(from: Lsn, { until, wait = false, signal }: ReadOptions): AsyncGenerator<ReplicatedBatch, void> {
    const most = until ?? Number.POSITIVE_INFINITY
    const end = wait ? most : Math.min(most, await this.known())
    if (signal?.aborted === true || from > end) return
    const reading = this.#open(from)
    const abort = (): void => reading.batches.close()
    signal?.addEventListener('abort', abort)
    try {
      for (let last = from - 1; last < end; ) {
        const batch = await reading.batches.next()
        if (batch === null) return
        last = lastLsnOf(batch)
        yield batch
      }
    } finally {
      signal?.removeEventListener('abort', abort)
      this.#close(reading)
    }
  }

  async known(): Promise<Lsn> {
    const { leader, meta, isDeleted } = this.node
    if (isDeleted) throw noStream(this.#o.stream)
    this.#hear(leader?.committed ?? (meta === null ? noLsn : sealedEndOf(meta).tail))
    if (leader === null) this.#hear(await this.#askServers())
    return this.#known
  }

  /** Of nobody in time: nothing. */
  async #askServers(): Promise<Lsn> {
    const { promise, resolve } = Promise.withResolvers<Lsn>()
    const timer = this.#o.environment.scheduler.after(knownPatienceMs, () => resolve(noLsn))
    void this.#feed.tail().then(resolve)
    const tail = await promise
    timer.cancel()
    return tail
  }

  /** By whoever leads. @throws CommanderError `not_leader`: nobody said so in time; `not_found`: it was deleted */
  async linearizable(): Promise<Lsn> {
    const tail = await this.#tail.ask().catch((cause: unknown) => {
      throw this.notLeading(cause)
    })
    if (tail.epoch >= this.#told.epoch) this.#told = tail
    this.#hear(tail.lsn)
    return this.#known
  }

  close(): void {
    this.#tail.stop()
    this.#feed.stop()
    for (const reading of this.#readings) this.#close(reading)
  }

  #committedOf(segmentEpoch: Epoch): Lsn {
    const { leader } = this.node
    if (leader?.epoch === segmentEpoch) return leader.committed
    return this.#told.epoch === segmentEpoch ? this.#told.lsn : noLsn
  }

  #hear(committed: Lsn): void {
    if (committed > this.#known) this.#known = committed
  }

  #setMeta(meta: StreamMeta): void {
    this.#feed.setMeta(meta)
    for (const { follower } of this.#readings) follower.setMeta(meta)
  }

  #open(from: Lsn): Reading {
    const { environment, stream, send, nextId } = this.#o
    const batches: FollowedBatches = new FollowedBatches(() => follower.resume())
    const follower = new StreamFollower({
      environment,
      stream,
      after: { lsn: lsn(from - 1), digest: null },
      mayBeginWithin: true,
      committed: (segmentEpoch) => this.#committedOf(segmentEpoch),
      nextId,
      send,
      batches: (fresh) => {
        this.#hear(lastLsnOf(fresh.at(-1) as ReplicatedBatch))
        batches.add(fresh)
      },
      accepts: () => batches.accepts,
      failed: (error) => batches.fail(error),
    })
    const reading = { follower, batches }
    this.#readings.add(reading)
    const { meta } = this.node
    if (meta !== null) follower.setMeta(meta)
    return reading
  }

  #close(reading: Reading): void {
    reading.follower.stop()
    reading.batches.close()
    this.#readings.delete(reading)
  }
}

export const noStream = (stream: string): CommanderError =>
  new CommanderError('not_found', `there is no stream ${stream}: create it first, or it was deleted`)
