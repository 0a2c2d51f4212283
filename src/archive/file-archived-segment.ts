import { createWriteStream } from 'node:fs'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { journalLimits, segmentHeaderBytes } from '../journal/options.ts'
import { decodeSegmentHeader } from '../journal/segment-header.ts'
import { CommanderError, isCommanderError, messageOf } from '../kernel/errors.ts'
import type { ArchiveTarget } from './archive-target.ts'
import type { ArchivedSegment } from './archived-segments.ts'
import { isPackingFault, zstd } from './segment-codec.ts'

const temporarySuffix = '.tmp'

/**
 * Brings a segment to a local file, decompressed, in slices; the file has its name, and is flushed, once it is whole. That
 * it holds what its name says is checked; its frames and the chain are for whoever reads it, see `verifyArchive`.
 *
 * @throws CommanderError `archive_corrupt` with details { object, reason }; `not_found`; `archive_unavailable`;
 * `journal_full` and `journal_failed` where the local file cannot be written
 */
export async function fetchArchivedSegment(
  target: ArchiveTarget,
  segment: ArchivedSegment,
  path: string,
): Promise<{ readonly bytes: number }> {
  const temporary = path + temporarySuffix
  try {
    const { bytes } = await fetchObject(target, segment.object, temporary, journalLimits.segmentBytesMax)
    await checkHeader(target, segment, temporary, bytes)
    await rename(temporary, path)
    await flushDirectory(dirname(path))
    return { bytes }
  } catch (error) {
    await rm(temporary, { force: true })
    throw isCommanderError(error) ? error : localError(path, error)
  }
}

/**
 * Any object that was compressed, to a local file, flushed; a file of that name is replaced, and may be there in part after an error.
 * @param bytesMax - bound of what a damaged or forged object can take of the disk
 * @throws CommanderError as `fetchArchivedSegment`
 */
export async function fetchObject(
  target: ArchiveTarget,
  object: string,
  path: string,
  bytesMax: number = Number.MAX_SAFE_INTEGER,
): Promise<{ readonly bytes: number }> {
  let bytes = 0
  const bounded = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      if (bytes > bytesMax) done(damaged(target, object, `it holds more than ${bytesMax} bytes`))
      else done(null, chunk)
    },
  })
  const source = await target.read(object)
  const file = createWriteStream(path, { mode: 0o600, flush: true })
  try {
    await pipeline(source, zstd.decompress(), bounded, file)
  } catch (error) {
    if (isCommanderError(error)) throw error
    throw isPackingFault(error) ? damaged(target, object, messageOf(error)) : localError(path, error)
  }
  return { bytes }
}

async function checkHeader(
  target: ArchiveTarget,
  { object, segNo, baseLsn, timeline }: ArchivedSegment,
  path: string,
  bytes: number,
): Promise<void> {
  const header = await using(await open(path, 'r'), async (file) => {
    const head = Buffer.alloc(segmentHeaderBytes)
    const { bytesRead } = await file.read(head, 0, head.length, 0)
    return decodeSegmentHeader(head.subarray(0, bytesRead))
  })
  if (header === null) throw damaged(target, object, 'it does not begin with the header of a segment')
  // The last segment of a timeline that was left is under the one that goes on from it.
  if (header.segNo !== segNo || header.baseLsn !== baseLsn || header.timeline > timeline) {
    const says = `segment ${header.segNo} from LSN ${header.baseLsn} on timeline ${header.timeline}`
    throw damaged(target, object, `its header says ${says}`)
  }
  if (header.segmentBytes !== bytes)
    throw damaged(target, object, `it holds ${bytes} bytes, its header says ${header.segmentBytes}`)
}

async function using<T>(file: FileHandle, run: (file: FileHandle) => Promise<T>): Promise<T> {
  try {
    return await run(file)
  } finally {
    await file.close()
  }
}

async function flushDirectory(path: string): Promise<void> {
  await using(await open(path, 'r'), (file) => file.sync())
}

function damaged(target: ArchiveTarget, object: string, reason: string): CommanderError {
  return new CommanderError('archive_corrupt', `${object} in the archive ${target.location} is damaged: ${reason}`, {
    details: { location: target.location, object, reason },
  })
}

function localError(path: string, cause: unknown): CommanderError {
  const systemCode = (cause as { code?: string }).code
  const isFull = systemCode === 'ENOSPC' || systemCode === 'EDQUOT'
  return new CommanderError(
    isFull ? 'journal_full' : 'journal_failed',
    `cannot write ${path}: ${messageOf(cause)}; ${isFull ? 'make room there' : 'check the disk and the permissions'}`,
    { details: { path, systemCode }, cause },
  )
}
