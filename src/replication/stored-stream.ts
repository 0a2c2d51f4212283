import type { JournalStorage } from '../journal/storage.ts'
import { digest16 } from '../kernel/checksum.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Epoch, epoch, noEpoch } from '../kernel/identifiers.ts'
import { decodeChecked, encodeChecked } from './checked-record.ts'

/** What the directory of a stream says by itself: whose it is, and what was promised. */
export interface StreamPromise {
  readonly stream: string
  readonly promised: Epoch
}

const promiseName = 'promise.json'
const format = 1

export function writePromise(storage: JournalStorage, promise: StreamPromise): void {
  storage.writeWhole(promiseName, encodeChecked({ format, ...promise }))
}

/**
 * null: the stream's directory was made, and nothing promised in it yet.
 * @throws CommanderError journal_corrupt: what was promised is not known, so nobody may count on this server (I4)
 */
export function readPromise(storage: JournalStorage, place: string): StreamPromise | null {
  const bytes = storage.readWhole(promiseName)
  if (bytes === null) return null
  const record = decodeChecked(bytes) as (StreamPromise & { readonly format: number }) | null
  if (record?.format === format) return { stream: record.stream, promised: epoch(record.promised) }
  throw lostPromise(`${place}/${promiseName} is damaged`)
}

export const lostPromise = (what: string): CommanderError =>
  new CommanderError(
    'journal_corrupt',
    `${what}: which epoch the server has promised is lost, so it may not vote. Put the file back, or give the server an empty directory, and register that identity in place of the old`,
  )

export const nothingPromised = (stream: string): StreamPromise => ({ stream, promised: noEpoch })

/** A name for people and a digest for the machine: streams may be called anything. */
export function directoryOf(stream: string): string {
  const legible = stream.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, 40)
  return `${legible}-${digest16(Buffer.from(stream)).toString('hex')}`
}

export const segmentDirectory = (stream: string, segmentEpoch: Epoch): string =>
  `${directoryOf(stream)}/${String(segmentEpoch).padStart(16, '0')}`
