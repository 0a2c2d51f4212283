import { type EntryPortion, portionOf } from '../actions/entry-portion.ts'
import { type ArchiveTarget, archiveNames } from '../archive/archive-target.ts'
import { cursorFromStart } from '../journal/segment-cursor.ts'
import type { JournalStorage } from '../journal/storage.ts'
import type { Clock } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import type { BackupManifest } from './backup-manifest.ts'
import { ComparedHashes } from './compared-hashes.ts'
import { historyOf, type Stock, takeStock } from './lineage.ts'
import { beginTimeline } from './new-timeline.ts'
import { goalText, type RestoreGoal } from './restore-goal.ts'
import { checkedGoal, chosenTimeline } from './restore-limits.ts'
import { corrupt, type FetchedSegment, type FetchSegment, walkSegments } from './segment-walk.ts'
import { claimTimeline, type TimelineClaim } from './timeline-claim.ts'

/** Fills the store from entries of the journal. */
export interface Replay {
  /** The entry that `apply` must be given next. */
  readonly next: Lsn
  /** The store's tables hold everything up to here. */
  readonly tablesAt: Lsn
  readonly globalPosition: number
  wantHash(at: Lsn): void
  hashAt(at: Lsn): string | undefined
  apply(portion: EntryPortion): Promise<void>
  /** Returns the state's hash. */
  finish(): Promise<string>
}

export interface RestoreRequest {
  /** What is restored from: an archive, or a backup whose objects are held to its manifest. */
  readonly source: ArchiveTarget
  /** `null` where the source is an archive. */
  readonly manifest: BackupManifest | null
  /** What came after the backup; `null` for nothing. */
  readonly archive: ArchiveTarget | null
  readonly journalId: Uint8Array
  readonly goal: RestoreGoal
  /** Default: the newest that has segments. */
  readonly timeline: number | null
  /** For segments on their way: only some at a time. */
  readonly segments: JournalStorage
  /** Brings a segment there. */
  readonly fetchSegment: FetchSegment
  /** The store of the backup, or an empty one. */
  readonly openReplay: () => Promise<Replay>
  /** Of the database that is made. */
  readonly journal: () => JournalStorage
  readonly clock: Clock
  readonly progress: (what: string) => void
  readonly warn: (what: string) => void
}

export interface Restored {
  readonly lsn: number
  /** When the last frame was written; `null` when nothing was replayed. */
  readonly time: string | null
  /** The one that was restored from. */
  readonly parent: number
  readonly entries: number
  readonly events: number
  readonly stateHash: string
  /** Of the replay, without what it took to bring the store. */
  readonly replayMs: number
  readonly hashes: {
    readonly compared: number
    readonly differing: readonly { lsn: number; expected: string; found: string }[]
  }
  /** The segment in which the journal goes on. */
  readonly last: FetchedSegment
}

/** Segments that are brought ahead of the replay, in bytes, so that a checkpoint is known before its entry is replayed. */
const aheadBytesMax = 67_108_864

/**
 * Brings a store up to the goal, from the store of a backup or from nothing, along one hash chain of segments.
 * Nothing is made of it yet: see `goOnFrom`.
 *
 * @throws CommanderError `archive_corrupt`, `archive_unavailable`, `foreign_database`, `not_found` and `invalid_input` where
 * the goal is not within what there is, `store_failed`
 */
export async function restore(request: RestoreRequest): Promise<Restored & { readonly stock: Stock }> {
  const { source, archive, manifest } = request
  const stock = await takeStock(archive === null ? [source] : [archive, source])
  const timeline = chosenTimeline(stock, request)
  const goal = checkedGoal(stock, request, timeline)
  const replay = await request.openReplay()
  const run = new RestoreRun(request, replay, goal)
  const history = historyOf(stock, timeline)
  const startMs = request.clock.monotonicMs()
  const fromLsn = replay.next
  const digestsOf = new Set(manifest === null || manifest.toDigest === '' ? [] : [lsn(manifest.toLsn)])
  const { journalId, segments: storage, fetchSegment, progress } = request
  await run.take(walkSegments({ history, fromLsn, goal, digestsOf, journalId, storage, fetchSegment, progress }))
  const stateHash = await replay.finish()
  return { ...run.result(fromLsn, stateHash, request.clock.monotonicMs() - startMs), stock }
}

class RestoreRun {
  readonly #request: RestoreRequest
  readonly #replay: Replay
  readonly #goal: RestoreGoal
  readonly #hashes: ComparedHashes
  #last: FetchedSegment | null = null
  #wallMs: number | null = null
  /** Something was written after the time that was asked for, and is there. */
  #isPassed = false

  constructor(request: RestoreRequest, replay: Replay, goal: RestoreGoal) {
    this.#request = request
    this.#replay = replay
    this.#goal = goal
    this.#hashes = new ComparedHashes(replay)
    if (request.manifest !== null) this.#hashes.expect(lsn(request.manifest.toLsn), request.manifest.stateHash)
  }

  async take(walk: AsyncGenerator<FetchedSegment, void>): Promise<void> {
    const ahead: FetchedSegment[] = []
    let aheadBytes = 0
    for (let isOver = false; !isOver || ahead.length > 0; ) {
      while (!isOver && (ahead.length < 2 || aheadBytes < aheadBytesMax)) {
        const { value, done } = await walk.next()
        if (done === true) isOver = true
        else {
          this.#note(value)
          aheadBytes += value.bytes
          ahead.push(value)
        }
      }
      const segment = ahead.shift()
      if (segment === undefined) break
      aheadBytes -= segment.bytes
      await this.#replaySegment(segment)
    }
    this.#checkEnd()
  }

  #note({ source, scanned }: FetchedSegment): void {
    for (const { upTo, stateHash } of scanned.checkpoints) this.#hashes.expect(upTo, stateHash)
    this.#wallMs = scanned.wallMs ?? this.#wallMs
    this.#isPassed ||= scanned.nextWallMs !== null
    const { manifest } = this.#request
    if (manifest === null || manifest.toDigest === '' || scanned.lastLsn < manifest.toLsn) return
    const at = lsn(manifest.toLsn)
    const isHere = source.baseLsn <= at
    if (isHere && scanned.part === null && scanned.digests.get(at) !== manifest.toDigest)
      throw corrupt(source, `its entries up to LSN ${at} are not those of the backup: it is of another history`)
  }

  async #replaySegment(segment: FetchedSegment): Promise<void> {
    const { segments, progress } = this.#request
    progress(`replaying ${segment.source.name}`)
    const file = segments.openReadOnly(segment.source.name)
    try {
      const cursor = cursorFromStart(file, segment.header, 'none')
      const { lastLsn } = segment.scanned
      while (!cursor.sealed && this.#replay.next <= lastLsn) {
        const frame = cursor.next()
        if (typeof frame === 'string') throw corrupt(segment.source, `it changed while it was read (${frame})`)
        const portion = portionOf({ payload: frame.payload, ...frame.header }, this.#replay.next, lastLsn)
        if (portion !== null) await this.#replay.apply(portion)
      }
    } finally {
      file.close()
    }
    if (this.#last !== null) segments.remove(this.#last.source.name)
    this.#last = segment
  }

  /** All that was asked for is there. */
  #checkEnd(): void {
    const { manifest, source } = this.#request
    const end = this.#replay.next - 1
    if (this.#goal.to === 'lsn' && end < this.#goal.lsn) {
      const message = `there is no LSN ${this.#goal.lsn}: everything there is ends at LSN ${end}${this.#timeText()}`
      throw new CommanderError('invalid_input', message, { details: { lsn: this.#goal.lsn, lastLsn: end } })
    }
    if (this.#last === null || (manifest !== null && this.#goal.to === 'end' && end < manifest.toLsn))
      throw corrupt({ target: source, object: archiveNames.segments }, `they end at LSN ${end}, and more was there`)
    if (end < this.#replay.tablesAt || (end === 0 && this.#goal.to !== 'end')) throw this.#tooEarly()
    if (this.#goal.to === 'time' && !this.#reaches(this.#goal.wallMs)) throw this.#tooLate(end)
  }

  /** A later entry is there, or the backup was begun later: until then nothing is missing. */
  #reaches(wallMs: number): boolean {
    const startedAt = this.#request.manifest?.startedAt
    return (
      this.#isPassed || wallMs <= (this.#wallMs ?? 0) || (startedAt !== undefined && wallMs <= Date.parse(startedAt))
    )
  }

  #tooLate(end: number): CommanderError {
    const message =
      `everything there is ends at LSN ${end}${this.#timeText()}: what was written from then to ${goalText(this.#goal)}, if anything, ` +
      'is not there. Restore without a time to have what there is, or name the archive that goes on'
    return new CommanderError('invalid_input', message, { details: { lastLsn: end } })
  }

  #tooEarly(): CommanderError {
    const nextWallMs = this.#last?.scanned.nextWallMs ?? null
    const first =
      nextWallMs === null
        ? ''
        : `; the first entry that can be restored to is of ${new Date(nextWallMs).toISOString()} or later`
    const message = `${goalText(this.#goal)} is before what there is to restore from${first}`
    return new CommanderError('invalid_input', message, { details: { tablesAt: this.#replay.tablesAt } })
  }

  #timeText(): string {
    return this.#wallMs === null ? '' : `, ${new Date(this.#wallMs).toISOString()}`
  }

  result(fromLsn: Lsn, stateHash: string, replayMs: number): Restored {
    const end = this.#replay.next - 1
    const last = this.#last as FetchedSegment
    return {
      lsn: end,
      time: this.#wallMs === null ? null : new Date(this.#wallMs).toISOString(),
      parent: last.source.timeline,
      entries: end - fromLsn + 1,
      events: this.#replay.globalPosition,
      stateHash,
      replayMs,
      hashes: this.#hashes.result(),
      last,
    }
  }
}

/** Makes a journal that goes on from what was restored, on a timeline of its own. */
export async function goOnFrom(
  request: RestoreRequest,
  { lsn: end, parent, last, stock }: Restored & { readonly stock: Stock },
): Promise<TimelineClaim> {
  const { archive, source, manifest, clock, warn } = request
  const place = manifest === null ? source : archive
  const newest = Math.max(stock.newestTimeline, manifest?.timeline ?? 0)
  const at = new Date(clock.wallMs()).toISOString()
  const claim = await claimTimeline(
    place,
    { timeline: newest + 1, parent, fromLsn: end + 1, reason: 'restore', at },
    warn,
  )
  await beginTimeline(request.segments, last, claim.timeline, request.journal(), clock)
  return claim
}
