import { entryHeaderBytes, eventCountOf, isWellFormed, lengthOf, padded } from '../actions/entry-layout.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import { numberKey, readKeyNumber } from '../store/keys.ts'
import { bringBack } from './archived-block.ts'
import { ArchivedElsewhere, type ArchivedStreams } from './archived-streams.ts'
import { readArchivedRange } from './archives.ts'
import { archiveOf, expandBlock, holesIn, isRebuiltBlock, offsetByCount, rebuiltMark } from './log-block.ts'
import { MigrationsReader, type StoredCopy } from './migrations.ts'
import type { Pointer } from './pointer.ts'
import { rewriteEntries } from './rewritten-block.ts'
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
  /** A migration replaced entries: they do not lie where pointers say. */
  readonly isRebuilt: boolean
}

/** One of several in a row. */
export interface BlockInRow extends LogBlock {
  /** Of its last event. */
  readonly lastPosition: number
}

/** The block for ever as a migration made it. */
export function putRebuilt(batch: WriteBatch, { firstPosition, entries }: LogBlock): void {
  batch.put(tableNames.log, numberKey(firstPosition), Buffer.concat([rebuiltMark, entries]))
}

function blockOf(firstPosition: number, stored: Buffer): LogBlock {
  const block = expandBlock(stored)
  const entries = isRebuiltBlock(block) ? block.subarray(rebuiltMark.length) : block
  return { firstPosition, entries, holes: holesIn(stored), isRebuilt: isRebuiltBlock(block) }
}

/** Reads throw `ArchivedElsewhere` when a part of a block lies in the archive and not in memory. */
export class EventLogReader {
  readonly #store: KeyValueStore
  readonly #migrations: MigrationsReader
  /** Null: what was archived is left out, as if it had been deleted. */
  readonly #archived: ArchivedStreams | null
  #cached: LogBlock | null = null
  /** The copies that the cached block was read under. */
  #cachedUnder: readonly StoredCopy[] = []

  constructor(store: KeyValueStore, archived: ArchivedStreams | null = null) {
    this.#store = store
    this.#archived = archived
    this.#migrations = new MigrationsReader(store)
  }

  /** The block that a pointer names; kept until another is asked for, since neighbours are mostly read together. */
  block(firstPosition: number): LogBlock {
    const { copies } = this.#migrations.get()
    if (this.#cached?.firstPosition === firstPosition && this.#cachedUnder === copies) return this.#cached
    this.#cached = this.#read(firstPosition)
    this.#cachedUnder = copies
    return this.#cached
  }

  /** Events may have been removed since. */
  forget(): void {
    this.#cached = null
  }

  /**
   * The entry that a pointer to its first event names, as a place in its block; an archived one in a buffer of its own.
   * Others in the block that are archived are left alone: nobody waits for an archive who does not read from it.
   */
  entry(pointer: Pointer): { readonly buffer: Buffer; readonly offset: number } {
    const { entries, isRebuilt } = this.block(pointer.block)
    const offset = isRebuilt ? offsetByCount(entries, pointer.delta) : pointer.offset
    if (!isWellFormed(entries, offset, entries.length)) throw damaged(pointer.block)
    const archive = archiveOf(entries, offset)
    const range = archive === 0 || this.#archived === null ? null : readArchivedRange(this.#store, archive)
    if (range === null) return { buffer: entries, offset }
    const position = pointer.block + pointer.delta
    const entry = this.#archived?.entryAt(position)
    if (entry === undefined) throw new ArchivedElsewhere(range, [{ range, position }])
    return { buffer: entry, offset: 0 }
  }

  /** Blocks from the one that holds `position` on. */
  *blocksFrom(position: number): Generator<BlockInRow> {
    for (const block of storedBlocks(this.#store, position)) {
      const { copies } = this.#migrations.get()
      yield this.#withArchived(copies.length === 0 ? block : { ...block, ...this.#read(block.firstPosition) })
    }
  }

  #withArchived(block: BlockInRow): BlockInRow {
    if (this.#archived === null || (block.holes === 0 && !block.isRebuilt)) return block
    const entries = bringBack(this.#store, this.#archived, block)
    return entries === null ? block : { ...block, entries, isRebuilt: true }
  }

  /** The switch that made older snapshots of the type void; 0 where there was none. */
  snapshotsSince(type: string): number {
    for (const [migrated, at] of this.#migrations.get().snapshotsSince) if (migrated === type) return at
    return 0
  }

  /** The block and what was rewritten of it, as of one committed state: a copy moves into the log in one transaction. */
  #read(firstPosition: number): LogBlock {
    return this.#store.snapshot(() => {
      const stored = this.#store.table(tableNames.log).get(numberKey(firstPosition))
      if (stored === undefined) throw damaged(firstPosition)
      return rewriteBlock(this.#store, blockOf(firstPosition, stored), this.#migrations.get().copies)
    })
  }
}

/** The block with what copies have instead of it; the same where they have nothing. */
export function rewriteBlock(store: KeyValueStore, block: LogBlock, copies: readonly StoredCopy[]): LogBlock {
  const entries = copies.length === 0 ? null : rewriteEntries(store, block, copies)
  return entries === null ? block : { ...block, entries, isRebuilt: true }
}

/**
 * Blocks as they are stored, from the one that holds `position` on, or else the last one before it.
 * @throws CommanderError `store_failed` where one is missing: nobody is to read on as if there had been nothing
 */
export function* storedBlocks(store: KeyValueStore, position: number): Generator<BlockInRow> {
  const table = store.table(tableNames.log)
  const [before] = table.range({ to: numberKey(position + 1), reverse: true, limit: 1 })
  if (before === undefined) return
  let next: number | null = null
  for (const { key, value } of table.range({ from: before.key })) {
    const block = blockOf(readKeyNumber(key, 0), value)
    if (next !== null && block.firstPosition !== next) throw damaged(next)
    const last = lastPosition(block)
    yield { ...block, lastPosition: last }
    next = last + 1
  }
}

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
