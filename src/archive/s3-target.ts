import { Readable } from 'node:stream'
import { CommanderError, isCommanderError, messageOf } from '../kernel/errors.ts'
import { readSmallObject } from './archive-identity.ts'
import type { ArchiveTarget } from './archive-target.ts'
import { measureFile, type Spooled, spool } from './file-spool.ts'
import type { S3Calls } from './s3-calls.ts'

export interface S3TargetOptions {
  readonly location: string
  /** Ends in `/`, or is empty. */
  readonly prefix: string
  readonly calls: S3Calls
  /** For what is put aside until its length is known. */
  readonly spoolDirectory: string
}

/** One request puts no more; S3's own bound. */
const objectBytesMax = 5_368_709_120

/**
 * A bucket of S3, or of what speaks its language.
 *
 * A taken name is refused by the service (`If-None-Match: *`) where it can do that. Not all can, and some ignore it without
 * a word, so `check` tries it with an object that is put a second time. Until that was seen to be refused, each name is
 * looked up before a put, which leaves a gap between two writers of one archive: `check` says so.
 * After each put the object is looked up: a service that says `created` and keeps another object is found out.
 */
export class S3Target implements ArchiveTarget {
  readonly location: string
  readonly #o: S3TargetOptions
  /** `null`: not known yet. */
  #knowsConditions: boolean | null = null
  #closed = false

  constructor(options: S3TargetOptions) {
    this.location = options.location
    this.#o = options
  }

  async list(prefix: string, after?: string): Promise<string[]> {
    this.#mustBeOpen()
    const keys = await this.#o.calls.list(
      this.#o.prefix + prefix,
      after === undefined ? undefined : this.#o.prefix + after,
    )
    return keys.map((key) => key.slice(this.#o.prefix.length)).sort()
  }

  async putFile(name: string, path: string): Promise<'created' | 'exists'> {
    this.#mustBeOpen()
    return this.#put(name, await measureFile(path))
  }

  async putBytes(name: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    return this.putStream(name, Readable.from([Buffer.from(bytes)], { objectMode: false }))
  }

  async putStream(name: string, source: Readable): Promise<'created' | 'exists'> {
    if (this.#closed) source.destroy()
    this.#mustBeOpen()
    const content = await spool(source, this.#o.spoolDirectory)
    try {
      return await this.#put(name, content)
    } finally {
      await content.remove()
    }
  }

  async read(name: string): Promise<Readable> {
    this.#mustBeOpen()
    const body = await this.#o.calls.get(this.#key(name))
    return Readable.from(chunksOf(body, `${name} from the archive ${this.location}`), { objectMode: false })
  }

  async check(name: string): Promise<string | null> {
    const bytes = await readSmallObject(this, name)
    const content = await spool(Readable.from([bytes], { objectMode: false }), this.#o.spoolDirectory)
    try {
      // The same bytes: a service that ignores the condition changes nothing.
      this.#knowsConditions = (await this.#o.calls.put(this.#key(name), content, true)) === 'taken'
    } finally {
      await content.remove()
    }
    if (this.#knowsConditions) return null
    return (
      `the service of ${this.location} ignores If-None-Match: names are looked up before each put instead, ` +
      'and two databases that write to this archive at once could replace objects of each other; give each its own'
    )
  }

  async close(): Promise<void> {
    if (!this.#closed) this.#o.calls.close()
    this.#closed = true
  }

  async #put(name: string, content: Spooled): Promise<'created' | 'exists'> {
    if (content.bytes > objectBytesMax) throw tooLarge(name, content.bytes)
    const { calls } = this.#o
    const key = this.#key(name)
    if (this.#knowsConditions !== true && (await calls.head(key)) !== null) return 'exists'
    const result = await calls.put(key, content, this.#knowsConditions !== false)
    if (result === 'taken') return 'exists'
    if (result === 'unsupported') {
      this.#knowsConditions = false
      await calls.put(key, content, false)
    }
    await this.#mustHold(name, content)
    return 'created'
  }

  async #mustHold(name: string, { bytes, crc32: sum }: Spooled): Promise<void> {
    const found = await this.#o.calls.head(this.#key(name))
    if (found === null) {
      const message = `the archive ${this.location} said that it has ${name}, and does not: the service keeps nothing; use another`
      throw new CommanderError('archive_corrupt', message, { details: { location: this.location, object: name } })
    }
    if (found.bytes === bytes && (found.crc32 === null || found.crc32 === sum)) return
    const message = `the archive ${this.location} said that it has put ${name}, and holds another object of ${found.bytes} bytes there`
    throw new CommanderError('archive_conflict', message, {
      details: { location: this.location, object: name, bytes, found: found.bytes },
    })
  }

  #key(name: string): string {
    return this.#o.prefix + name
  }

  #mustBeOpen(): void {
    if (this.#closed)
      throw new CommanderError('archive_unavailable', `the archive ${this.location} was closed meanwhile`)
  }
}

async function* chunksOf(body: Readable, what: string): AsyncGenerator<Buffer> {
  try {
    yield* body as AsyncIterable<Buffer>
  } catch (cause) {
    throw isCommanderError(cause) ? cause : brokenOff(what, cause)
  }
}

const brokenOff = (what: string, cause: unknown): CommanderError =>
  new CommanderError('archive_unavailable', `cannot read ${what}: ${messageOf(cause)}`, { cause })

function tooLarge(name: string, bytes: number): CommanderError {
  return new CommanderError(
    'payload_too_large',
    `${name} has ${bytes} bytes, and S3 takes ${objectBytesMax} in one object; use a directory for it`,
    { details: { object: name, bytes, bytesMax: objectBytesMax } },
  )
}
