import type { Subscribe } from '../ipc/journal-protocol.ts'
import { crc32 } from '../kernel/checksum.ts'
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
