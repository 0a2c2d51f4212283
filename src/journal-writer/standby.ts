import { lengthOf, padded } from '../actions/entry-layout.ts'
import type { Journal } from '../journal/journal.ts'
import { assert } from '../kernel/assert.ts'
import type { Environment, Timer } from '../kernel/environment.ts'
import { type CommanderError, isCommanderError } from '../kernel/errors.ts'
import { lsn, nextLsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import type { TokenGuard } from '../state/token-guard.ts'
import type { WrittenBatch } from './bridge.ts'
import type { CommittedBatch, CommittedBatches } from './committed-batches.ts'
import { epochEntry } from './epoch-entry.ts'

export interface StandbyOptions {
  readonly environment: Environment
  readonly journal: Journal
  readonly guard: TokenGuard
  readonly batches: CommittedBatches
  readonly appended: (batch: WrittenBatch) => void
  /** There is no room: whoever can make some should hear of it. */
  readonly full: () => void
  readonly failed: (error: CommanderError) => void
}

const lookAgainMs = 1000

/**
 * Appends what another node has committed, batch by batch, as it was appended there.
 *
 * I1. What the guard knows follows from the same entries as on the leader: this node may come to lead behind any of them.
 * I2. At its limit the journal waits for room: what is not appended here is kept by others.
 */
export class Standby {
  readonly #o: StandbyOptions
  #timer: Timer | null = null
  #scheduled = false
  #stopped = false

  constructor(options: StandbyOptions) {
    this.#o = options
    options.batches.onMore(() => this.goOn())
    this.goOn()
  }

  /** There is more to take, or room again. */
  goOn(): void {
    if (this.#scheduled || this.#stopped) return
    this.#scheduled = true
    this.#o.environment.scheduler.soon(this.#due)
  }

  /** This node leads from now on: appends the entry that says so. @throws CommanderError as `Journal.append` */
  promote(epoch: number, leader: string): WrittenBatch {
    const { environment, journal } = this.#o
    this.stop()
    const firstLsn = nextLsn(journal.writtenLsn)
    const payload = epochEntry(environment, epoch, leader, firstLsn)
    return this.#append({ firstLsn, entryCount: 1, payload }, true)
  }

  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#timer?.cancel()
    this.#o.batches.close()
  }

  readonly #due = (): void => {
    this.#scheduled = false
    try {
      this.#take()
    } catch (error) {
      if (!isCommanderError(error)) throw error
      if (error.code === 'journal_full') this.#waitForRoom()
      else this.#o.failed(error)
    }
  }

  #take(): void {
    const { journal, batches } = this.#o
    for (let bytes = 0; !this.#stopped; ) {
      if (bytes >= limits.catchUpSliceBytes) {
        this.goOn()
        return
      }
      const batch = batches.next(journal.writtenLsn)
      if (batch === null) return
      if (!journal.hasRoomFor(batch.payload.length)) {
        this.#waitForRoom() // I2
        return
      }
      this.#o.appended(this.#append(batch))
      bytes += batch.payload.length
    }
  }

  #append({ firstLsn, entryCount, payload }: CommittedBatch, useReserve = false): WrittenBatch {
    const { journal, guard } = this.#o
    assert(firstLsn === nextLsn(journal.writtenLsn), `batch ${firstLsn} follows entry ${journal.writtenLsn}`)
    journal.append(payload, firstLsn, entryCount, journal.flushedLsn, useReserve)
    guard.begin()
    for (let o = 0; o < payload.length; o += padded(lengthOf(payload, o))) guard.apply(payload, o) // I1
    return { firstLsn, lastLsn: lsn(firstLsn + entryCount - 1), payload }
  }

  #waitForRoom(): void {
    this.#o.full()
    this.#timer?.cancel()
    this.#timer = this.#o.environment.scheduler.after(lookAgainMs, () => this.goOn())
  }
}
