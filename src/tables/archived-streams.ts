import type { Readable } from 'node:stream'
import { lengthOf, padded } from '../actions/entry-layout.ts'
import { hasBrand } from '../kernel/brand.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { ArchivedRange } from './archives.ts'
import { type ObjectPacking, type StreamEntry, unpackStreamObject } from './stream-object.ts'

/** Where archived events lie; an `ArchiveTarget` is one. */
export interface StreamVault {
  readonly location: string
  read(name: string): Promise<Readable>
  putBytes(name: string, bytes: Uint8Array): Promise<'created' | 'exists'>
  /** Default: zstd. */
  readonly packing?: ObjectPacking
}

/** One archived entry that a block of the log needs. */
export interface MissingEntry {
  readonly range: ArchivedRange
  /** Of its first event. */
  readonly position: number
}

const brand = Symbol.for('commanderdb.archived-elsewhere')

/**
 * What a read needs lies in the archive and not in memory. Who reads catches it, loads it, and reads again: reads stay
 * synchronous, and only those of archived events wait.
 */
export class ArchivedElsewhere extends Error {
  readonly range: ArchivedRange
  /** The entries that are needed of several ranges; none: all of `range`. */
  readonly missing: readonly MissingEntry[]

  constructor(range: ArchivedRange, missing: readonly MissingEntry[] = []) {
    super(`revisions ${range.from} to ${range.upTo} of ${range.key} are in the archive`)
    this.range = range
    this.missing = missing
    Object.defineProperty(this, brand, { value: true })
  }
}

export const isArchivedElsewhere = (error: unknown): error is ArchivedElsewhere => hasBrand(error, brand)

interface Loaded {
  readonly entries: readonly StreamEntry[]
  readonly bytes: number
}

const objectsBytesMax = 67_108_864
const entriesBytesMax = 16_777_216

/** Archived events in the memory of one process, under a bound; what was used least lately goes first. */
export class ArchivedStreams {
  readonly #vault: StreamVault | null
  readonly #objects = new Map<string, Loaded>()
  #objectsBytes = 0
  /** By position: entries that blocks of the log want, of many objects perhaps. */
  readonly #entries = new Map<number, Buffer>()
  #entriesBytes = 0
  readonly #loading = new Map<string, Promise<readonly StreamEntry[]>>()

  constructor(vault: StreamVault | null) {
    this.#vault = vault
  }

  /** @throws ArchivedElsewhere */
  entriesOf(range: ArchivedRange): readonly StreamEntry[] {
    const loaded = this.#objects.get(range.object)
    if (loaded === undefined) throw new ArchivedElsewhere(range)
    this.#objects.delete(range.object)
    this.#objects.set(range.object, loaded)
    return loaded.entries
  }

  /** The archived entry at a position, if it is in memory. */
  entryAt(position: number): Buffer | undefined {
    return this.#entries.get(position)
  }

  /** @throws CommanderError `archive_unavailable`, `archive_corrupt` */
  async load({ range, missing }: ArchivedElsewhere): Promise<void> {
    if (missing.length === 0) {
      await this.#entriesFrom(range)
      return
    }
    const wantedByObject = new Map<ArchivedRange, Set<number>>()
    const ranges = new Map<string, ArchivedRange>()
    for (const { range: one, position } of missing) {
      const known = ranges.get(one.object) ?? one
      ranges.set(one.object, known)
      const wanted = wantedByObject.get(known) ?? new Set()
      wantedByObject.set(known, wanted.add(position))
    }
    for (const [one, wanted] of wantedByObject) {
      for (const entry of await this.#entriesFrom(one)) if (wanted.delete(entry.position)) this.#keepEntry(entry)
      const [lost] = wanted
      if (lost !== undefined) throw lostPosition(one, lost)
    }
  }

  async #entriesFrom(range: ArchivedRange): Promise<readonly StreamEntry[]> {
    const known = this.#objects.get(range.object)
    if (known !== undefined) return known.entries
    const underWay = this.#loading.get(range.object)
    if (underWay !== undefined) return underWay
    const loading = this.#fetch(range)
    this.#loading.set(range.object, loading)
    try {
      return await loading
    } finally {
      this.#loading.delete(range.object)
    }
  }

  async #fetch(range: ArchivedRange): Promise<readonly StreamEntry[]> {
    if (this.#vault === null) throw noArchive(range)
    const entries = await unpackStreamObject(range, await readObject(this.#vault, range), this.#vault.packing)
    const bytes = entries[0]?.buffer.length ?? 0
    this.#objects.set(range.object, { entries, bytes })
    this.#objectsBytes += bytes
    for (const [object, loaded] of this.#objects) {
      if (this.#objectsBytes <= objectsBytesMax || object === range.object) break
      this.#objects.delete(object)
      this.#objectsBytes -= loaded.bytes
    }
    return entries
  }

  #keepEntry({ buffer, offset, position }: StreamEntry): void {
    const bytes = Buffer.from(buffer.subarray(offset, offset + padded(lengthOf(buffer, offset))))
    const before = this.#entries.get(position)
    if (before !== undefined) this.#entriesBytes -= before.length
    this.#entries.delete(position)
    this.#entries.set(position, bytes)
    this.#entriesBytes += bytes.length
    for (const [oldest, entry] of this.#entries) {
      if (this.#entriesBytes <= entriesBytesMax) break
      this.#entries.delete(oldest)
      this.#entriesBytes -= entry.length
    }
  }
}

/** Reads, and loads what is missing, until nothing is. @throws CommanderError what loading failed with */
export async function readingArchived<Result>(archived: ArchivedStreams, read: () => Result): Promise<Result> {
  for (;;) {
    try {
      return read()
    } catch (error) {
      if (!isArchivedElsewhere(error)) throw error
      await archived.load(error)
    }
  }
}

/** All bytes of an archived object. @throws CommanderError `archive_unavailable`, `archive_corrupt` */
export async function readObject(vault: StreamVault, { object }: Pick<ArchivedRange, 'object'>): Promise<Buffer> {
  const parts: Buffer[] = []
  try {
    for await (const part of await vault.read(object)) parts.push(part as Buffer)
  } catch (error) {
    throw (error as { code?: unknown }).code === 'not_found' ? missingObject(vault, object, error) : error
  }
  return Buffer.concat(parts)
}

const lostPosition = ({ object }: ArchivedRange, position: number): CommanderError =>
  new CommanderError('archive_corrupt', `the object ${object} of the archive does not hold position ${position}`)

const missingObject = ({ location }: StreamVault, object: string, cause: unknown): CommanderError =>
  new CommanderError('archive_corrupt', `the archive ${location} has no object ${object}; bring it back`, { cause })

const noArchive = ({ key, from, upTo }: ArchivedRange): CommanderError =>
  new CommanderError(
    'archive_unavailable',
    `revisions ${from} to ${upTo} of ${key} are in the archive, and none is configured; set archive.directory or archive.s3`,
    { retryable: false },
  )
