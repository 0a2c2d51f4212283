import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { JournalStorage } from '../journal/storage.ts'
import type { Clock } from '../kernel/environment.ts'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import { type ArchiveIdentity, claimArchive, findArchive } from './archive-identity.ts'
import { type ArchiveTarget, archiveNames } from './archive-target.ts'
import { archivedBeyond, missingHere } from './archived-beyond.ts'
import type { Vault } from './archiver.ts'
import { type ArchivePlace, placeOf, type SealedSegment } from './sealed-segments.ts'
import { segmentBytes } from './segment-bytes.ts'
import { isPackingFault, type SegmentCodec, zstd } from './segment-codec.ts'

export interface SegmentVaultOptions {
  readonly target: ArchiveTarget
  readonly storage: JournalStorage
  readonly journalId: Uint8Array
  readonly clock: Clock
  /** Default: zstd. */
  readonly codec?: SegmentCodec
}

/** Brings sealed segments of one journal to its archive, one at a time; what to bring when is the archiver's to know. */
export class SegmentVault implements Vault {
  readonly #o: SegmentVaultOptions
  readonly #codec: SegmentCodec

  constructor(options: SegmentVaultOptions) {
    this.#o = options
    this.#codec = options.codec ?? zstd
  }

  get location(): string {
    return this.#o.target.location
  }

  /**
   * Makes the archive this journal's, or finds that it is, and finds out what its place promises.
   * @param mayBegin - false where this journal has had an archive already: an empty place is then a mistake
   * @throws CommanderError `foreign_database` | `archive_unavailable` | `archive_corrupt` | `unsupported_version`
   */
  async open(mayBegin: boolean): Promise<{ readonly identity: ArchiveIdentity; readonly warning: string | null }> {
    const { target, journalId, clock } = this.#o
    const createdAt = new Date(clock.wallMs()).toISOString()
    const identity = mayBegin ? await claimArchive(target, journalId, createdAt) : await findArchive(target, journalId)
    const warning = await target.check(archiveNames.identity)
    return { identity, warning }
  }

  /**
   * Why the archive shows that this journal lacks what it had; `null` when it does not.
   * @throws CommanderError `archive_unavailable`
   */
  async missing(): Promise<CommanderError | null> {
    const { target, storage } = this.#o
    const beyond = await archivedBeyond(target, storage, this.#codec)
    return beyond === null ? null : missingHere(target.location, beyond)
  }

  /**
   * `created`: it was put there. `same`: it was there, with the same bytes.
   * @throws CommanderError `archive_conflict`: other bytes are there; `journal_corrupt`: the local segment is damaged, and
   * nothing was archived; `archive_unavailable`; `not_found`: the segment is no longer in the journal
   */
  async store(segment: SealedSegment): Promise<'created' | 'same'> {
    const { target, storage, journalId } = this.#o
    // Each time: below the mount point of a directory that was unmounted meanwhile there is room for segments too.
    await findArchive(target, journalId)
    const place = placeOf(storage, segment)
    if (place === null) throw damagedHeaders(segment)
    await this.#tellTimeline(place, segment)
    const packed = this.#codec.compress(place.segmentBytes)
    const source = Readable.from(segmentBytes(storage, segment), { objectMode: false, highWaterMark: 1 })
    // A failing source destroys `packed` with its error, which the target sees; nothing is left to be told here.
    pipeline(source, packed).catch(() => {})
    if ((await target.putStream(place.object, packed)) === 'created') return 'created'
    await this.#compare(place, segment)
    return 'same'
  }

  close(): Promise<void> {
    return this.#o.target.close()
  }

  /** Before the first segment that is found under the timeline. */
  async #tellTimeline({ timeline, parent }: ArchivePlace, { next }: SealedSegment): Promise<void> {
    if (timeline === parent) return
    const { target, clock } = this.#o
    const at = new Date(clock.wallMs()).toISOString()
    const beginning = { timeline, parent, fromLsn: next.baseLsn, reason: 'recovery', at }
    await target.putBytes(archiveNames.timeline(timeline), Buffer.from(`${JSON.stringify(beginning)}\n`))
  }

  async #compare({ object }: ArchivePlace, segment: SealedSegment): Promise<void> {
    const { target, storage } = this.#o
    const packed = await target.read(object)
    const own = segmentBytes(storage, segment)
    try {
      await pipeline(packed, this.#codec.decompress(), async (chunks: AsyncIterable<Buffer>) => {
        const differsAt = await firstDifference(chunks, own)
        if (differsAt !== null) throw conflict(target, object, `they differ at byte ${differsAt}`)
      })
    } catch (error) {
      if (!isPackingFault(error)) throw error
      throw conflict(target, object, `what is there is no sound object: ${messageOf(error)}`)
    } finally {
      own.return()
    }
  }
}

/** `null` when both give the same bytes, in whatever pieces. */
async function firstDifference(chunks: AsyncIterable<Buffer>, own: Iterator<Buffer, void>): Promise<number | null> {
  let at = 0
  let ours: Buffer = Buffer.alloc(0)
  for await (const chunk of chunks) {
    for (let done = 0; done < chunk.length; ) {
      if (ours.length === 0) ours = own.next().value ?? ours
      const count = Math.min(ours.length, chunk.length - done)
      if (count === 0 || ours.compare(chunk, done, done + count, 0, count) !== 0) return at + done
      done += count
      ours = ours.subarray(count)
    }
    at += chunk.length
  }
  return ours.length === 0 && own.next().done === true ? null : at
}

function conflict(target: ArchiveTarget, object: string, reason: string): CommanderError {
  return new CommanderError(
    'archive_conflict',
    `the archive ${target.location} holds another ${object} than this database: ${reason}. ` +
      'Two databases write to one archive, or one was restored onto a timeline that is taken: give each an archive of its own',
    { details: { location: target.location, object, reason } },
  )
}

function damagedHeaders({ name, next }: SealedSegment): CommanderError {
  return new CommanderError(
    'journal_corrupt',
    `segment ${name} cannot be archived: its header, or that of ${next.name}, is damaged or gone. ` +
      'Stop the database and run journal verify on it',
    { details: { segment: name, offset: 0, rule: 'R6' } },
  )
}
