import { open, readFile, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type CommanderError, messageOf } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import { emptyImage, type MetadataImage } from './metadata-image.ts'
import { decodeImage, encodeImage } from './metadata-image-codec.ts'
import { metadataUnavailable, type SwapOutcome } from './metadata-store.ts'

export const metadataFileName = 'metadata.json'

const final = { isFinal: true } as const

/**
 * The file that is a metadata store. Written under another name, flushed, renamed, and the directory flushed: whoever reads it
 * without the lock has one state or the next. A reader flushes the directory before it believes a state that it has not
 * seen before: its writer may have died just before it did so (M3).
 */
export class FileMetadataFile {
  readonly location: string
  readonly #directory: string
  readonly #path: string
  /** Of a state that is known to be durable. */
  #durableRevision = 0
  #failure: unknown = null

  constructor(directory: string, location: string) {
    this.location = location
    this.#directory = directory
    this.#path = join(directory, metadataFileName)
  }

  /** @throws CommanderError `metadata_unavailable` */
  async read(): Promise<MetadataImage> {
    const knownRevision = this.#durableRevision
    const image = await this.#load()
    if (image.revision < knownRevision)
      throw this.#unavailable(
        'read',
        `it went back from revision ${knownRevision} to ${image.revision}: somebody removed or restored ${this.#path}; ` +
          'stop all processes of the cluster before that, and see that none has acted on what is gone',
        'none',
        final,
      )
    if (image.revision > this.#durableRevision) await this.#flushNames(image.revision)
    return image
  }

  /** Call it while holding the lock, with what `read` has returned under it. */
  async replace(next: MetadataImage): Promise<void> {
    const bytes = encodeImage(next)
    const bytesMax = limits.metadataFileBytesMax
    if (bytes.length > bytesMax)
      throw this.#unavailable('write', `it would have ${bytes.length} bytes, and takes ${bytesMax}; delete streams`)
    const temporary = `${this.#path}.new`
    try {
      await writeFlushed(temporary, bytes)
      await rename(temporary, this.#path)
    } catch (error) {
      await unlink(temporary).catch(() => {})
      throw this.#unavailable('write', messageOf(error), 'none', { cause: error })
    }
    await this.#flushNames(next.revision)
  }

  async #load(): Promise<MetadataImage> {
    if (this.#failure !== null)
      throw this.#unavailable('read', `its disk failed before: ${messageOf(this.#failure)}`, 'none', final)
    const bytes = await readFile(this.#path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null
      throw this.#unavailable('read', messageOf(error), 'none', { cause: error })
    })
    if (bytes === null) return emptyImage
    const image = decodeImage(bytes)
    if ('fault' in image) throw this.#unavailable('read', `${this.#path} cannot be used: ${image.fault}`, 'none', final)
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

  #unavailable(
    operation: string,
    reason: string,
    outcome: SwapOutcome = 'none',
    options: { readonly cause?: unknown; readonly isFinal?: boolean } = {},
  ): CommanderError {
    return metadataUnavailable(this.location, operation, reason, outcome, options)
  }
}

async function writeFlushed(path: string, bytes: Buffer): Promise<void> {
  const file = await open(path, 'w', 0o600)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function flushDirectory(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

/** A directory that was just made survives only with its name, in the one above. */
export async function flushMade(path: string, firstMade: string | undefined): Promise<void> {
  if (firstMade === undefined) return
  for (let made = path; made.length >= firstMade.length; made = dirname(made)) await flushDirectory(dirname(made))
}
