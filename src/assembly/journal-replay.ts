import { lengthOf, padded } from '../actions/entry-layout.ts'
import { JournalReader } from '../journal/reader.ts'
import type { JournalStorage } from '../journal/storage.ts'
import type { ReadBatch } from '../journal-writer/own-history.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import type { TokenGuard } from '../state/token-guard.ts'

/** Folds the entries of a frame behind `after` into the guard. */
export function replay(guard: TokenGuard, payload: Buffer, firstLsn: Lsn, after: Lsn): void {
  let at = firstLsn as number
  guard.begin()
  for (let o = 0; o < payload.length; o += padded(lengthOf(payload, o))) if (at++ > after) guard.apply(payload, o)
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
