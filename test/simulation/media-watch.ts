import type { MemoryStorage } from '../../src/journal/memory-storage.ts'
import { segmentsOf } from '../../src/journal/segment-name.ts'
import type { CommanderError } from '../../src/kernel/errors.ts'
import type { KeyValueStore } from '../../src/store/key-value-store.ts'
import { readPosition, readRoot } from '../../src/tables/meta.ts'
import { type TrueFrame, type Truth, truthOf } from './truth.ts'

/** Entries behind `endLsn` are gone, as they were up to this moment. */
export interface LostEntries {
  readonly endLsn: number
  readonly truth: Truth
  readonly atMs: number
}

export interface MediaWorld {
  readonly disk: MemoryStorage
  readonly store: () => KeyValueStore
  readonly nowMs: () => number
  readonly violate: (what: string) => void
  readonly lost: (entries: LostEntries) => void
}

interface Before {
  readonly truth: Truth
  readonly rootLsn: number
  readonly appliedLsn: number
}

/**
 * Judges each recovery by what the journal would be if the medium had never failed.
 *
 * M1. Nothing acknowledged is lost in silence: what is given up without a word lay behind everything that anything vouches
 *     for (R4), and begins with a damaged frame.
 * M2. Nothing is invented, and nothing damaged is taken for sound.
 * M3. A refusal names a place that is damaged; where nothing is, none comes.
 * M4. An operator who accepts a loss gives up no entry before the damage.
 */
export class MediaWatch {
  readonly counts: Record<string, number> = {}
  readonly #world: MediaWorld
  #before: Before | null = null
  /** An operator gave up what is damaged: the next recovery may end below what was acknowledged. */
  #isAccepted = false
  /** Everything up to here was said to be flushed. */
  #acknowledgedLsn = 0

  constructor(world: MediaWorld) {
    this.#world = world
  }

  flushed(upTo: number): void {
    this.#acknowledgedLsn = Math.max(this.#acknowledgedLsn, upTo)
  }

  /** Somebody is about to recover the journal. */
  recovering(): void {
    const { disk, store } = this.#world
    // One that was interrupted may have done a part: it is held against what was there when it began.
    const earlier = this.#before?.truth.disk
    if (earlier === undefined && disk.damaged('seen').length === 0) return
    const rootLsn = readRoot(store(), { lookup: () => undefined, keepsPayloads: false }).lsn
    this.#before = { truth: truthOf(disk, earlier), rootLsn, appliedLsn: readPosition(store()).applied }
  }

  /** What is damaged was given up, and the journal not opened since. */
  get isAccepting(): boolean {
    return this.#isAccepted
  }

  acceptsLoss(): void {
    this.#isAccepted = true
  }

  /** The operator found another way. */
  keepsAll(): void {
    this.#isAccepted = false
    this.#before = null
  }

  /** The journal is open, and ends with this entry. */
  opened(recoveredLsn: number): void {
    const before = this.#before
    const acknowledged = this.#acknowledgedLsn
    const isAccepted = this.#isAccepted
    this.#before = null
    this.#isAccepted = false
    if (before !== null) {
      this.#checkContent(before, recoveredLsn)
      this.#settle(before.truth, recoveredLsn)
    }
    if (recoveredLsn >= acknowledged) return this.#count(before === null ? 'undamaged' : 'wentOn')
    if (before === null)
      return this.#world.violate(`M1: recovered up to ${recoveredLsn}, acknowledged ${acknowledged}, nothing damaged`)
    this.#count(isAccepted ? 'givenUp' : 'unvouched')
    this.#checkLoss(before, recoveredLsn, isAccepted)
    this.#acknowledgedLsn = recoveredLsn
    this.#world.lost({ endLsn: recoveredLsn, truth: before.truth, atMs: this.#world.nowMs() })
  }

  /** What would be behind the end is of no account any more: the journal goes on there with other entries. */
  #settle({ frames }: Truth, recoveredLsn: number): void {
    const { disk } = this.#world
    for (const { name, baseLsn } of segmentsOf(disk.list())) {
      // A seal at the end that is not there any more: another one takes its place.
      const isKept = ({ segment, firstLsn, lastLsn, isIntact }: TrueFrame): boolean =>
        segment === name && lastLsn <= recoveredLsn && (firstLsn <= recoveredLsn || isIntact)
      const kept = frames.findLast(isKept)
      if (kept !== undefined || baseLsn > recoveredLsn) disk.accept(name, kept?.end ?? 0)
    }
  }

  /** M2 */
  #checkContent({ truth, rootLsn }: Before, recoveredLsn: number): void {
    const { violate } = this.#world
    if (recoveredLsn > truth.lastLsn)
      violate(`M2: recovered up to ${recoveredLsn}, and only ${truth.lastLsn} was ever written`)
    const taken = truth.frames.find(
      ({ isIntact, firstLsn, lastLsn }) =>
        !isIntact && lastLsn >= firstLsn && lastLsn > rootLsn && lastLsn <= recoveredLsn,
    )
    if (taken !== undefined) violate(`M2: the frame of entry ${taken.firstLsn} is damaged and was taken for sound`)
  }

  /** M1, M4 */
  #checkLoss({ truth, rootLsn, appliedLsn }: Before, recoveredLsn: number, isAccepted: boolean): void {
    const { violate } = this.#world
    const first = firstDamaged(truth, isAccepted ? 0 : rootLsn)
    if (first === undefined || first.firstLsn > recoveredLsn + 1)
      violate(`M4: recovered up to ${recoveredLsn}, and the first damage is at ${first?.firstLsn}`)
    if (isAccepted) return
    const vouched = Math.max(appliedLsn, truth.markedLsn, ...truth.frames.map(vouchedBy))
    if (recoveredLsn < vouched) violate(`M1: recovered up to ${recoveredLsn} in silence, and ${vouched} is vouched for`)
  }

  /** M3: the store has applied what was lost in silence. */
  storeContradicts(error: CommanderError): true {
    this.#count('storeContradicts')
    if (this.counts['unvouched'] === undefined) this.#world.violate(`M3: nothing was lost in silence: ${error.message}`)
    return true
  }

  /** M3 @returns whether there is damage that explains it */
  refused(error: CommanderError): boolean {
    const { violate } = this.#world
    this.#count('refused')
    const { segment, lsn: at } = (error.details ?? {}) as { segment?: string | null; lsn?: number }
    if (this.#before === null) {
      violate(`M3: nothing is damaged: ${error.message}`)
      return false
    }
    const { truth } = this.#before
    const isThere =
      truth.frames.some(({ isIntact, firstLsn, lastLsn }) => !isIntact && covers(firstLsn, lastLsn, at ?? 0)) ||
      this.#world.disk.damaged('seen').includes(segment ?? '')
    if (!isThere) violate(`M3: nothing is damaged at ${segment} entry ${at}: ${error.message}`)
    return true
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }
}

/** A seal holds no entry: it stands before its successor's first. */
const covers = (firstLsn: number, lastLsn: number, at: number): boolean =>
  at === firstLsn || (at > firstLsn && at <= lastLsn)

const vouchedBy = ({ isIntact, durableLsn }: TrueFrame): number => (isIntact ? durableLsn : 0)

/** Damage before the segment of the root is not looked for. */
function firstDamaged({ frames, disk }: Truth, rootLsn: number): TrueFrame | undefined {
  const from = segmentsOf(disk.list()).findLast(({ baseLsn }) => baseLsn <= rootLsn + 1)?.baseLsn ?? 0
  return frames.find(({ isIntact, firstLsn }) => !isIntact && firstLsn >= from)
}
