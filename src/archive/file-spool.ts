import { randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream, type ReadStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { crc32 } from '../kernel/checksum.ts'
import { CommanderError, isCommanderError, messageOf } from '../kernel/errors.ts'

/** A local file whose length and checksum are known before its first byte is sent. */
export interface Spooled {
  readonly bytes: number
  readonly crc32: number
  read(): ReadStream
  /** Where it is a copy of our own, it goes; otherwise nothing happens. */
  remove(): Promise<void>
}

/** Puts a stream aside in `directory`. An error of it is thrown as it is when it is a CommanderError. */
export async function spool(source: Readable, directory: string): Promise<Spooled> {
  const path = join(directory, `commanderdb-${randomUUID()}.spool`)
  const remove = (): Promise<void> => rm(path, { force: true })
  try {
    return { ...(await measured(source, path)), read: () => createReadStream(path), remove }
  } catch (error) {
    await remove()
    throw isCommanderError(error) ? error : localError('write', path, error)
  }
}

/** A file that is there already. */
export async function measureFile(path: string): Promise<Spooled> {
  try {
    const found = await measured(createReadStream(path), null)
    return { ...found, read: () => createReadStream(path), remove: async () => {} }
  } catch (error) {
    throw localError('read', path, error)
  }
}

async function measured(
  source: Readable,
  path: string | null,
): Promise<{ readonly bytes: number; readonly crc32: number }> {
  let bytes = 0
  let sum = 0
  const measure = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      sum = crc32(chunk, sum)
      done(null, path === null ? null : chunk)
    },
  })
  if (path === null)
    await pipeline(source, measure, async (rest) => {
      for await (const _ of rest);
    })
  else await pipeline(source, measure, createWriteStream(path, { flags: 'wx', mode: 0o600 }))
  return { bytes, crc32: sum }
}

function localError(operation: string, path: string, cause: unknown): CommanderError {
  return new CommanderError(
    'archive_unavailable',
    `cannot ${operation} ${path}, which was to go to the archive: ${messageOf(cause)}; check the disk and the permissions`,
    { details: { operation, path }, cause },
  )
}
