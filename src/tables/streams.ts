import type { Lsn } from '../kernel/identifiers.ts'
import { lsn } from '../kernel/identifiers.ts'
import { readUint64, writeUint64 } from '../kernel/integers.ts'
import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import { encodeKey } from '../store/keys.ts'
import { type Pointer, pointerBytes, readPointer, writePointer } from './pointer.ts'
import { tableNames } from './table-names.ts'

/** Pointers in one value of the streams table; the newest, incomplete ones lie in the head. */
const chunkEvents = 32
const headBytes = 16

/** What is known of an aggregate without reading its events. */
export interface Head {
  readonly revision: number
  readonly lastLsn: Lsn
}

const headKey = (key: string): Buffer => encodeKey(key)
const chunkKey = (key: string, firstRevision: number): Buffer => encodeKey(key, firstRevision)

/** The newest events of one aggregate, as the applier keeps it between transactions. */
interface OpenHead {
  revision: number
  lastLsn: number
  /** Pointers of the incomplete chunk; its length says nothing, `revision` does. */
  readonly tail: Buffer
}

const headsCachedMax = 20_000

/** Writes stream indexes: one value an aggregate and transaction, however many events it brought. */
export class StreamAppender {
  readonly #heads = new Map<string, OpenHead>()
  readonly #dirty = new Set<string>()

  /** @returns the revision that the aggregate had before, to be compared with the entry's base revision. */
  append(
    batch: WriteBatch,
    key: string,
    at: Lsn,
    eventCount: number,
    place: { block: number; offset: number; delta: number },
  ): number {
    const head = this.#open(batch, key)
    const before = head.revision
    for (let i = 0; i < eventCount; i++) {
      const slot = head.revision % chunkEvents
      writePointer(head.tail, slot * pointerBytes, place.block, place.offset, place.delta + i)
      head.revision++
      if (slot === chunkEvents - 1) {
        batch.put(tableNames.streams, chunkKey(key, head.revision - chunkEvents + 1), head.tail)
      }
    }
    head.lastLsn = at
    this.#dirty.add(key)
    return before
  }

  /** The stream is gone. */
  forget(key: string): void {
    this.#heads.delete(key)
  }

  finish(batch: WriteBatch): void {
    for (const key of this.#dirty)
      batch.put(tableNames.heads, headKey(key), encodeHead(this.#heads.get(key) as OpenHead))
    this.#dirty.clear()
    if (this.#heads.size > headsCachedMax) this.#heads.clear()
  }

  #open(batch: WriteBatch, key: string): OpenHead {
    const known = this.#heads.get(key)
    if (known !== undefined) return known
    const stored = batch.get(tableNames.heads, headKey(key))
    const tail = Buffer.alloc(chunkEvents * pointerBytes)
    stored?.copy(tail, 0, headBytes)
    const head = { revision: stored === undefined ? 0 : readUint64(stored, 0), lastLsn: 0, tail }
    this.#heads.set(key, head)
    return head
  }
}

function encodeHead(head: OpenHead): Buffer {
  const tailBytes = (head.revision % chunkEvents) * pointerBytes
  const bytes = Buffer.allocUnsafe(headBytes + tailBytes)
  writeUint64(bytes, head.revision, 0)
  writeUint64(bytes, head.lastLsn, 8)
  head.tail.copy(bytes, headBytes, 0, tailBytes)
  return bytes
}

export function readHead(store: KeyValueStore, key: string): Head | null {
  const bytes = store.table(tableNames.heads).get(headKey(key))
  return bytes === undefined ? null : { revision: readUint64(bytes, 0), lastLsn: lsn(readUint64(bytes, 8)) }
}

/** Revision of a stream as a transaction sees it. */
export function revisionInBatch(batch: WriteBatch, key: string): number {
  const bytes = batch.get(tableNames.heads, headKey(key))
  return bytes === undefined ? 0 : readUint64(bytes, 0)
}

export function deleteHead(batch: WriteBatch, key: string): void {
  batch.delete(tableNames.heads, headKey(key))
}

/**
 * Where the events of one chunk lie, from a revision on and up to `last` at most, as a transaction sees it. A chunk of
 * which nothing else is left is deleted.
 */
export function takeChunk(batch: WriteBatch, key: string, from: number, last: number): readonly Pointer[] {
  const first = from - ((from - 1) % chunkEvents)
  const chunkLast = first + chunkEvents - 1
  const stored = batch.get(tableNames.streams, chunkKey(key, first))
  const chunk = stored ?? batch.get(tableNames.heads, headKey(key))?.subarray(headBytes)
  if (chunk === undefined) return []
  const pointers: Pointer[] = []
  for (let at = from; at <= Math.min(last, chunkLast); at++)
    pointers.push(readPointer(chunk, (at - first) * pointerBytes))
  if (stored !== undefined && last >= chunkLast) batch.delete(tableNames.streams, chunkKey(key, first))
  return pointers
}

/** Where the events of a stream lie, from a revision on: one pointer an event, in order. */
export function* streamPointers(store: KeyValueStore, key: string, fromRevision: number): Generator<Pointer> {
  const bytes = store.table(tableNames.heads).get(headKey(key))
  if (bytes === undefined) return
  const revision = readUint64(bytes, 0)
  const complete = revision - (revision % chunkEvents)
  const streams = store.table(tableNames.streams)
  for (let next = Math.max(1, fromRevision); next <= revision; ) {
    const first = next - ((next - 1) % chunkEvents)
    const isTail = first > complete
    const chunk = isTail ? bytes.subarray(headBytes) : streams.get(chunkKey(key, first))
    if (chunk === undefined) return
    const last = Math.min(first + chunkEvents - 1, revision)
    for (; next <= last; next++) yield readPointer(chunk, (next - first) * pointerBytes)
  }
}
