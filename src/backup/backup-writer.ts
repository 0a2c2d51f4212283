import { createHash } from 'node:crypto'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ArchiveTarget } from '../archive/archive-target.ts'
import { zstd } from '../archive/segment-codec.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { BackupObject } from './backup-manifest.ts'

/** Puts the objects of a backup where it is kept, and notes what was put. */
export class BackupWriter {
  readonly objects: BackupObject[] = []
  readonly #target: ArchiveTarget

  constructor(target: ArchiveTarget) {
    this.#target = target
  }

  /** @param bytes - how many `source` gives */
  async putCompressed(name: string, source: Readable, bytes: number): Promise<void> {
    const sha256 = createHash('sha256')
    let putBytes = 0
    const measured = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        sha256.update(chunk)
        putBytes += chunk.length
        done(null, chunk)
      },
    })
    // A failing source destroys `measured` with its error, which the target sees and throws.
    pipeline(source, zstd.compress(bytes), measured).catch(() => {})
    if ((await this.#target.putStream(name, measured)) === 'exists') throw taken(this.#target, name)
    this.objects.push({ name, bytes: putBytes, sha256: sha256.digest('hex') })
  }

  async putBytes(name: string, bytes: Buffer): Promise<void> {
    if ((await this.#target.putBytes(name, bytes)) === 'exists') throw taken(this.#target, name)
    this.objects.push({ name, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') })
  }
}

export const chunksOf = (chunks: Iterable<Buffer>): Readable =>
  Readable.from(chunks, { objectMode: false, highWaterMark: 1 })

export const taken = (target: ArchiveTarget, name: string): CommanderError =>
  new CommanderError(
    'archive_conflict',
    `${target.location} holds ${name} already: a backup needs a place that is empty; name another`,
    { details: { location: target.location, object: name } },
  )
