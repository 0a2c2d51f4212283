import { randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { link, open, readdir, rename, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { makeDirectory } from '../kernel/make-directory-adapter.ts'
import type { ArchiveTarget } from './archive-target.ts'
import { directoryError } from './directory-errors.ts'

const temporarySuffix = '.tmp'

/**
 * A directory, on a disk or a network file system. An object is written under a temporary name, flushed, and gets its name
 * by a hard link, which fails where the name is taken; then the directory is flushed. So a crash leaves no part of an
 * object under its name, and two writers cannot replace each other's.
 */
export class DirectoryTarget implements ArchiveTarget {
  readonly location: string
  readonly #closing = new AbortController()

  /** The directory is made with the first object. */
  constructor(directory: string) {
    this.location = resolve(directory)
  }

  async list(prefix: string, after = ''): Promise<string[]> {
    const from = dirname(`${prefix}.`)
    const names = await this.#namesBelow(from === '.' ? '' : from)
    return names.filter((name) => name.startsWith(prefix) && name > after).sort()
  }

  async putFile(name: string, path: string): Promise<'created' | 'exists'> {
    return this.putStream(name, createReadStream(path))
  }

  putBytes(name: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    return this.putStream(name, Readable.from([Buffer.from(bytes)]))
  }

  async putStream(name: string, source: Readable): Promise<'created' | 'exists'> {
    const path = this.#path(name)
    try {
      this.#mustBeOpen()
      await this.#attempt('make', dirname(path), () => makeDurably(dirname(path)))
      await this.#removeLeftovers(path)
    } catch (error) {
      source.destroy()
      throw error
    }
    const temporary = `${path}.${randomUUID()}${temporarySuffix}`
    try {
      await this.#write(temporary, source)
      const result = await this.#attempt('put', path, () => linkOrRename(temporary, path))
      // Also where it exists: whoever made it may have crashed before its name was durable.
      await this.#attempt('flush', dirname(path), () => flush(dirname(path)))
      return result
    } finally {
      await unlink(temporary).catch(() => {})
    }
  }

  async read(name: string): Promise<Readable> {
    const path = this.#path(name)
    this.#mustBeOpen()
    const file = await this.#attempt('open', path, () => open(path, 'r'))
    const { signal } = this.#closing
    const translate = (error: unknown): CommanderError =>
      signal.aborted ? closedError(this.location) : directoryError('read', path, error)
    return Readable.from(chunksOf(file.createReadStream({ signal }), translate), { objectMode: false })
  }

  async check(name: string): Promise<string | null> {
    const path = this.#path(name)
    const probe = `${path}.${randomUUID()}${temporarySuffix}`
    try {
      await link(path, probe)
      return null
    } catch (error) {
      if (!noLinks.includes((error as { code?: string }).code)) throw directoryError('link', path, error)
      return `the file system of ${this.location} has no hard links: two writers at once could replace each other's objects`
    } finally {
      await unlink(probe).catch(() => {})
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(closedError(this.location))
  }

  async #namesBelow(directory: string): Promise<string[]> {
    const path = join(this.location, directory)
    try {
      const entries = await readdir(path, { withFileTypes: true, recursive: true })
      return entries
        .filter((entry) => entry.isFile() && !entry.name.endsWith(temporarySuffix))
        .map((entry) => relative(this.location, join(entry.parentPath, entry.name)).split(sep).join('/'))
    } catch (error) {
      const failure = directoryError('list', path, error)
      if (failure.code === 'not_found') return []
      throw failure
    }
  }

  /** What a crash has left of earlier tries. Another writer that is at it right now fails, and tries again. */
  async #removeLeftovers(path: string): Promise<void> {
    const directory = dirname(path)
    const names = await this.#attempt('list', directory, () => readdir(directory))
    for (const name of names) {
      if (!name.startsWith(`${basename(path)}.`) || !name.endsWith(temporarySuffix)) continue
      await this.#attempt('remove', join(directory, name), () => unlink(join(directory, name)))
    }
  }

  async #write(temporary: string, source: Readable): Promise<void> {
    const target = createWriteStream(temporary, { flags: 'wx', mode: 0o600, flush: true })
    try {
      await pipeline(source, target, { signal: this.#closing.signal })
    } catch (error) {
      if (this.#closing.signal.aborted) throw closedError(this.location)
      if (isCommanderError(error)) throw error
      throw directoryError('write', temporary, error)
    }
  }

  async #attempt<T>(operation: string, path: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run()
    } catch (error) {
      throw directoryError(operation, path, error)
    }
  }

  #mustBeOpen(): void {
    if (this.#closing.signal.aborted) throw closedError(this.location)
  }

  #path(name: string): string {
    return join(this.location, ...name.split('/'))
  }
}

async function* chunksOf(stream: Readable, translate: (error: unknown) => CommanderError): AsyncGenerator<Buffer> {
  try {
    yield* stream as AsyncIterable<Buffer>
  } catch (error) {
    throw translate(error)
  }
}

/** Durable when it resolves, and so are the directories above that were made. */
async function makeDurably(path: string): Promise<void> {
  const firstMade = await makeDirectory(path)
  if (firstMade === undefined) return
  for (let made = path; made.length >= firstMade.length; made = dirname(made)) await flush(dirname(made))
}

async function flush(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

const noLinks: readonly (string | undefined)[] = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']

/** A file system without hard links cannot refuse a taken name in one step: there it is looked for first. */
async function linkOrRename(temporary: string, path: string): Promise<'created' | 'exists'> {
  try {
    await link(temporary, path)
    return 'created'
  } catch (error) {
    const { code } = error as { code?: string }
    if (code === 'EEXIST') return 'exists'
    if (!noLinks.includes(code)) throw error
  }
  if (await exists(path)) return 'exists'
  await rename(temporary, path)
  return 'created'
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return false
    throw error
  }
}

const closedError = (location: string): CommanderError =>
  new CommanderError('archive_unavailable', `the archive ${location} was closed meanwhile`)
