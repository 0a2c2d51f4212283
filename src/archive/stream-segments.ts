import { Readable } from 'node:stream'
import { journalLimits } from '../journal/options.ts'
import { segmentName } from '../journal/segment-name.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { lsn } from '../kernel/identifiers.ts'
import type { ArchiveTarget } from './archive-target.ts'
import { archiveNames } from './archive-target.ts'
import { type BatchObjectName, parseBatchObjectName, streamPrefix } from './batch-object.ts'
import { damagedObject, readBatchHeader, readBatchObject } from './batch-object-reading.ts'
import { type SegmentCodec, zstd } from './segment-codec.ts'
import { type SegmentEnd, segmentOfBatches } from './segment-of-batches.ts'

export interface StreamSegmentsOptions {
  readonly target: ArchiveTarget
  readonly stream: string
  /** The newest wall time of the entries in a payload. */
  readonly wallMsOf: (payload: Buffer) => number
  /** Default: zstd. */
  readonly codec?: SegmentCodec
}

/** An object of the stream, and the segment that it is seen as. */
interface SeenSegment {
  readonly name: BatchObjectName
  readonly segNo: number
  readonly before: BatchObjectName | null
}

const timeline = 1

/**
 * An archive of a replicated journal, seen as one of a journal of its own: each object of the stream is a segment of timeline 1, made while it
 * is read, and numbered by where it lies among the others. So it can be verified and restored from as any other archive, into a
 * database with a journal of its own; what that archives goes beside it, under a timeline of its own.
 *
 * - V1: an object is given only as what follows the one before: their digests meet.
 * - V2: where one is missing a number is left out, so that nobody takes what comes behind for what comes next.
 */
export class StreamSegments implements ArchiveTarget {
  readonly #o: StreamSegmentsOptions
  readonly #codec: SegmentCodec
  readonly #seen: ReadonlyMap<string, SeenSegment>
  /** Of segments that were made, by number: the next one follows it. */
  readonly #ends = new Map<number, SegmentEnd>()

  private constructor(options: StreamSegmentsOptions, seen: ReadonlyMap<string, SeenSegment>) {
    this.#o = options
    this.#codec = options.codec ?? zstd
    this.#seen = seen
  }

  /**
   * The target as it is, where it has no stream.
   * @throws CommanderError `archive_conflict`: it has two histories of the stream; `archive_unavailable`
   */
  static async over(options: StreamSegmentsOptions): Promise<ArchiveTarget> {
    const { target, stream } = options
    const objects = await target.list(streamPrefix(stream))
    const names = objects.flatMap((object) => parseBatchObjectName(stream, object) ?? [])
    return names.length === 0 ? target : new StreamSegments(options, numbered(target, names))
  }

  /** The first and the last entry that it has, if nothing in between is missing. */
  get range(): { readonly firstLsn: number; readonly lastLsn: number } | null {
    const all = [...this.#seen.values()]
    const [first, last] = [all[0], all.at(-1)]
    const isWhole = all.slice(1).every(({ before }) => before !== null)
    return first && last && isWhole ? { firstLsn: first.name.base, lastLsn: last.name.tail } : null
  }

  get location(): string {
    return this.#o.target.location
  }

  async list(prefix: string, after = ''): Promise<string[]> {
    const own = [...this.#seen.keys()].filter((name) => name.startsWith(prefix) && name > after)
    const others = await this.#o.target.list(prefix, after)
    return [...own, ...others].sort()
  }

  async read(name: string): Promise<Readable> {
    const seen = this.#seen.get(name)
    if (seen === undefined) return this.#o.target.read(name)
    const header = await readBatchHeader(this.#o.target, seen.name, this.#codec)
    await this.#mustFollow(seen, header.baseDigest) // V1
    const batches = readBatchObject(this.#o.target, seen.name, this.#codec)
    const before = this.#ends.get(seen.segNo - 1) ?? null
    const made = segmentOfBatches({ header, segNo: seen.segNo, before, wallMsOf: this.#o.wallMsOf }, batches, (end) =>
      this.#ends.set(seen.segNo, end),
    )
    if (made.bytes > journalLimits.segmentBytesMax) throw tooLarge(seen.name, made.bytes)
    const packed = this.#codec.compress(made.bytes)
    const source = Readable.from(made.pieces, { objectMode: false, highWaterMark: 1 })
    source.on('error', (error) => packed.destroy(error))
    packed.on('close', () => source.destroy())
    return source.pipe(packed)
  }

  putFile(name: string, path: string): Promise<'created' | 'exists'> {
    return this.#o.target.putFile(name, path)
  }

  putStream(name: string, source: Readable): Promise<'created' | 'exists'> {
    return this.#o.target.putStream(name, source)
  }

  putBytes(name: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    return this.#o.target.putBytes(name, bytes)
  }

  check(name: string): Promise<string | null> {
    return this.#o.target.check(name)
  }

  close(): Promise<void> {
    return this.#o.target.close()
  }

  async #mustFollow({ name, before }: SeenSegment, baseDigest: Buffer): Promise<void> {
    const tailDigest = before && (await this.#tailDigestOf(before))
    if (tailDigest === null || tailDigest.equals(baseDigest)) return
    throw damagedObject(this.#o.target, name.object, `it does not follow ${before?.object}: its history is another one`)
  }

  /** null where that one is damaged, which shows where it is read itself. */
  async #tailDigestOf(name: BatchObjectName): Promise<Buffer | null> {
    try {
      return (await readBatchHeader(this.#o.target, name, this.#codec)).tailDigest
    } catch (error) {
      if (isCommanderError(error) && error.code === 'archive_corrupt') return null
      throw error
    }
  }
}

const tooLarge = ({ object }: BatchObjectName, bytes: number): CommanderError =>
  new CommanderError(
    'payload_too_large',
    `${object} takes ${bytes} bytes as a segment of a journal, which may have ${journalLimits.segmentBytesMax}: ` +
      'nodes can read it, but it cannot be restored from; keep journal.segmentBytes of the cluster below half of that',
    { details: { object, bytes } },
  )

/** V2. */
function numbered(target: ArchiveTarget, names: readonly BatchObjectName[]): ReadonlyMap<string, SeenSegment> {
  const seen = new Map<string, SeenSegment>()
  let before: BatchObjectName | null = null
  let segNo = 0
  for (const name of names.toSorted((a, b) => a.base - b.base)) {
    if (before !== null && name.base <= before.tail) throw twoHistories(target, before, name)
    const follows = before === null || name.base === before.tail + 1
    segNo += follows ? 1 : 2
    const segment = archiveNames.segment(timeline, segmentName(segNo, lsn(name.base)))
    seen.set(segment, { name, segNo, before: follows ? before : null })
    before = name
  }
  return seen
}

const twoHistories = ({ location }: ArchiveTarget, one: BatchObjectName, other: BatchObjectName): CommanderError =>
  new CommanderError(
    'archive_conflict',
    `the archive ${location} holds two objects for the same entries, ${one.object} and ${other.object}: two clusters wrote there. ` +
      'Move those of one of them away',
    { details: { location, objects: [one.object, other.object] } },
  )
