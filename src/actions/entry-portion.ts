import type { Lsn } from '../kernel/identifiers.ts'
import { lengthOf, padded } from './entry-layout.ts'

/** Entries of a batch, as a replay takes them. */
export interface EntryPortion {
  readonly payload: Buffer
  /** Where the last of them ends. */
  readonly end: number
  readonly entries: number
}

/** What a batch has from the entry `next` up to `last`; null: nothing. */
export function portionOf(
  { payload, firstLsn, entryCount }: { readonly payload: Buffer; readonly firstLsn: Lsn; readonly entryCount: number },
  next: Lsn,
  last: Lsn,
): EntryPortion | null {
  const skipped = Math.max(0, next - firstLsn)
  const count = Math.min(entryCount, last - firstLsn + 1)
  if (count <= skipped) return null
  const start = bytesOfEntries(payload, skipped)
  const end = count === entryCount ? payload.length : bytesOfEntries(payload, count)
  return { payload: payload.subarray(start), end: end - start, entries: count - skipped }
}

/** The bytes of a payload that its first entries take. */
export function bytesOfEntries(payload: Buffer, count: number): number {
  let end = 0
  for (let i = 0; i < count; i++) end += padded(lengthOf(payload, end))
  return end
}
