import type { Environment, Timer } from '../kernel/environment.ts'
import { asCommanderError, CommanderError } from '../kernel/errors.ts'
import type { Epoch } from '../kernel/identifiers.ts'
import type { ReplicatedBatch } from './batch.ts'
import type { Wish } from './leader-state.ts'
import type { StreamArchive } from './stream-archive.ts'
import { type SealedSegment, type StreamMeta, sealedEndOf } from './stream-meta.ts'

/** The leader as the archiver sees it: `LeaderShell`. */
export interface ArchivingLeader {
  readonly meta: StreamMeta
  readonly failed: CommanderError | null
  wish(wish: Wish): void
}

export interface StreamArchiverOptions {
  readonly environment: Environment
  readonly archive: StreamArchive
  /** The batches of a sealed segment, from the journal servers. */
  readonly read: (segment: SealedSegment) => AsyncIterable<ReplicatedBatch>
  /** A segment of the stream is sealed when it has so much. */
  readonly segmentBytes: number
}

/** How far the archive is. */
export interface StreamArchiveStatus {
  readonly location: string
  readonly archivedLsn: number
  /** Sealed segments that have no mark yet, and about how much they hold. */
  readonly waitingSegments: number
  readonly waitingBytes: number
  /** Of this node, which leads, one after the other. */
  readonly failures: number
  readonly error: Pick<CommanderError, 'code' | 'message'> | null
}

const retryDelayMsMin = 1000
const retryDelayMsMax = 60_000
/** A segment that takes longer is reported as a failure, though it goes on. */
const slowMs = 120_000

/**
 * Brings each sealed segment of the stream to the archive, oldest first, one at a time, on the node that leads. What is done stands in the
 * record of the stream, so that the next leader goes on where this one stopped.
 *
 * - A1: a segment gets its mark only when the archive was seen to hold it, and only what has a mark may be trimmed (I13).
 * - A2: what the record says to be archived must be in this node's archive: one that was given another place archives and trims nothing.
 * - A3: whatever fails is tried again, later and later, and said once; appends never wait for it.
 */
export class StreamArchiver {
  readonly #o: StreamArchiverOptions
  #isRunning = false
  #isStopped = false
  #isSamePlace = false
  /** Archived, and the record is being told. */
  #told: Epoch | null = null
  #failures = 0
  #error: CommanderError | null = null
  #nextTryMs = Number.NEGATIVE_INFINITY
  #slow: Timer | null = null

  constructor(options: StreamArchiverOptions) {
    this.#o = options
  }

  /** Called now and then while this node leads. */
  look(leader: ArchivingLeader): void {
    if (this.#isRunning || this.#isStopped || leader.failed !== null) return
    if (this.#o.environment.clock.monotonicMs() < this.#nextTryMs) return
    const segment = waitingOf(leader.meta).find(({ epoch }) => epoch !== this.#told)
    if (segment === undefined && this.#isSamePlace) return
    this.#isRunning = true
    void this.#run(leader, segment)
  }

  /** A2: what has its mark may be trimmed. */
  get mayTrim(): boolean {
    return this.#isSamePlace
  }

  /** @param meta as this node knows it, whether it leads or not */
  status(meta: StreamMeta | null): StreamArchiveStatus {
    const waiting = meta === null ? [] : waitingOf(meta)
    const [first] = waiting
    const archivedLsn = first !== undefined ? first.base - 1 : meta === null ? 0 : sealedEndOf(meta).tail
    const error = this.#error
    return {
      location: this.#o.archive.location,
      archivedLsn,
      waitingSegments: waiting.length,
      waitingBytes: waiting.length * this.#o.segmentBytes,
      failures: this.#failures,
      error: error === null ? null : { code: error.code, message: error.message },
    }
  }

  stop(): void {
    this.#isStopped = true
    this.#slow?.cancel()
  }

  async #run(leader: ArchivingLeader, segment: SealedSegment | undefined): Promise<void> {
    const { environment, archive } = this.#o
    this.#slow = environment.scheduler.after(slowMs, () => this.#note(tooSlow(archive.location)))
    try {
      await this.#mustBeSamePlace(leader.meta)
      if (segment !== undefined) await this.#archive(leader, segment)
      if (!this.#isStopped) this.#well()
    } catch (error) {
      if (!this.#isStopped) this.#failed(asCommanderError(error))
    } finally {
      this.#slow.cancel()
      this.#isRunning = false
    }
  }

  /** A2. */
  async #mustBeSamePlace({ segments }: StreamMeta): Promise<void> {
    if (this.#isSamePlace) return
    const { archive } = this.#o
    const marked = segments.flatMap((one) => (one.state === 'sealed' && one.archive !== undefined ? one.archive : []))
    const newest = marked.at(-1)
    if (newest !== undefined && !(await archive.holds(newest))) throw otherPlace(archive.location, newest)
    this.#isSamePlace = true
  }

  async #archive(leader: ArchivingLeader, segment: SealedSegment): Promise<void> {
    const { environment, archive, read } = this.#o
    const object = await archive.store(segment, () => read(segment))
    if (this.#isStopped) return
    const { base, tail } = segment
    environment.log.info({ base, tail, object }, 'a segment of the stream is archived')
    this.#told = segment.epoch
    leader.wish({ kind: 'archived', segmentEpoch: segment.epoch, archive: object }) // A1
  }

  #well(): void {
    if (this.#error !== null)
      this.#o.environment.log.info({ location: this.#o.archive.location }, 'the archive is well again')
    this.#error = null
    this.#failures = 0
  }

  /** A3. */
  #failed(error: CommanderError): void {
    this.#failures++
    this.#note(error)
    const { clock, random } = this.#o.environment
    const longestMs = Math.min(retryDelayMsMax, retryDelayMsMin * 2 ** Math.min(this.#failures - 1, 10))
    this.#nextTryMs = clock.monotonicMs() + longestMs * (0.5 + random.uint32() / 2 ** 33)
  }

  #note(error: CommanderError): void {
    const isNew = this.#error?.code !== error.code || this.#error.message !== error.message
    this.#error = error
    if (!isNew) return
    const { location } = this.#o.archive
    this.#o.environment.log.warn(
      { location, code: error.code, error: error.message },
      `the archive fails, and the journal servers keep what is not in it: ${error.message}`,
    )
  }
}

const waitingOf = ({ segments }: StreamMeta): readonly SealedSegment[] =>
  segments.filter((segment): segment is SealedSegment => segment.state === 'sealed' && segment.archive === undefined)

const tooSlow = (location: string): CommanderError =>
  new CommanderError(
    'archive_unavailable',
    `the archive ${location} has not taken a segment of the stream for ${slowMs / 1000} seconds; check whether it hangs, and the journal servers`,
  )

const otherPlace = (location: string, object: string): CommanderError =>
  new CommanderError(
    'archive_conflict',
    `the archive ${location} does not have ${object}, which another node has archived: give all nodes of the cluster the same archive, ` +
      'one that all of them reach',
    { details: { location, object } },
  )
