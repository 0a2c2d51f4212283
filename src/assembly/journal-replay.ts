import { lengthOf, padded } from '../actions/entry-layout.ts'
import type { JournalBatch } from '../journal/batch.ts'
import { JournalReader } from '../journal/reader.ts'
import type { JournalStorage } from '../journal/storage.ts'
import type { ReadBatch } from '../journal-writer/own-history.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import type { RootState } from '../state/root.ts'
import { TokenGuard } from '../state/token-guard.ts'
import { type AppliedFrame, contradicts, storeContradicts } from '../tables/applied-frame.ts'

/** Folds the entries of a frame behind `after` into the guard. */
function replay(guard: TokenGuard, payload: Buffer, firstLsn: Lsn, after: Lsn): void {
  let at = firstLsn as number
  guard.begin()
  for (let o = 0; o < payload.length; o += padded(lengthOf(payload, o))) if (at++ > after) guard.apply(payload, o)
}

/**
 * What recovery folds while it reads: the guard of the store's root and of the entries behind it. Nothing is folded of a journal that
 * contradicts what the store has applied, and before recovery has changed anything (R9).
 */
export function guardOf(
  root: RootState,
  appliedFrame: AppliedFrame | null,
): { readonly guard: TokenGuard; readonly onBatch: (batch: JournalBatch) => void } {
  const guard = TokenGuard.of(root)
  return {
    guard,
    onBatch: ({ payload, firstLsn, entryCount }) => {
      const lastLsn = firstLsn + entryCount - 1
      if (appliedFrame !== null && contradicts(appliedFrame, { firstLsn, lastLsn, entries: payload }))
        throw storeContradicts(appliedFrame)
      if (lastLsn > root.lsn) replay(guard, payload, firstLsn, root.lsn)
    },
  }
}

const readBackBytes = 16_777_216

/** Reads single frames of the journal back. */
export function batchReader(storage: JournalStorage): ReadBatch {
  return (firstLsn, lastLsn) => {
    try {
      const reader = new JournalReader(storage, firstLsn)
      const batch = reader.read(1, lastLsn)[0]
      reader.close()
      if (batch === undefined || batch.payload.length > readBackBytes) return null
      const isSame = batch.firstLsn === firstLsn && batch.firstLsn + batch.entryCount - 1 === lastLsn
      return isSame ? batch.payload : null
    } catch (error) {
      if (error instanceof CommanderError) return null
      throw error
    }
  }
}
