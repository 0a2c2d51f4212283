import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Random } from '../kernel/environment.ts'
import { type CommanderError, messageOf } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import { emptyImage, type MetadataImage } from './metadata-image.ts'
import { decodeImage, encodeImage } from './metadata-image-codec.ts'
import { metadataUnavailable, type SwapOutcome } from './metadata-store.ts'

/** The directory, in that of the store, that a change of any value is to be seen in. */
export const versionsDirectoryName = 'values'

/** All values at one revision, as they lie there. */
export interface MetadataVersion {
  /** `<revision>-<id of the change>` */
  readonly name: string
  readonly image: MetadataImage
}

/**
 * The versions of a metadata store that is a directory, one after the other. Each is a file of its own, and an empty file, the head, names
 * the one that counts: `17-<id>.head` says that `17-<id>.json` is it. A change writes and flushes the next version, and renames
 * the head. Of two that follow the same version one renames it, and the other finds it gone: names never come back, so it does
 * not matter how long a process stood still before it went on. Nobody holds a lock, so nobody waits for whoever stands still.
 *
 * A reader flushes the directory before it believes a head that it has not seen before: its writer may have died just before it did so (M3).
 */
export class FileMetadataVersions {
  readonly location: string
  readonly #directory: string
  readonly #random: Random
  /** Of a version that is known to be durable. */
  #durableRevision = 0
  #failure: unknown = null

  private constructor(directory: string, location: string, random: Random) {
    this.location = location
    this.#directory = directory
    this.#random = random
  }

  /** Makes the first version where there is none, and removes what changes left there that came too late or were killed. */
  static async open(parent: string, location: string, random: Random): Promise<FileMetadataVersions> {
    const directory = join(parent, versionsDirectoryName)
    const versions = new FileMetadataVersions(directory, location, random)
    if ((await versions.#head()) === null) await makeFirst(directory, random.uuid())
    await versions.#removeOvertaken()
    return versions
  }

  /** @throws CommanderError `metadata_unavailable` */
  async read(): Promise<MetadataVersion> {
    const knownRevision = this.#durableRevision
    const version = await this.#load()
    const { revision } = version.image
    if (revision < knownRevision)
      throw this.#final(
        'read',
        `it went back from revision ${knownRevision} to ${revision}: ${restored(this.#directory)}`,
      )
    if (revision > this.#durableRevision) await this.#flushNames(revision)
    return version
  }

  /**
   * @returns whether the next version has followed this one; otherwise another one has
   * @throws CommanderError `metadata_unavailable`
   */
  async follow(before: MetadataVersion, next: MetadataImage): Promise<boolean> {
    const bytes = encodeImage(next)
    const bytesMax = limits.metadataFileBytesMax
    if (bytes.length > bytesMax)
      throw this.#unavailable('write', `it would have ${bytes.length} bytes, and takes ${bytesMax}; delete streams`)
    const name = `${next.revision}-${this.#random.uuid()}`
    try {
      await writeFlushed(this.#contentOf(name), bytes)
    } catch (error) {
      await this.#remove(name)
      throw this.#unavailable('write', messageOf(error), 'none', { cause: error })
    }
    if (!(await this.#renameHead(before.name, name))) {
      await this.#remove(name)
      return false
    }
    await this.#flushNames(next.revision)
    await this.#remove(before.name)
    return true
  }

  async #renameHead(from: string, to: string): Promise<boolean> {
    try {
      await rename(this.#headOf(from), this.#headOf(to))
      return true
    } catch (error) {
      if (isAbsent(error)) return false
      throw this.#unavailable('write', messageOf(error), 'unknown', { cause: error })
    }
  }

  async #load(): Promise<MetadataVersion> {
    if (this.#failure !== null) throw this.#final('read', `its disk failed before: ${messageOf(this.#failure)}`)
    for (let missing: string | null = null; ; ) {
      const name = await this.#head()
      if (name === null)
        throw this.#final('read', `${this.#directory} is empty or not there: ${restored(this.#directory)}`)
      if (revisionOf(name) === 0) return { name, image: emptyImage }
      const bytes = await this.#contentBytes(name)
      if (bytes !== null) return { name, image: this.#decoded(name, bytes) }
      // It was removed since another one has followed; or by a person.
      if (name === missing) throw this.#final('read', `${this.#contentOf(name)} is missing; restore it from a copy`)
      missing = name
    }
  }

  /** While it is renamed a directory may show it under both names, or under none. Null where there is none at all. */
  async #head(): Promise<string | null> {
    for (let tries = 0; tries < 100; tries++) {
      const names = await this.#names().catch((error: unknown) => {
        if (isAbsent(error)) return null
        throw this.#unavailable('read', messageOf(error), 'none', { cause: error })
      })
      if (names === null) return null
      const heads = names.filter((name) => name.endsWith('.head')).map((name) => name.slice(0, -'.head'.length))
      if (heads.length > 0) return heads.reduce((a, b) => (revisionOf(a) > revisionOf(b) ? a : b))
    }
    return null
  }

  async #contentBytes(name: string): Promise<Buffer | null> {
    try {
      return await readFile(this.#contentOf(name))
    } catch (error) {
      if (isAbsent(error)) return null
      throw this.#unavailable('read', messageOf(error), 'none', { cause: error })
    }
  }

  #decoded(name: string, bytes: Buffer): MetadataImage {
    const image = decodeImage(bytes)
    const path = this.#contentOf(name)
    if ('fault' in image) throw this.#final('read', `${path} cannot be used: ${image.fault}`)
    if (image.revision !== revisionOf(name))
      throw this.#final('read', `${path} cannot be used: it is of revision ${image.revision}; restore it from a copy`)
    return image
  }

  /** What could not be flushed is not tried again: the system may have dropped it. */
  async #flushNames(revision: number): Promise<void> {
    try {
      await flushDirectory(this.#directory)
      this.#durableRevision = Math.max(this.#durableRevision, revision)
    } catch (error) {
      this.#failure = error
      throw this.#unavailable('flush', messageOf(error), 'unknown', { cause: error })
    }
  }

  /** What is of the head's revision or an older one, and not the head's, can never count again. */
  async #removeOvertaken(): Promise<void> {
    const head = await this.#head()
    if (head === null) return
    const contents = (await this.#names()).filter((name) => name.endsWith('.json'))
    for (const content of contents) {
      const name = content.slice(0, -'.json'.length)
      if (name !== head && revisionOf(name) <= revisionOf(head)) await this.#remove(name)
    }
  }

  /** The content of a version that does not count. It is removed later where it cannot be now. */
  async #remove(name: string): Promise<void> {
    await unlink(this.#contentOf(name)).catch(() => {})
  }

  readonly #names = (): Promise<string[]> => readdir(this.#directory)
  readonly #headOf = (name: string): string => join(this.#directory, `${name}.head`)
  readonly #contentOf = (name: string): string => join(this.#directory, `${name}.json`)

  #final(operation: string, reason: string): CommanderError {
    return this.#unavailable(operation, reason, 'none', { isFinal: true })
  }

  #unavailable(
    operation: string,
    reason: string,
    outcome: SwapOutcome = 'none',
    options: { readonly cause?: unknown; readonly isFinal?: boolean } = {},
  ): CommanderError {
    return metadataUnavailable(this.location, operation, reason, outcome, options)
  }
}

const restored = (directory: string): string =>
  `somebody removed or restored ${directory}; ` +
  'stop all processes of the cluster before that, and see that none has acted on what is gone'

const revisionOf = (name: string): number => Number.parseInt(name, 10)

const isAbsent = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT'

/** With its first head in it at once: a head that is made later might be a second one. */
async function makeFirst(directory: string, id: string): Promise<void> {
  const prepared = `${directory}.${id}`
  await mkdir(prepared, { mode: 0o700 })
  try {
    await writeFlushed(join(prepared, `0-${id}.head`), Buffer.alloc(0))
    await flushDirectory(prepared)
    await rename(prepared, directory)
    await flushDirectory(dirname(directory))
  } catch (error) {
    await rm(prepared, { recursive: true, force: true })
    // There is one, and it is not empty.
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error
  }
}

async function writeFlushed(path: string, bytes: Buffer): Promise<void> {
  await withOpen(await open(path, 'wx', 0o600), async (file) => {
    await file.writeFile(bytes)
    await file.sync()
  })
}

const flushDirectory = async (path: string): Promise<void> => withOpen(await open(path, 'r'), (file) => file.sync())

async function withOpen(file: FileHandle, run: (file: FileHandle) => Promise<void>): Promise<void> {
  try {
    await run(file)
  } finally {
    await file.close()
  }
}

/** A directory that was just made survives only with its name, in the one above. */
export async function flushMade(path: string, firstMade: string | undefined): Promise<void> {
  if (firstMade === undefined) return
  for (let made = path; made.length >= firstMade.length; made = dirname(made)) await flushDirectory(dirname(made))
}
