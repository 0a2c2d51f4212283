import { entryHeaderBytes, eventCountOf, lengthOf, padded } from '../actions/entry-layout.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { ArchivedElsewhere, type ArchivedStreams, type MissingEntry } from './archived-streams.ts'
import { readArchivedRange } from './archives.ts'
import { archiveOf } from './log-block.ts'

/** The entries of one block of the log. */
interface Block {
  readonly firstPosition: number
  readonly entries: Buffer
}

/**
 * A block's entries with those that were archived. Null where none were, or where their streams were deleted since.
 * @throws ArchivedElsewhere
 */
export function bringBack(store: KeyValueStore, archived: ArchivedStreams, block: Block): Buffer | null {
  const { entries: b, firstPosition } = block
  const missing: MissingEntry[] = []
  const parts: Buffer[] = []
  let kept = 0
  let position = firstPosition
  for (let o = 0; o + entryHeaderBytes <= b.length; ) {
    const end = o + padded(lengthOf(b, o))
    const archive = archiveOf(b, o)
    const range = archive === 0 ? null : readArchivedRange(store, archive)
    if (range !== null) {
      const entry = archived.entryAt(position)
      if (entry === undefined) missing.push({ range, position })
      else {
        parts.push(b.subarray(kept, o), entry)
        kept = end
      }
    }
    position += eventCountOf(b, o)
    o = end
  }
  const [first] = missing
  if (first !== undefined) throw new ArchivedElsewhere(first.range, missing)
  if (parts.length === 0) return null
  parts.push(b.subarray(kept))
  return Buffer.concat(parts)
}
