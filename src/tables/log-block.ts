import { actionCodes } from '../actions/action-codes.ts'
import {
  entryFlags,
  entryHeaderBytes,
  entryOffsets,
  eventCountOf,
  isRemoved,
  isWellFormed,
  lengthOf,
  padded,
} from '../actions/entry-layout.ts'
import { assert } from '../kernel/assert.ts'
import { readUint64, writeUint64 } from '../kernel/integers.ts'
import type { Pointer } from './pointer.ts'

/**
 * A block of the log as it is stored. Mostly that is its entries, one behind the other. Where events were removed it is
 * a list of holes and what lies between them: pointers name places in the block, so everything must be where it was
 * once the block is read.
 *
 * | offset | type | field |
 * |---|---|---|
 * | 0 | u32 | 0xffffffff: no entry is that long |
 * | 4 | u32 | number of holes |
 * | 8 | u32 | bytes of the block when expanded |
 * | 12 | | holes: u32 offset, u32 length, u32 events, u64 archive, in order; then what lies between them |
 */
const holeMark = 0xffffffff
const headBytes = 12
const holeBytes = 20

interface Hole {
  readonly offset: number
  readonly length: number
  readonly events: number
  /** The `stream/archived` entry that says where the events are; 0 when they are nowhere. */
  readonly archive: number
}

const hasHoles = (stored: Buffer): boolean => stored.length >= headBytes && stored.readUInt32LE(0) === holeMark

/** How many of a block's entries were removed. */
export const holesIn = (stored: Buffer): number => (hasHoles(stored) ? stored.readUInt32LE(4) : 0)

/** The block with everything where it was; what was removed is a header that counts its events and says nothing else. */
export function expandBlock(stored: Buffer): Buffer {
  if (!hasHoles(stored)) return stored
  const holes = readHoles(stored)
  const expanded = Buffer.alloc(stored.readUInt32LE(8))
  let from = headBytes + holes.length * holeBytes
  let at = 0
  for (const hole of holes) {
    from += stored.copy(expanded, at, from, from + hole.offset - at)
    writeStub(expanded, hole)
    at = hole.offset + hole.length
  }
  stored.copy(expanded, at, from)
  return expanded
}

/** The entry that archived what was at `o`; 0 where nothing was, or where it is. */
export const archiveOf = (block: Buffer, o: number): number =>
  isRemoved(block, o) ? readUint64(block, o + entryOffsets.token) : 0

/** Removes the entries at some offsets from a block. Those that are removed already stay so. */
export function punchHoles(stored: Buffer, offsets: Iterable<number>, archive: number): Buffer {
  const expanded = expandBlock(stored)
  const holes = new Map(readHoles(stored).map((hole) => [hole.offset, hole]))
  for (const offset of offsets) {
    if (holes.has(offset)) continue
    assert(isWellFormed(expanded, offset, expanded.length), `the log has an entry at ${offset} of its block`)
    const length = padded(lengthOf(expanded, offset))
    holes.set(offset, { offset, length, events: eventCountOf(expanded, offset), archive })
  }
  return compactBlock(
    expanded,
    [...holes.values()].sort((a, b) => a.offset - b.offset),
  )
}

/** Goes before the entries of a block that a migration has put anew: no entry has a length of 0. */
export const rebuiltMark: Buffer = Buffer.alloc(8)

/** Whether the entries of the expanded block do not lie where pointers say, and are found by counting events. */
export const isRebuiltBlock = (expanded: Buffer): boolean =>
  expanded.length >= rebuiltMark.length && expanded.readUInt32LE(0) === 0

/** Where the entry lies that has the event at `delta`, counted from the block's first; behind the block when there is none. */
export function offsetByCount(entries: Buffer, delta: number): number {
  let events = 0
  let o = 0
  for (; o + entryHeaderBytes <= entries.length; o += padded(lengthOf(entries, o))) {
    events += eventCountOf(entries, o)
    if (delta < events) break
  }
  return o
}

/** Where in the block, as it is stored and expanded, the entries lie that pointers name. */
export function offsetsIn(stored: Buffer, pointers: readonly Pointer[]): Set<number> {
  const expanded = expandBlock(stored)
  if (!isRebuiltBlock(expanded)) return new Set(pointers.map(({ offset }) => offset))
  const entries = expanded.subarray(rebuiltMark.length)
  return new Set(pointers.map(({ delta }) => rebuiltMark.length + offsetByCount(entries, delta)))
}

function compactBlock(expanded: Buffer, holes: readonly Hole[]): Buffer {
  const head = Buffer.alloc(headBytes + holes.length * holeBytes)
  head.writeUInt32LE(holeMark, 0)
  head.writeUInt32LE(holes.length, 4)
  head.writeUInt32LE(expanded.length, 8)
  const kept: Buffer[] = [head]
  let at = 0
  for (const [i, { offset, length, events, archive }] of holes.entries()) {
    head.writeUInt32LE(offset, headBytes + i * holeBytes)
    head.writeUInt32LE(length, headBytes + i * holeBytes + 4)
    head.writeUInt32LE(events, headBytes + i * holeBytes + 8)
    writeUint64(head, archive, headBytes + i * holeBytes + 12)
    kept.push(expanded.subarray(at, offset))
    at = offset + length
  }
  kept.push(expanded.subarray(at))
  return Buffer.concat(kept)
}

function readHoles(stored: Buffer): Hole[] {
  const holes: Hole[] = []
  for (let i = 0; i < holesIn(stored); i++) {
    const o = headBytes + i * holeBytes
    holes.push({
      offset: stored.readUInt32LE(o),
      length: stored.readUInt32LE(o + 4),
      events: stored.readUInt32LE(o + 8),
      archive: readUint64(stored, o + 12),
    })
  }
  return holes
}

function writeStub(block: Buffer, { offset, length, events, archive }: Hole): void {
  block.writeUInt32LE(length, offset + entryOffsets.length)
  block[offset + entryOffsets.code] = actionCodes['command/completed']
  block[offset + entryOffsets.version] = 1
  block.writeUInt16LE(entryFlags.removed, offset + entryOffsets.flags)
  writeUint64(block, archive, offset + entryOffsets.token)
  block.writeUInt16LE(events, offset + entryOffsets.eventCount)
  assert(length >= entryHeaderBytes && isRemoved(block, offset), 'a hole is as long as a header at least')
}
