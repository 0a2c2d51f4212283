import type { Subscribe } from '../ipc/journal-protocol.ts'
import { crc32 } from '../kernel/checksum.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'

/** Reads back one written batch, to compare it with what a follower says that it applied. */
export type ReadBatch = (firstLsn: Lsn, lastLsn: Lsn) => Buffer | null

/** Whether what the follower has applied is a part of this journal (a journal may have lost what was only written). */
export function isOurs({ from, last }: Subscribe, writtenLsn: Lsn, readBatch: ReadBatch): boolean {
  if (from - 1 > writtenLsn) return false
  if (last === null) return true
  const payload = readBatch(lsn(last.firstLsn), lsn(last.lastLsn))
  return payload !== null && crc32(payload) === last.crc
}

/** What the store holds is not in the journal (R7, R9): the next start finds it, and says what can be done. */
export function storeIsBeyond(applied: Lsn, endLsn: Lsn): CommanderError {
  return new CommanderError(
    'journal_corrupt',
    `the journal ends at LSN ${endLsn}, but the store has applied entries up to LSN ${applied} meanwhile (R7): ` +
      'acknowledged entries are missing; start again to see what can be done',
    { details: { segment: null, offset: null, lsn: endLsn + 1, rule: 'R7', floorLsn: applied } },
  )
}
