import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, noLsn } from '../kernel/identifiers.ts'
import { type AppenderParts, JournalAppender } from './journal-appender.ts'
import type { JournalScan } from './journal-scan.ts'
import { scanJournal } from './journal-scanner.ts'
import { openEnd } from './open-segment.ts'
import { floorOf, newestOf, startAfter } from './recovery.ts'
import { decide } from './recovery-table.ts'
import type { ChainPoint } from './segment-cursor.ts'
import { segmentsOf } from './segment-name.ts'

/**
 * Opens a journal at once that is known to be sound and durable as it lies there: recovered before in this process, cut, or
 * still empty. Only its last segment is read. `base` is where an empty one begins.
 * @throws CommanderError journal_corrupt: it has been damaged since
 */
export function openDurable(parts: AppenderParts, base: ChainPoint): JournalAppender {
  const replayFrom = segmentsOf(parts.storage.list()).at(-1)?.baseLsn ?? base.nextLsn
  const scan = scanAll(parts, base, replayFrom)
  const { action, because } = decide({ ...scan, floor: floorOf(scan), acceptLoss: false })
  if (action !== 'open') throw damagedSince(scan, because)
  const current = openEnd(parts.storage, scan.end)
  return new JournalAppender(parts, { ...startAfter(scan, newestOf(scan.segments)), current })
}

function damagedSince({ bad, end }: JournalScan, because: string): CommanderError {
  const { segment, offset, lsn, reason } = bad ?? {
    segment: end.segment?.name ?? '',
    offset: end.position,
    lsn: end.nextLsn,
    reason: 'the journal ends',
  }
  return new CommanderError(
    'journal_corrupt',
    `a journal that was sound has been damaged since, in segment ${segment} at byte ${offset}, where LSN ${lsn} should be: ${reason} (${because})`,
    { details: { segment, offset, lsn, rule: 'R6' } },
  )
}

function scanAll({ storage, identity }: AppenderParts, base: ChainPoint, replayFrom: Lsn): JournalScan {
  const scanning = scanJournal({ storage, identity, base, replayFrom, floorLsn: noLsn, check: 'none' })
  for (let step = scanning.next(); ; step = scanning.next()) if (step.done) return step.value
}
