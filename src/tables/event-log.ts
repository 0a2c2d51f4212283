import { entryHeaderBytes, eventCountOf, isWellFormed, lengthOf, padded } from '../actions/entry-layout.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import { numberKey, readKeyNumber } from '../store/keys.ts'
import { expandBlock, holesIn } from './log-block.ts'
import type { Pointer } from './pointer.ts'
import { tableNames } from './table-names.ts'

/** A block is put when it reaches this size, and at the end of each transaction. */
const blockBytes = 16_384

/** Appends completed entries to the log, many in one value: a put costs more than copying an entry. */
export class EventLogAppender {
  #block = 0
  #next: number
  #parts: Buffer[] = []
  #bytes = 0

  constructor(nextPosition: number) {
    this.#next = nextPosition
    this.#block = nextPosition
  }

  /** The pointer's parts for the entry's first event: block, offset, delta. */
  add(batch: WriteBatch, source: Buffer, o: number): { block: number; offset: number; delta: number } {
    if (this.#bytes >= blockBytes) this.finish(batch)
    const room = padded(lengthOf(source, o))
    const place = { block: this.#block, offset: this.#bytes, delta: this.#next - this.#block }
    this.#parts.push(source.subarray(o, o + room))
    this.#bytes += room
    this.#next += eventCountOf(source, o)
    return place
  }

  finish(batch: WriteBatch): void {
    if (this.#bytes > 0) batch.put(tableNames.log, numberKey(this.#block), Buffer.concat(this.#parts, this.#bytes))
    this.#block = this.#next
    this.#parts = []
    this.#bytes = 0
  }
}

/** One block of the log: entries with consecutive positions. */
export interface LogBlock {
  readonly firstPosition: number
  readonly entries: Buffer
  /** Entries whose events were removed: of these only the number of events is left (`isRemoved`). */
  readonly holes: number
}

export class EventLogReader {
  readonly #store: KeyValueStore
  #cached: LogBlock | null = null

  constructor(store: KeyValueStore) {
    this.#store = store
  }

  /** The block that a pointer names; kept until another is asked for, since neighbours are mostly read together. */
  block(firstPosition: number): LogBlock {
    if (this.#cached?.firstPosition === firstPosition) return this.#cached
    const stored = this.#store.table(tableNames.log).get(numberKey(firstPosition))
    if (stored === undefined) throw damaged(firstPosition)
    this.#cached = blockOf(firstPosition, stored)
    return this.#cached
  }

  /** Events may have been removed since. */
  forget(): void {
    this.#cached = null
  }

  /** The entry that a pointer names, as a place in its block. */
  entry(pointer: Pointer): { readonly buffer: Buffer; readonly offset: number } {
    const { entries } = this.block(pointer.block)
    if (!isWellFormed(entries, pointer.offset, entries.length)) throw damaged(pointer.block)
    return { buffer: entries, offset: pointer.offset }
  }

  /** Blocks from the one that holds `position` on. */
  *blocksFrom(position: number): Generator<LogBlock> {
    const table = this.#store.table(tableNames.log)
    const [before] = table.range({ to: numberKey(position + 1), reverse: true, limit: 1 })
    if (before === undefined) return
    for (const { key, value } of table.range({ from: before.key })) {
      yield blockOf(readKeyNumber(key, 0), value)
    }
  }
}

const blockOf = (firstPosition: number, stored: Buffer): LogBlock => ({
  firstPosition,
  entries: expandBlock(stored),
  holes: holesIn(stored),
})

/** Calls `visit` for each entry of a block, with the position of its first event. */
export function eachEntry(
  block: LogBlock,
  visit: (buffer: Buffer, offset: number, firstPosition: number) => void,
): void {
  const { entries } = block
  let position = block.firstPosition
  for (let o = 0; o + entryHeaderBytes <= entries.length; o += padded(lengthOf(entries, o))) {
    visit(entries, o, position)
    position += eventCountOf(entries, o)
  }
}

/** Position of a block's last event. */
export function lastPosition(block: LogBlock): number {
  let position = block.firstPosition - 1
  const { entries } = block
  for (let o = 0; o + entryHeaderBytes <= entries.length; o += padded(lengthOf(entries, o)))
    position += eventCountOf(entries, o)
  return position
}

const damaged = (position: number): CommanderError =>
  new CommanderError(
    'store_failed',
    `the store has no event block at position ${position}: stop the database, remove its store directory and start again to rebuild it`,
  )
