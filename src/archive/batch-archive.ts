import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Clock } from '../kernel/environment.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { lastLsnOf, type ReplicatedBatch } from '../replication/batch.ts'
import type { StreamArchive } from '../replication/stream-archive.ts'
import type { SealedSegment, StreamMeta } from '../replication/stream-meta.ts'
import { type ArchiveIdentity, claimArchive, findArchive } from './archive-identity.ts'
import { type ArchiveTarget, archiveNames } from './archive-target.ts'
import { BatchChain } from './batch-chain.ts'
import {
  type BatchObjectHeader,
  batchHeadBytes,
  batchObjectHeaderBytes,
  batchObjectName,
  encodeBatchHead,
  encodeBatchObjectHeader,
  misfit,
  parseBatchObjectName,
  streamPrefix,
} from './batch-object.ts'
import { readBatchHeader, readBatchObject } from './batch-object-reading.ts'
import { type SegmentCodec, zstd } from './segment-codec.ts'

export interface BatchArchiveOptions {
  readonly target: ArchiveTarget
  readonly stream: string
  /** 16 bytes: of the database, and of its cluster. */
  readonly journalId: Uint8Array
  readonly clock: Clock
  /** Something about the place that operators should know; once. */
  readonly warn: (what: string) => void
  /** Default: zstd. */
  readonly codec?: SegmentCodec
}

/**
 * Sealed segments of a replicated journal in an archive, one object each.
 *
 * - B1: an object is named for what is in it, and put only where there is none of that name: two leaders that archive the same segment
 *   put the same bytes, whichever comes first.
 * - B2: what was put is read back whole and proven before its name is given to anybody, also where it was there already.
 */
export class BatchArchive implements StreamArchive {
  readonly #o: BatchArchiveOptions
  readonly #codec: SegmentCodec
  #identity: ArchiveIdentity | null = null

  constructor(options: BatchArchiveOptions) {
    this.#o = options
    this.#codec = options.codec ?? zstd
  }

  get location(): string {
    return this.#o.target.location
  }

  async store(segment: SealedSegment, read: () => AsyncIterable<ReplicatedBatch>): Promise<string> {
    const { target, stream, journalId } = this.#o
    await this.#open()
    const { sha256, ...sizes } = await measured(segment, read())
    const object = batchObjectName(stream, segment.base, segment.tail, sha256)
    const header: BatchObjectHeader = {
      journalId: Buffer.from(journalId),
      segmentEpoch: segment.epoch,
      base: segment.base,
      tail: segment.tail,
      baseDigest: Buffer.from(segment.baseDigest, 'hex'),
      tailDigest: Buffer.from(segment.tailDigest, 'hex'),
      ...sizes,
    }
    const packed = this.#codec.compress(batchObjectHeaderBytes + sizes.payloadBytes + sizes.batches * batchHeadBytes)
    const source = Readable.from(bytesOf(header, read()), { objectMode: false, highWaterMark: 1 })
    // A failing source destroys `packed` with its error, which the target sees.
    pipeline(source, packed).catch(() => {})
    await target.putStream(object, packed)
    await this.#verify(object, segment) // B2
    return object
  }

  async holds(object: string): Promise<boolean> {
    const { target, stream } = this.#o
    const name = parseBatchObjectName(stream, object)
    if (name === null) return false
    try {
      await readBatchHeader(target, name, this.#codec)
      return true
    } catch (error) {
      if (isCommanderError(error) && error.code === 'not_found') return false
      throw error
    }
  }

  async *read(after: Lsn, meta: StreamMeta): AsyncGenerator<readonly ReplicatedBatch[], void> {
    const { target, stream, journalId } = this.#o
    const chain = new BatchChain({ target, stream, codec: this.#codec, journalId: Buffer.from(journalId) })
    for (const name of await chain.from(after, meta))
      for await (const { batches } of readBatchObject(target, name, this.#codec)) {
        const wanted = batches.filter((batch) => lastLsnOf(batch) > after)
        if (wanted.length > 0) yield wanted
      }
  }

  /** Each time: below the mount point of a directory that was unmounted meanwhile there is room for objects too. */
  async #open(): Promise<void> {
    const { target, journalId, clock, warn } = this.#o
    if (this.#identity !== null) {
      await findArchive(target, journalId)
      return
    }
    const identity = await claimArchive(target, journalId, new Date(clock.wallMs()).toISOString())
    await this.#mustBeOfStreams()
    const warning = await target.check(archiveNames.identity)
    if (warning !== null) warn(warning)
    this.#identity = identity
  }

  /** Segments of a journal that the database kept before need not end where those of the stream begin: nobody could restore the two as one. */
  async #mustBeOfStreams(): Promise<void> {
    const { target, stream } = this.#o
    if ((await target.list(streamPrefix(stream))).length > 0) return
    const [first] = await target.list(archiveNames.segments)
    if (first === undefined) return
    const message =
      `the archive ${target.location} has ${first}, of when the database kept its journal alone: name another place for the archive of ` +
      'the cluster, and keep this one for restoring what was before'
    throw new CommanderError('archive_conflict', message, { details: { location: target.location, object: first } })
  }

  async #verify(object: string, { base, baseDigest, tail, tailDigest }: SealedSegment): Promise<void> {
    const { target, stream } = this.#o
    const name = parseBatchObjectName(stream, object)
    if (name === null) throw new CommanderError('internal', `${object} is no name of a segment of ${stream}`)
    try {
      for await (const { header } of readBatchObject(target, name, this.#codec)) {
        const isSame =
          header.baseDigest.toString('hex') === baseDigest && header.tailDigest.toString('hex') === tailDigest
        if (!isSame) throw conflict(target, object, `its header says another history of LSN ${base} to ${tail}`)
      }
    } catch (error) {
      if (!isCommanderError(error) || (error.code !== 'archive_corrupt' && error.code !== 'not_found')) throw error
      throw conflict(target, object, error.message)
    }
  }
}

interface Measured {
  readonly sha256: string
  readonly payloadBytes: number
  readonly batches: number
}

/** B1: the name is known before anything is put. @throws CommanderError `journal_corrupt` */
async function measured(segment: SealedSegment, all: AsyncIterable<ReplicatedBatch>): Promise<Measured> {
  const sha = createHash('sha256')
  let payloadBytes = 0
  let batches = 0
  let end = { lsn: segment.base - 1, digest: Buffer.from(segment.baseDigest, 'hex') as Buffer }
  for await (const batch of all) {
    sha.update(encodeBatchHead(batch)).update(batch.payload)
    payloadBytes += batch.payload.length
    batches++
    end = { lsn: lastLsnOf(batch), digest: batch.digest }
  }
  const reason = misfit({ ...segment, tailDigest: Buffer.from(segment.tailDigest, 'hex') }, end)
  if (reason === null) return { sha256: sha.digest('hex'), payloadBytes, batches }
  throw new CommanderError(
    'journal_corrupt',
    `segment ${segment.epoch} cannot be archived: ${reason}; the journal servers have something else than the record of the stream says`,
    { details: { lsn: end.lsn } },
  )
}

async function* bytesOf(
  header: BatchObjectHeader,
  batches: AsyncIterable<ReplicatedBatch>,
): AsyncGenerator<Buffer, void> {
  yield encodeBatchObjectHeader(header)
  for await (const batch of batches) {
    yield encodeBatchHead(batch)
    yield batch.payload
  }
}

const conflict = (target: ArchiveTarget, object: string, reason: string): CommanderError =>
  new CommanderError(
    'archive_conflict',
    `the archive ${target.location} does not hold ${object} as it was put there: ${reason}. Nothing is trimmed before it does: ` +
      'look at the object, move it away if it is damaged, and look at the disk or the service',
    { details: { location: target.location, object, reason } },
  )
