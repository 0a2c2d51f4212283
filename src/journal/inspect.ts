import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn, noLsn } from '../kernel/identifiers.ts'
import { readCleanStop } from './clean-stop.ts'
import type { FrameHeader } from './frame.ts'
import type { BadPlace, JournalScan } from './journal-scan.ts'
import { scanJournal } from './journal-scanner.ts'
import { JournalReader } from './reader.ts'
import { floorOf } from './recovery.ts'
import { decide, type RecoveryRule } from './recovery-table.ts'
import { readSegmentChain, type SegmentFile } from './segment-chain.ts'
import type { SegmentHeader } from './segment-header.ts'
import { segmentsOf } from './segment-name.ts'
import type { JournalStorage } from './storage.ts'

/** What `journal inspect` prints, in the order of the bytes. */
export type InspectRow = SegmentRow | FrameRow

export interface SegmentRow {
  readonly kind: 'segment'
  readonly segment: string
  readonly header: SegmentHeader
}

export interface FrameRow {
  readonly kind: 'frame'
  readonly segment: string
  readonly offset: number
  readonly header: FrameHeader
  /** The entries, for those who can decode them. */
  readonly payload: Buffer
  readonly digest: Buffer
}

/**
 * What the frames say of a stopped directory, or of an archive of segments.
 * `torn`: the end was written and never flushed, the next start cuts it off. `corrupt`: the next start refuses.
 */
export interface JournalSummary {
  readonly status: 'ok' | 'torn' | 'corrupt'
  readonly rule: RecoveryRule
  readonly place: BadPlace | null
  readonly segments: number
  readonly frames: number
  readonly bytes: number
  readonly firstLsn: Lsn
  readonly lastLsn: Lsn
  readonly floorLsn: Lsn
}

/**
 * Yields every segment header and every valid frame, and returns what the recovery table says of the rest. Reads only.
 * `floorLsn`: an LSN that must be there, as far as one is known; the mark of a clean stop is read in any case.
 * @throws CommanderError unsupported_version | journal_failed
 */
export function* inspectJournal(storage: JournalStorage, floorLsn: Lsn = noLsn): Generator<InspectRow, JournalSummary> {
  const [oldest] = segmentsOf(storage.list())
  const floor = lsn(Math.max(floorLsn, readCleanStop(storage)?.lastLsn ?? 0))
  const scan = scanJournal({
    storage,
    identity: null,
    replayFrom: oldest?.baseLsn ?? lsn(1),
    floorLsn: floor,
    check: 'both',
  })
  const totals = { frames: 0, bytes: 0 }
  const unseen = [...readSegmentChain(storage, null).segments]
  for (let step = scan.next(); ; step = scan.next()) {
    if (step.done) {
      yield* headersOf(unseen)
      return summarize(step.value, totals)
    }
    const { frame, segment: at } = step.value
    yield* headersOf(unseen.splice(0, unseen.findIndex(({ name }) => name === at.name) + 1))
    totals.frames++
    totals.bytes += frame.payload.length
    yield {
      kind: 'frame',
      segment: at.name,
      offset: frame.offset,
      header: frame.header,
      payload: frame.payload,
      digest: frame.digest,
    }
  }
}

function* headersOf(segments: readonly SegmentFile[]): Generator<SegmentRow> {
  for (const { name, header } of segments) if (header !== null) yield { kind: 'segment', segment: name, header }
}

/** The same without the rows. */
export function verifyJournal(storage: JournalStorage, floorLsn: Lsn = noLsn): JournalSummary {
  const rows = inspectJournal(storage, floorLsn)
  for (let step = rows.next(); ; step = rows.next()) if (step.done) return step.value
}

/**
 * The same beside a running writer: every byte of the frames up to `flushedLsn`, an LSN that the writer has said to be
 * flushed. Segments that are removed meanwhile are left out; what is written behind that LSN is not looked at.
 * @throws CommanderError unsupported_version | journal_failed
 */
export function verifyRunningJournal(storage: JournalStorage, flushedLsn: Lsn): JournalSummary {
  const totals = { frames: 0, bytes: 0 }
  let firstLsn = segmentsOf(storage.list())[0]?.baseLsn ?? lsn(1)
  let lastLsn = lsn(firstLsn - 1)
  let place: BadPlace | null = null
  let reader = new JournalReader(storage, firstLsn, 'both')
  while (lastLsn < flushedLsn && place === null) {
    try {
      const batches = reader.read(readBytes, flushedLsn)
      if (batches.length === 0) break
      for (const { payload, firstLsn: first, entryCount } of batches) {
        totals.frames++
        totals.bytes += payload.length
        lastLsn = lsn(first + entryCount - 1)
      }
    } catch (error) {
      const removed = oldestAfter(error, lastLsn)
      if (removed === null) place = placeOf(error)
      else {
        reader.close()
        if (totals.frames === 0) firstLsn = removed
        lastLsn = lsn(removed - 1)
        reader = new JournalReader(storage, removed, 'both')
      }
    }
  }
  reader.close()
  const segments = segmentsOf(storage.list()).filter(({ baseLsn }) => baseLsn <= flushedLsn).length
  const status = place === null ? 'ok' : 'corrupt'
  const rule = place === null ? 'R8' : 'R6'
  return { status, rule, place, segments, ...totals, firstLsn, lastLsn, floorLsn: flushedLsn }
}

const readBytes = 4_194_304

/** Where the journal begins now, if the entry that was to be read has been removed. */
function oldestAfter(error: unknown, lastLsn: Lsn): Lsn | null {
  if (!isCommanderError(error) || error.code !== 'not_found') return null
  const { firstLsn } = error.details as { readonly firstLsn: number | null }
  return firstLsn === null || firstLsn <= lastLsn + 1 ? null : lsn(firstLsn)
}

function placeOf(error: unknown): BadPlace {
  if (!(error instanceof CommanderError) || error.code !== 'journal_corrupt') throw error
  const { segment, offset, lsn: at, reason } = error.details as BadPlace & { readonly rule: string }
  return { segment, offset, lsn: at, reason }
}

function summarize(scan: JournalScan, totals: { frames: number; bytes: number }): JournalSummary {
  const { rule, action } = decide({ ...scan, floor: floorOf(scan), acceptLoss: false })
  const { end, segments, floorLsn } = scan
  return {
    status: action === 'open' ? 'ok' : action === 'truncate' ? 'torn' : 'corrupt',
    rule,
    place: scan.bad ?? (action === 'open' ? null : endPlace(scan)),
    segments: segments.length,
    ...totals,
    firstLsn: segments[0]?.baseLsn ?? end.nextLsn,
    lastLsn: lsn(end.nextLsn - 1),
    floorLsn,
  }
}

function endPlace({ end, floorLsn }: JournalScan): BadPlace {
  const segment = end.segment?.name ?? ''
  return {
    segment,
    offset: end.position,
    lsn: end.nextLsn,
    reason: `the journal ends here, entries up to LSN ${floorLsn} had been flushed`,
  }
}
