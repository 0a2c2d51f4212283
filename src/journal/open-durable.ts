import { assert } from '../kernel/assert.ts'
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
 */
export function openDurable(parts: AppenderParts, base: ChainPoint): JournalAppender {
  const replayFrom = segmentsOf(parts.storage.list()).at(-1)?.baseLsn ?? base.nextLsn
  const scan = scanAll(parts, base, replayFrom)
  const { action, because } = decide({ ...scan, floor: floorOf(scan), acceptLoss: false })
  assert(action === 'open', `a journal that was sound is not any more: ${because}`)
  const current = openEnd(parts.storage, scan.end)
  return new JournalAppender(parts, { ...startAfter(scan, newestOf(scan.segments)), current })
}

function scanAll({ storage, identity }: AppenderParts, base: ChainPoint, replayFrom: Lsn): JournalScan {
  const scanning = scanJournal({ storage, identity, base, replayFrom, floorLsn: noLsn, check: 'none' })
  for (let step = scanning.next(); ; step = scanning.next()) if (step.done) return step.value
}
