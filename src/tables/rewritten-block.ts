import {
  entryFlags,
  entryHeaderBytes,
  entryOffsets,
  eventCountOf,
  flagsOf,
  keyBytesOf,
  lengthOf,
  nameBytesOf,
  padded,
  variantOf,
} from '../actions/entry-layout.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { readRewritten, type StoredCopy } from './migrations.ts'

/** The entries of one block of the log. */
interface Block {
  readonly firstPosition: number
  readonly entries: Buffer
}

/**
 * A block's entries as readers of a migrated type see them: those of older versions are replaced by what the migration
 * made of them. Positions stay; places within the block do not. Null where nothing is replaced.
 */
export function rewriteEntries(store: KeyValueStore, block: Block, copies: readonly StoredCopy[]): Buffer | null {
  let entries: Buffer | null = null
  for (const copy of copies) {
    if (copy.status === 'abandoned') continue
    entries = applyCopy(store, { ...block, entries: entries ?? block.entries }, copy) ?? entries
  }
  return entries
}

function applyCopy(store: KeyValueStore, { firstPosition, entries: b }: Block, copy: StoredCopy): Buffer | null {
  if (firstPosition > copy.until) return null
  const old = oldEntries(b, firstPosition, copy)
  const last = old.at(-1)
  if (last === undefined) return null
  const rows = readRewritten(store, copy.migration, firstPosition, last.position)
  const parts: Buffer[] = []
  let from = 0
  for (const { position, offset } of old) {
    const events = rows.get(position)
    if (events === undefined) continue
    parts.push(b.subarray(from, offset), rewrittenEntry(b, offset, events, copy))
    from = offset + padded(lengthOf(b, offset))
  }
  parts.push(b.subarray(from))
  return Buffer.concat(parts)
}

function oldEntries(b: Buffer, firstPosition: number, copy: StoredCopy): { position: number; offset: number }[] {
  const old: { position: number; offset: number }[] = []
  let position = firstPosition
  for (let offset = 0; offset + entryHeaderBytes <= b.length; offset += padded(lengthOf(b, offset))) {
    if (isOld(b, offset, copy)) old.push({ position, offset })
    position += eventCountOf(b, offset)
  }
  return old
}

/** Whether the entry holds events of the type that were written under an older version. */
export function isOld(b: Buffer, o: number, { type, toVersion }: Pick<StoredCopy, 'type' | 'toVersion'>): boolean {
  if (variantOf(b, o) >= toVersion || eventCountOf(b, o) === 0) return false
  const start = o + entryHeaderBytes
  return keyBytesOf(b, o) > type.length && b.toString('latin1', start, start + type.length + 1) === `${type}/`
}

/** The entry with other events; a snapshot that came with them is of the old form, and goes. */
function rewrittenEntry(b: Buffer, o: number, events: Buffer, { toVersion }: StoredCopy): Buffer {
  const kept = entryHeaderBytes + keyBytesOf(b, o) + nameBytesOf(b, o)
  const length = kept + events.length
  const entry = Buffer.alloc(padded(length))
  b.copy(entry, 0, o, o + kept)
  events.copy(entry, kept)
  entry.writeUInt32LE(length, entryOffsets.length)
  entry.writeUInt16LE(flagsOf(b, o) & ~entryFlags.snapshot, entryOffsets.flags)
  entry.writeUInt16LE(toVersion, entryOffsets.variant)
  entry.writeUInt32LE(0, entryOffsets.envelopeBytes)
  return entry
}
