import { encodeAction } from '../actions/encode.ts'
import { EntryBatch } from '../actions/entry-batch.ts'
import { lengthOf, lsnOf, padded } from '../actions/entry-layout.ts'
import type { Switched, Watermark } from '../ipc/journal-protocol.ts'
import type { Timer } from '../kernel/environment.ts'
import type { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import type { Follower, FollowerRole } from '../replica/follower.ts'
import { forgetSavedKeys } from '../state/idempotency.ts'
import { type RootState, reduce } from '../state/root.ts'
import { encodeRoot, stateHash } from '../state/snapshot.ts'
import type { WriteBatch } from '../store/key-value-store.ts'
import { FilledFrom } from '../tables/applied-frame.ts'
import { putCheckpoint, putPosition, putRoot, readCheckpoint, readPosition } from '../tables/meta.ts'
import { ArchivedRebuilds } from './archived-rebuilds.ts'
import { type CheckpointDone, Checkpoints, type CheckpointUnderWay } from './checkpoints.ts'
import { CommitPause } from './commit-pause.ts'
import { JournalHolds } from './journal-holds.ts'
import type { ProjectionApplierOptions } from './projection-applier-options.ts'
import { ProjectionRunner, type RebuildSlice } from './projection-runner.ts'
import { TableWriter } from './table-writer.ts'
import type { Transaction, WaitingBatch } from './waiting-batch.ts'

const waitingBytesMax = 8_388_608
const transactionBytesMax = 8_388_608
/** A root is put after this much of the journal, or twice its own size, or this long: a child starts from it. */
const rootEveryBytes = 8_388_608
const rootEveryMs = 10_000

/**
 * Reduces entries into the store.
 *
 * I1. Only flushed entries are applied: the store is never ahead of the journal, whatever crashes.
 * I2. A transaction holds whole batches, and the LSN that it brings the store to.
 * I3. What waits is bounded: a slow store makes the journal writer send this process back to the segments (G10).
 * I4. The root knows of every expiry of keys that the tables know of: a child that starts from it looks keys up in the
 *     tables, where one that was used again since, or deleted, would look unused to an entry before its expiry.
 * I5. The tables go on only with the journal that they were filled from (R9).
 */
export class ProjectionApplier implements FollowerRole {
  readonly holds: JournalHolds = new JournalHolds()
  readonly #o: ProjectionApplierOptions
  readonly #writer: TableWriter
  readonly #projections: ProjectionRunner
  readonly #archivedRebuilds: ArchivedRebuilds
  /** Up to here the tables are filled already; the state follows without touching them. */
  readonly #tablesAt: Lsn
  readonly #filledFrom: FilledFrom
  /** The last event that the tables held at the start: the state may be behind it for a while. */
  readonly #tablesPosition: number
  readonly #commitIntervalMs: number
  #follower: Follower | null = null
  #waiting: WaitingBatch[] = []
  #waitingBytes = 0
  #flushed: Lsn = lsn(0)
  #committing = false
  #rebuildsAsked: (() => void)[] = []
  #committed: Lsn
  readonly #checkpoints: Checkpoints
  readonly #pause = new CommitPause()
  #timer: Timer | null = null
  #bytesSinceRoot = 0
  #rootBytes = 0
  #rootAtMs: number
  #isFollowing = false
  #stopped = false

  constructor(options: ProjectionApplierOptions) {
    this.#o = options
    const position = readPosition(options.store)
    this.#tablesAt = position.applied
    this.#filledFrom = new FilledFrom(options.store)
    this.#tablesPosition = position.globalPosition
    this.#committed = position.applied
    this.#projections = new ProjectionRunner(
      options.store,
      options.applications,
      options.environment.log,
      options.archived,
    )
    this.#archivedRebuilds = new ArchivedRebuilds(options.environment, this.#projections, () => this.#maybeCommit())
    this.#writer = new TableWriter(options, this.#projections, position.globalPosition + 1)
    this.#commitIntervalMs = options.commitIntervalMs ?? 100
    this.#rootAtMs = options.environment.clock.monotonicMs()
    this.#checkpoints = new Checkpoints({
      environment: options.environment,
      timeoutMs: options.checkpointTimeoutMs ?? 300_000,
      last: readCheckpoint(options.store),
      draft: (action) => this.#draft(action),
      due: () => this.#maybeCommit(),
    })
  }

  get state(): RootState {
    return this.#o.state
  }

  /** What the store has committed. */
  get committed(): Lsn {
    return this.#committed
  }

  get checkpoint(): Lsn {
    return this.#checkpoints.last
  }

  /** As far as this process has heard. */
  get flushed(): Lsn {
    return this.#flushed
  }

  start(follower: Follower): void {
    this.#follower = follower
    this.#checkpoints.start()
    follower.start()
  }

  /**
   * Builds a projection anew. `begun` is called once that is in the store: readers see it, and a crash does not undo it.
   * @throws CommanderError `unknown_projection`
   */
  rebuild(name: string, begun: () => void): void {
    this.#projections.rebuild(name)
    this.#rebuildsAsked.push(begun)
    this.#maybeCommit()
  }

  /** Commits nothing more; what was flushed and not applied is read from the journal at the next start. */
  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
    this.#archivedRebuilds.stop()
    this.#checkpoints.stop()
    this.#follower?.stop()
  }

  /**
   * False while a slow store is what everything waits for. What waits for its flush is no reason: the word that it is
   * flushed comes behind further entries, and only when those are taken.
   */
  accepts(): boolean {
    const first = this.#waiting[0]
    return this.#waitingBytes < waitingBytesMax || (first !== undefined && first.lastLsn > this.#flushed)
  }

  apply(payload: Buffer, offset: number, firstLsn: Lsn, lastLsn: Lsn): void {
    const contradiction = this.#filledFrom.contradiction({ firstLsn, lastLsn, entries: payload.subarray(offset) }) // I5
    if (contradiction !== null) {
      this.stop()
      this.#o.reset(contradiction)
      return
    }
    if (lastLsn <= this.#tablesAt) {
      for (let o = offset; o < payload.length; o += padded(lengthOf(payload, o))) reduce(this.#o.state, payload, o)
      return
    }
    this.#waiting.push({ payload, offset, lastLsn, isAttested: false })
    this.#waitingBytes += payload.length
  }

  attest(at: Lsn): void {
    const last = this.#waiting.at(-1)
    if (last?.lastLsn === at) last.isAttested = true
    else if (this.#o.state.lsn === at) this.#follower?.sendAttested(at, stateHash(this.#o.state))
  }

  watermark(mark: Watermark): void {
    this.#flushed = mark.flushed
    this.#o.archive?.flushed(mark.flushed)
    this.#checkpoints.want(mark.checkpointWanted)
    this.#maybeCommit()
  }

  connected(): void {
    this.#isFollowing = false
    this.#sayApplied()
  }

  /** Checkpoints are taken all the same, for this node's store and segments; the journal says nothing of them. */
  following(): void {
    this.#isFollowing = true
    this.#sayApplied()
  }

  reset(reason: CommanderError): void {
    this.#o.reset(reason)
  }

  #maybeCommit(): void {
    if (this.#committing || this.#stopped) return
    const isCheckpointDue = this.#isCheckpointDue
    if (this.#timer !== null && !isCheckpointDue) return
    const first = this.#waiting[0]
    const isBehind = first !== undefined && first.lastLsn <= this.#flushed
    if (!isBehind && !this.#hasOwnWork && !isCheckpointDue) return
    this.#timer?.cancel()
    this.#timer = null
    const delayMs = isCheckpointDue ? 0 : this.#pause.leftMs(this.#o.environment.clock.monotonicMs())
    if (delayMs <= 0) {
      this.#commit()
      return
    }
    this.#timer = this.#o.environment.scheduler.after(delayMs, () => {
      this.#timer = null
      this.#maybeCommit()
    })
  }

  /** What is read on a node that follows is that much older than on the one that leads, and that node has less to do. */
  get #pauseMsMax(): number {
    return this.#isFollowing ? this.#commitIntervalMs / 4 : this.#commitIntervalMs
  }

  /** Something to do although no entry is new. */
  get #hasOwnWork(): boolean {
    const { isRemoving, isClearing, keys } = this.#writer
    return this.#projections.isRebuilding || isRemoving || isClearing || keys.isAtWork
  }

  /** Not while the state is being brought up to the tables: the hash must be that of the state at the checkpoint (G7). */
  get #isCheckpointDue(): boolean {
    return this.#o.state.lsn >= this.#committed && this.#checkpoints.isDue(this.#committed)
  }

  #commit(): void {
    const { environment, store } = this.#o
    this.#committing = true
    const batches = this.#takeFlushed()
    this.#pause.begin(environment.clock.monotonicMs(), batches, this.#pauseMsMax)
    const applied = batches.at(-1)?.lastLsn ?? this.#committed
    const expired = this.#writer.keys.portion()
    const slices = this.#projections.isRebuilding ? this.#projections.slices() : []
    const clearing = this.#writer.clearing()
    this.#archivedRebuilds.check()
    const begun = this.#rebuildsAsked
    this.#rebuildsAsked = []
    const checkpoint = this.#isCheckpointDue ? this.#checkpoints.begin(applied) : null
    store.write(
      (batch) => {
        if (clearing !== null) this.#writer.clear(batch, clearing) // before removals, which then look at what it puts
        this.#fill(batch, batches, slices, { applied, expired, checkpoint })
      },
      (error) => {
        this.#done(applied, checkpoint, error)
        if (error === null) for (const tell of begun) tell()
      },
    )
  }

  #fill(
    batch: WriteBatch,
    batches: readonly WaitingBatch[],
    slices: readonly RebuildSlice[],
    { applied, expired, checkpoint }: Transaction,
  ): void {
    const { keys, state } = this.#o
    keys.enter(batch)
    this.#writer.keys.delete(batch, expired)
    this.#writer.removeSome(batch)
    // A rebuild's slice was read from the log as it is now: its goal is what the log holds now.
    const goal = Math.max(state.globalPosition, this.#tablesPosition)
    for (const slice of slices) this.#projections.applySlice(batch, slice, goal)
    const { expiredUntilMs } = state.idempotency
    for (const { payload, offset, lastLsn, isAttested } of batches) {
      for (let o = offset; o < payload.length; o += padded(lengthOf(payload, o))) {
        if (lsnOf(payload, o) <= this.#tablesAt) reduce(state, payload, o)
        else this.#writer.apply(batch, payload, o)
      }
      if (isAttested) this.#follower?.sendAttested(lastLsn, stateHash(state))
    }
    this.#writer.finish(batch)
    this.#filledFrom.put(batch, batches.at(-1))
    putPosition(batch, { applied, globalPosition: Math.max(state.globalPosition, this.#tablesPosition) })
    const must = checkpoint !== null || state.idempotency.expiredUntilMs !== expiredUntilMs // I4
    this.#maybePutRoot(batch, must)
    if (checkpoint !== null) {
      putCheckpoint(batch, applied)
      checkpoint.stateHash = stateHash(state)
    }
    keys.leave()
  }

  #takeFlushed(): WaitingBatch[] {
    let taken = 0
    let bytes = 0
    while (taken < this.#waiting.length && bytes < transactionBytesMax) {
      const next = this.#waiting[taken] as WaitingBatch
      if (next.lastLsn > this.#flushed) break // I1
      bytes += next.payload.length
      taken++
    }
    const batches = this.#waiting.slice(0, taken)
    this.#waiting = this.#waiting.slice(taken)
    this.#waitingBytes -= bytes
    this.#bytesSinceRoot += bytes
    if (taken > 0 && this.accepts()) this.#follower?.resume()
    return batches
  }

  #maybePutRoot(batch: WriteBatch, must: boolean): void {
    const nowMs = this.#o.environment.clock.monotonicMs()
    const isDue = must || this.#bytesSinceRoot >= Math.max(rootEveryBytes, this.#rootBytes * 2)
    if (!isDue && (nowMs - this.#rootAtMs < rootEveryMs || this.#bytesSinceRoot === 0)) return
    const root = encodeRoot(this.#o.state)
    putRoot(batch, root)
    this.#rootBytes = root.length
    this.#bytesSinceRoot = 0
    this.#rootAtMs = nowMs
  }

  #done(applied: Lsn, checkpoint: CheckpointUnderWay | null, error: CommanderError | null): void {
    this.#committing = false
    this.#pause.end(this.#o.environment.clock.monotonicMs())
    if (this.#stopped) return
    if (error !== null) {
      if (checkpoint !== null) this.#checkpoints.end(checkpoint, error)
      this.stop()
      this.#o.failed(error)
      return
    }
    if (applied > this.#committed) {
      this.#committed = applied
      forgetSavedKeys(this.#o.state.idempotency, applied)
      this.#sayApplied()
    }
    if (checkpoint !== null) this.#flushCheckpoint(checkpoint)
    this.#maybeCommit()
  }

  #flushCheckpoint(checkpoint: CheckpointUnderWay): void {
    this.#o.store.flush((error) => {
      if (this.#stopped) return
      const byHand = this.#checkpoints.end(checkpoint, error)
      this.#sayApplied(byHand)
    })
  }

  /** As soon as the state is that of a commit. */
  takeCheckpoint(done: CheckpointDone): void {
    this.#checkpoints.ask(done)
    this.#maybeCommit()
  }

  /** `archivedLsn` has moved. */
  archivedMoved(): void {
    if (this.#follower?.standing.isCaughtUp === true) this.#sayApplied()
  }

  switched(switched: Switched): void {
    this.#o.archive?.switched(switched)
  }

  #sayApplied(atOnce = false): void {
    const checkpoint = this.holds.bound(this.#checkpoints.last)
    const archived = this.#o.archive?.archivedLsn ?? null
    this.#follower?.sendApplied({ applied: this.#committed, checkpoint, archived, atOnce })
  }

  #draft(action: Parameters<typeof encodeAction>[1]): void {
    if (this.#follower?.isConnected !== true) return
    const batch = new EntryBatch(this.#o.origin, 512)
    encodeAction(batch, action, this.#follower.takeSequence())
    this.#follower.sendDrafts(batch.take())
  }
}
