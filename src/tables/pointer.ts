import { readUint64, writeUint64 } from '../kernel/integers.ts'

/** Where one event lies in the log: its block, its entry's offset in it, and its position less the block's first. */
export interface Pointer {
  readonly block: number
  readonly offset: number
  readonly delta: number
}

export const pointerBytes = 16

export function writePointer(target: Buffer, at: number, block: number, offset: number, delta: number): void {
  writeUint64(target, block, at)
  target.writeUInt32LE(offset, at + 8)
  target.writeUInt32LE(delta, at + 12)
}

export const readPointer = (source: Buffer, at: number): Pointer => ({
  block: readUint64(source, at),
  offset: source.readUInt32LE(at + 8),
  delta: source.readUInt32LE(at + 12),
})
