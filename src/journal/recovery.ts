import type { Environment } from '../kernel/environment.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import type { JournalBatch } from './batch.ts'
import { readCleanStop } from './clean-stop.ts'
import { withoutEmptyEnd } from './empty-end.ts'
import { assertNothingIsBeingGivenUp } from './giving-up.ts'
import type { AppendStart } from './journal-appender.ts'
import type { JournalScan, ScanEnd, ScannedFrame } from './journal-scan.ts'
import { scanJournal } from './journal-scanner.ts'
import { journalLimits } from './options.ts'
import { refusal } from './recovery-errors.ts'
import { planRecovery, type RecoveryStep } from './recovery-plan.ts'
import { carryOut } from './recovery-steps.ts'
import { decide, type RecoveryAction, type RecoveryCase, type RecoveryRule } from './recovery-table.ts'
import type { ChainPoint } from './segment-cursor.ts'
import type { JournalStorage } from './storage.ts'

export interface RecoveryRequest {
  readonly storage: JournalStorage
  readonly environment: Environment
  /** 16 bytes each. A journal with others is refused. */
  readonly journalId: Uint8Array
  readonly serverId: Uint8Array
  /** Highest LSN that anything outside vouches for as flushed: the store's applied LSN, the archive's last. 0 if nothing does. */
  readonly floorLsn: Lsn
  /** First LSN that `onBatch` wants. Segments that end before it are only checked as files. */
  readonly replayFrom: Lsn
  /**
   * Called in LSN order with every frame from that of `replayFrom` on. Nothing of it may leave the process before the
   * journal is open: until then it is not known to be durable.
   */
  onBatch?(batch: JournalBatch): void
  /** Give up what is damaged or missing, keep it aside, and start a new timeline. Default false. */
  readonly acceptLoss?: boolean
  /** The number of that timeline, if it is free here; default: the next one. */
  readonly newTimeline?: number
  /** Where the journal begins that is made in an empty directory. Default: with LSN 1, after nothing. */
  readonly base?: ChainPoint
  /** Epoch of the leader whose entries it holds. Default 1. */
  readonly segEpoch?: number
  /**
   * Others count on what was flushed here: a bad frame at the end that had been written as a whole has been damaged since, and is not
   * taken for a torn one. Default false.
   */
  readonly strictEnd?: boolean
  /** With `acceptLoss`: begin it although nothing is left to give up, since that was done, and cut short. Default false. */
  readonly beginsTimeline?: boolean
}

/** What recovery found and did; for the log and for operators. */
export interface RecoveryReport {
  readonly rule: RecoveryRule
  readonly action: RecoveryAction
  /** LSN of the oldest entry that is there. */
  readonly firstLsn: Lsn
  /** LSN of the last entry that is there; 0 in an empty journal. */
  readonly recoveredLsn: Lsn
  /** Everything up to here was known to be flushed. */
  readonly floorLsn: Lsn
  readonly timeline: number
  readonly scannedFrames: number
  readonly scannedBytes: number
  /** Files that now hold what was cut off. */
  readonly keptAside: readonly string[]
  readonly durationMs: number
}

export interface Recovered {
  readonly start: Omit<AppendStart, 'current'>
  readonly end: ScanEnd
  /** The journal must go on in a new segment. */
  readonly startsSegment: boolean
  readonly report: RecoveryReport
}

interface Scanned {
  readonly scan: JournalScan
  readonly frames: number
  readonly bytes: number
}

/** R0 to R8. Everything it does to the directory is in the plan. @throws CommanderError, as `openJournal` */
export async function recover(request: RecoveryRequest): Promise<Recovered> {
  const { storage, environment } = request
  const startMs = environment.clock.monotonicMs()
  if (request.acceptLoss !== true) assertNothingIsBeingGivenUp(storage)
  const keptAside: string[] = []
  for (;;) {
    const scanned = await scan(request)
    const decision = decisionOn(scanned.scan, request)
    const error = refusal(decision, scanned.scan)
    if (error !== null) throw error
    const found = decision.action === 'giveUp' ? withoutEmptyEnd(scanned.scan) : scanned.scan
    const steps = planRecovery({
      scan: found,
      decision,
      names: storage.list(),
      wallMs: environment.clock.wallMs(),
    })
    await carryOut(storage, steps)
    keptAside.push(...steps.flatMap(asideOf))
    // what was given up were old segments only: look again at those that are needed
    if (decision.action === 'giveUpOlder') continue
    const durationMs = environment.clock.monotonicMs() - startMs
    const recovered = recoveredFrom(
      { ...scanned, scan: found },
      decision,
      keptAside,
      durationMs,
      request.newTimeline ?? 0,
    )
    tell(environment, recovered.report)
    return recovered
  }
}

function decisionOn(scan: JournalScan, { acceptLoss = false, beginsTimeline = false }: RecoveryRequest): RecoveryCase {
  const decision = decide({ ...scan, floor: floorOf(scan), acceptLoss })
  const isSound = decision.action === 'open' || decision.action === 'truncate'
  return beginsTimeline && isSound ? { ...decision, action: 'giveUp' } : decision
}

export function floorOf({ end, floorLsn }: JournalScan): 'reached' | 'missed' {
  return end.nextLsn - 1 >= floorLsn ? 'reached' : 'missed'
}

async function scan(request: RecoveryRequest): Promise<Scanned> {
  const { storage, replayFrom, journalId, serverId, environment, base, strictEnd } = request
  const found = scanJournal({
    storage,
    identity: { journalId, serverId },
    replayFrom,
    floorLsn: floorOutside(request),
    check: 'digest',
    ...(base === undefined ? {} : { base }),
    ...(strictEnd === undefined ? {} : { strictEnd }),
  })
  let frames = 0
  let bytes = 0
  let pauseAt: number = journalLimits.scanSliceBytes
  for (let step = found.next(); ; step = found.next()) {
    if (step.done) return { scan: step.value, frames, bytes }
    frames++
    bytes += step.value.frame.payload.length
    handOver(request, step.value)
    if (bytes < pauseAt) continue
    pauseAt = bytes + journalLimits.scanSliceBytes
    await new Promise<void>((resolve) => environment.scheduler.soon(resolve))
  }
}

/** R4: what vouches for flushed entries beside the frames. The mark of another journal says nothing. */
function floorOutside({ storage, journalId, floorLsn }: RecoveryRequest): Lsn {
  const mark = readCleanStop(storage)
  const marked = mark !== null && Buffer.from(mark.journalId).equals(journalId)
  return lsn(Math.max(floorLsn, marked ? mark.lastLsn : 0))
}

function handOver({ onBatch, replayFrom }: RecoveryRequest, { frame }: ScannedFrame): void {
  const { firstLsn, entryCount, wallMs } = frame.header
  if (entryCount === 0 || firstLsn + entryCount <= replayFrom) return
  onBatch?.({ firstLsn, entryCount, wallMs, payload: frame.payload, digest: frame.digest })
}

function recoveredFrom(
  { scan, frames, bytes }: Scanned,
  decision: RecoveryCase,
  keptAside: string[],
  durationMs: number,
  newTimeline: number,
): Recovered {
  const { end, segments, floorLsn } = scan
  const givenUp = decision.action === 'giveUp'
  const newest = newestOf(segments)
  const timeline = givenUp ? Math.max(newest + 1, newTimeline) : newest
  const start = startAfter(scan, timeline)
  return {
    start,
    end,
    startsSegment: end.segment === null || end.sealed || givenUp,
    report: {
      rule: decision.rule,
      action: decision.action,
      firstLsn: start.segments[0]?.baseLsn ?? end.nextLsn,
      recoveredLsn: lsn(end.nextLsn - 1),
      floorLsn,
      timeline,
      scannedFrames: frames,
      scannedBytes: bytes,
      keptAside,
      durationMs,
    },
  }
}

/** Where to append after what was scanned. */
export function startAfter(scan: JournalScan, timeline: number): Recovered['start'] {
  const { end, segments } = scan
  const kept = segments.filter(({ segNo }) => end.segment !== null && segNo <= end.segment.segNo)
  const { nextLsn, digest, wallMs } = end
  return { segments: kept, nextSegNo: nextSegNoOf(scan), timeline, nextLsn, digest, wallMs }
}

/** The highest timeline that a segment says. */
export const newestOf = (segments: JournalScan['segments']): number =>
  Math.max(1, ...segments.map(({ header }) => header?.timeline ?? 1))

/** Where none is left, the next one takes the place of the first that was: the archive may have what came before it. */
const nextSegNoOf = ({ end, segments }: JournalScan): number =>
  end.segment === null ? (segments[0]?.segNo ?? 1) : end.segment.segNo + 1

function asideOf(step: RecoveryStep): string[] {
  if (step.kind === 'rename') return [step.to]
  return step.kind === 'copy' ? [step.as] : []
}

function tell({ log }: Environment, report: RecoveryReport): void {
  if (report.keptAside.length === 0) log.info({ ...report }, 'the journal is recovered')
  else log.warn({ ...report }, 'the journal is recovered without its tail, which is kept aside')
}
