import { CommanderError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import type { ReplicatedBatch } from './batch.ts'

/** Before each entry: its length. Behind it zeros, so that the next one begins at a multiple of 8 bytes. */
const lengthBytes = 8

/**
 * Entries as a `StreamWriter` puts them into the payload of a batch. The journal of a database has a form of its own, in which
 * entries carry their length.
 *
 * @throws CommanderError `invalid_input`: none, or too many; `payload_too_large`
 */
export function encodeEntries(
  entries: readonly Buffer[],
  payloadBytesMax: number = limits.appendBatchBytesMax,
): Buffer {
  if (entries.length === 0 || entries.length > limits.appendBatchEntriesMax) {
    const message = `an append takes 1 to ${limits.appendBatchEntriesMax} entries, not ${entries.length}`
    throw new CommanderError('invalid_input', message)
  }
  const bytes = entries.reduce((sum, entry) => sum + spaceOf(entry.length), 0)
  if (bytes > payloadBytesMax) {
    const message = `the entries take ${bytes} bytes together, at most ${payloadBytesMax} can be appended at once: split them`
    throw new CommanderError('payload_too_large', message, { details: { bytes, payloadBytesMax } })
  }
  const payload = Buffer.alloc(bytes)
  let at = 0
  for (const entry of entries) {
    payload.writeUInt32LE(entry.length, at)
    entry.copy(payload, at + lengthBytes)
    at += spaceOf(entry.length)
  }
  return payload
}

/**
 * What was appended with one call, one after the other; views of the payload.
 * @throws CommanderError `journal_corrupt` for a payload that `encodeEntries` has not made
 */
export function entriesOf({ payload, entryCount, firstLsn }: ReplicatedBatch): readonly Buffer[] {
  const entries: Buffer[] = []
  let at = 0
  while (at + lengthBytes <= payload.length) {
    const begin = at + lengthBytes
    const end = begin + payload.readUInt32LE(at)
    at += spaceOf(end - begin)
    if (at <= payload.length) entries.push(payload.subarray(begin, end))
  }
  if (at === payload.length && entries.length === entryCount) return entries
  throw new CommanderError(
    'journal_corrupt',
    `the batch from entry ${firstLsn} on does not hold the ${entryCount} entries that it says: another writer made it`,
    { details: { lsn: firstLsn, entryCount } },
  )
}

const spaceOf = (bytes: number): number => lengthBytes + Math.ceil(bytes / 8) * 8
