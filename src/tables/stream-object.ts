import { hash } from 'node:crypto'
import { promisify } from 'node:util'
import { constants, zstdCompress, zstdDecompress } from 'node:zlib'
import { eventCountOf, isWellFormed, keyOf, lengthOf, padded, revisionOf } from '../actions/entry-layout.ts'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import { readUint64, writeUint64 } from '../kernel/integers.ts'
import type { ArchivedRange } from './archives.ts'

/**
 * Events of one stream, to lie in an archive: zstd over the magic, and then for each completed entry the position of its
 * first event (u64) and the entry as the journal has it, padded.
 */
const magic = Buffer.from('CMDRSTRM')
/** An entry or two more than what `stream/archived` entries take. */
const objectBytesMax = 33_554_432
const longIdLength = 120

const compress = promisify(zstdCompress)
const decompress = promisify(zstdDecompress)

/** How stream objects are packed. Simulations, whose time is not that of the thread pool, pack them otherwise. */
export interface ObjectPacking {
  compress(bytes: Buffer): Promise<Buffer>
  /** @throws when they are no sound object, or would become more than so many bytes */
  decompress(bytes: Buffer, bytesMax: number): Promise<Buffer>
}

/** zstd with a checksum over what was packed, on the thread pool. */
export const zstdPacking: ObjectPacking = {
  compress: (bytes) => compress(bytes, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }),
  decompress: (bytes, bytesMax) => decompress(bytes, { maxOutputLength: bytesMax }),
}

/** An entry of a stream, wherever it lies. */
export interface StreamEntry {
  readonly buffer: Buffer
  readonly offset: number
  /** Of its first event. */
  readonly position: number
}

export interface StreamObject {
  readonly name: string
  readonly bytes: Buffer
  readonly digest: string
}

/** Named for what it holds and for its digest: two different objects never want one name. */
export async function packStreamObject(
  aggregate: { readonly type: string; readonly id: string },
  from: number,
  upTo: number,
  entries: readonly StreamEntry[],
  packing: ObjectPacking = zstdPacking,
): Promise<StreamObject> {
  const parts: Buffer[] = [magic]
  for (const { buffer, offset, position } of entries) {
    const head = Buffer.allocUnsafe(8)
    writeUint64(head, position, 0)
    parts.push(head, buffer.subarray(offset, offset + padded(lengthOf(buffer, offset))))
  }
  const bytes = await packing.compress(Buffer.concat(parts))
  const digest = digestOf(bytes)
  const range = [from, upTo].map((revision) => String(revision).padStart(16, '0')).join('-')
  const name = `streams/${aggregate.type}/${safeName(aggregate.id)}/${range}-${digest.slice(0, 16)}.zst`
  return { name, bytes, digest }
}

export const digestOf = (bytes: Uint8Array): string => hash('sha256', bytes, 'hex')

/** Ids may have any characters, and more of them than a file's name. */
function safeName(id: string): string {
  const encoded = encodeURIComponent(id).replace(/[.~*'()!]/g, (char) => `%${char.charCodeAt(0).toString(16)}`)
  return encoded.length <= longIdLength ? encoded : `sha256-${digestOf(Buffer.from(id))}`
}

/** @throws CommanderError `archive_corrupt` when these are not the bytes that the journal names */
export async function unpackStreamObject(
  range: ArchivedRange,
  bytes: Buffer,
  packing: ObjectPacking = zstdPacking,
): Promise<readonly StreamEntry[]> {
  if (digestOf(bytes) !== range.digest) throw damaged(range, `has the digest ${digestOf(bytes)}, not ${range.digest}`)
  const content = await packing.decompress(bytes, objectBytesMax).catch((error: unknown) => {
    throw damaged(range, `cannot be unpacked: ${messageOf(error)}`)
  })
  if (!content.subarray(0, magic.length).equals(magic)) throw damaged(range, 'does not hold a stream')
  const entries: StreamEntry[] = []
  let next = range.from
  for (let at = magic.length; at < content.length; ) {
    const offset = at + 8
    const isNext =
      isWellFormed(content, offset, content.length) &&
      keyOf(content, offset) === range.key &&
      revisionOf(content, offset) + 1 === next
    if (!isNext) throw damaged(range, `goes wrong at revision ${next}`)
    entries.push({ buffer: content, offset, position: readUint64(content, at) })
    next += eventCountOf(content, offset)
    at = offset + padded(lengthOf(content, offset))
  }
  if (next !== range.upTo + 1) throw damaged(range, `ends before revision ${next}, not after ${range.upTo}`)
  return entries
}

const damaged = ({ object }: ArchivedRange, what: string): CommanderError =>
  new CommanderError('archive_corrupt', `the object ${object} of the archive ${what}; bring back a good copy of it`)
