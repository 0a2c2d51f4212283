/**
 * The two meta pages at the head of a data file, in the format of lmdb-js 3 (LMDB's data format 2 with a page header
 * of 24 bytes). Read before LMDB sees the file: lmdb-js does not survive a file that LMDB refuses to open, and no
 * process survives the touch of a mapped page that is not in the file.
 *
 * | offset | bytes | field |
 * |---|---|---|
 * | 24 | u32 | magic |
 * | 28 | u32 | data format |
 * | 48 | u32 | bytes of a page; the second meta page begins there |
 * | 144 | u64 | number of the last page in use |
 * | 152 | u64 | number of the transaction; the meta page with the higher one is the state |
 */
export interface LmdbHeader {
  readonly pageBytes: number
  readonly lastPage: number
}

const magic = 0xbeefc0de
const dataFormat = 2
const at = { magic: 24, format: 28, pageBytes: 48, lastPage: 144, transaction: 152, end: 160 } as const
const pageBytesLeast = 256
const pageBytesMost = 65_536

/** Bytes of the head of the file that `readHeader` wants, if the file has so many. */
export const headBytes: number = pageBytesMost + at.end

export function readHeader(head: Buffer): LmdbHeader | 'foreign' | 'other version' {
  if (head.length < at.end || head.readUInt32LE(at.magic) !== magic) return 'foreign'
  if (head.readUInt32LE(at.format) !== dataFormat) return 'other version'
  const pageBytes = head.readUInt32LE(at.pageBytes)
  if (pageBytes < pageBytesLeast || pageBytes > pageBytesMost) return 'foreign'
  const second = head.subarray(pageBytes)
  if (second.length < at.end || second.readUInt32LE(at.magic) !== magic) return 'foreign'
  const newer = head.readBigUInt64LE(at.transaction) > second.readBigUInt64LE(at.transaction) ? head : second
  return { pageBytes, lastPage: Number(newer.readBigUInt64LE(at.lastPage)) }
}
