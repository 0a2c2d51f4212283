/** u64 little-endian as a safe integer. Two u32 reads are several times faster than a BigInt. */
const high = 4294967296

export function readUint64(buffer: Buffer, offset: number): number {
  return buffer.readUInt32LE(offset) + buffer.readUInt32LE(offset + 4) * high
}

export function writeUint64(buffer: Buffer, value: number, offset: number): void {
  buffer.writeUInt32LE(value >>> 0, offset)
  buffer.writeUInt32LE((value / high) >>> 0, offset + 4)
}
