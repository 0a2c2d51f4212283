import type { JournalStorage } from '../journal/storage.ts'
import { digest16 } from '../kernel/checksum.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Epoch, epoch, noEpoch } from '../kernel/identifiers.ts'
import { decodeChecked, encodeChecked } from './checked-record.ts'

/** What the directory of a stream says by itself: whose it is, and what was promised. */
export interface StreamPromise {
  readonly stream: string
  readonly promised: Epoch
  /** What has to be there: one that is missing was lost, and not absent (I14). */
  readonly segments: readonly Epoch[]
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
  if (record?.format === format)
    return { stream: record.stream, promised: epoch(record.promised), segments: record.segments.map(epoch) }
  throw lostPromise(`${place}/${promiseName} is damaged`)
}

export const lostPromise = (what: string): CommanderError =>
  new CommanderError(
    'journal_corrupt',
    `${what}: what the server has promised and acknowledged is not known, so it may not vote. Put back what was there, or give the server an empty directory, and register that identity in place of the old`,
  )

export const nothingPromised = (stream: string): StreamPromise => ({ stream, promised: noEpoch, segments: [] })

const streamsName = 'streams.json'

/** Which streams have to be there. */
export function writeStreams(storage: JournalStorage, streams: readonly string[]): void {
  storage.writeWhole(streamsName, encodeChecked({ format, streams }))
}

/** @throws CommanderError journal_corrupt */
export function readStreams(storage: JournalStorage, place: string): readonly string[] {
  const bytes = storage.readWhole(streamsName)
  if (bytes === null) return []
  const record = decodeChecked(bytes) as { readonly format: number; readonly streams: readonly string[] } | null
  if (record?.format === format) return record.streams
  throw lostPromise(`${place}/${streamsName} is damaged`)
}

/** A name for people and a digest for the machine: streams may be called anything. */
export function directoryOf(stream: string): string {
  const legible = stream.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, 40)
  return `${legible}-${digest16(Buffer.from(stream)).toString('hex')}`
}

export const segmentDirectory = (stream: string, segmentEpoch: Epoch): string =>
  `${directoryOf(stream)}/${String(segmentEpoch).padStart(16, '0')}`
