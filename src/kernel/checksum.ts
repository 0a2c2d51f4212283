import { createHash, hash } from 'node:crypto'
import { crc32 as zlibCrc32 } from 'node:zlib'

/** CRC-32 (ISO-HDLC, as in gzip), u32. Native: about 4 GB/s. */
export function crc32(bytes: Uint8Array, seed = 0): number {
  return zlibCrc32(bytes, seed)
}

export const digestBytes = 16

/** SHA-256 over the parts in order, truncated to 16 bytes: finds what a CRC cannot, such as swapped frames. */
export function digest16(...parts: readonly Uint8Array[]): Buffer {
  if (parts.length === 1) return hash('sha256', parts[0] as Uint8Array, 'buffer').subarray(0, digestBytes)
  const sha = createHash('sha256')
  for (const part of parts) sha.update(part)
  return sha.digest().subarray(0, digestBytes)
}
