import type { Channel } from '../ipc/channel.ts'
import { type Attested, encodeNumber, journalFrames } from '../ipc/journal-protocol.ts'
import type { Environment } from '../kernel/environment.ts'
import { type Lsn, noLsn } from '../kernel/identifiers.ts'

/** A process whose state is not that of the others at the same entry. */
export interface Divergence {
  readonly name: string
  readonly at: Lsn
  readonly hash: string
  readonly agreedHash: string
  /** The last entry before at which it was known to agree; 0 if none. */
  readonly after: Lsn
  /** It diverged before, and being built anew did not help: it is to stay out. */
  readonly isFinal: boolean
}

/** Folds the entries up to `at` once more, apart from everybody who is compared; null: that cannot be done. */
export type Referee = (at: Lsn, done: (hash: string | null) => void) => void

export interface AttestationOptions {
  readonly environment: Pick<Environment, 'clock' | 'log'>
  /** Time between two points at which the processes are compared; 0: they never are. */
  readonly intervalMs: number
  readonly referee: Referee | null
  readonly diverged: (divergence: Divergence) => void
}

/** What came of comparing the processes' states. */
export interface AttestationStatus {
  /** The last entry after which the processes agreed; 0 before the first time. */
  readonly agreedLsn: number
  readonly agreedHash: string | null
  /** Processes found with another state since the journal writer began. */
  readonly divergences: number
  /** Those that were not built anew again. */
  readonly quarantined: readonly string[]
  /** The projection applier was among them: the store may hold what it folded wrongly. */
  readonly storeIsSuspect: boolean
}

interface Voter {
  readonly name: string
  readonly live: boolean
  readonly channel: Channel
}

interface Point {
  readonly at: Lsn
  readonly asked: number
  /** Asked and not heard of. */
  readonly awaited: Set<string>
  readonly votes: Map<string, string>
  agreedHash: string | null
}

interface Record {
  agreedAt: Lsn
  /** When it diverged, monotonic, the last ones. */
  timesMs: number[]
}

export const applierName = 'projection-applier'
const pointsKept = 8
/** So often within `repeatMs`, or twice without agreeing in between, and it is not built anew again. */
const divergencesMax = 3
const repeatMs = 3_600_000

/**
 * Compares the hashes of the states of all who follow, after entries that it chooses (G7). The majority of those asked
 * is right; where there is none, a referee folds the entries once more.
 *
 * I1. Nobody is condemned by fewer than two that agree, or by the referee and one that agrees with it.
 * I2. It holds a bounded number of points, and one short record for each name (G10).
 * I3. Which entries are chosen follows from the batches alone, once it has seen one: nodes of a cluster, which follow the same
 *     batches, choose the same ones, and can compare what each of them found.
 */
export class Attestation {
  readonly #o: AttestationOptions
  #points: Point[] = []
  readonly #records = new Map<string, Record>()
  readonly #quarantined = new Set<string>()
  /** The last one in which a batch was written, counted from the beginning of wall time. */
  #interval: number
  #agreed: Attested | null = null
  #divergences = 0
  #storeIsSuspect = false

  constructor(options: AttestationOptions) {
    this.#o = options
    this.#interval = this.#intervalOf(options.environment.clock.wallMs())
  }

  get status(): AttestationStatus {
    return {
      agreedLsn: this.#agreed?.at ?? 0,
      agreedHash: this.#agreed?.hash ?? null,
      divergences: this.#divergences,
      quarantined: [...this.#quarantined],
      storeIsSuspect: this.#storeIsSuspect,
    }
  }

  /** After which entries the processes agreed, and on what; the last ones, oldest first. */
  get agreed(): readonly Attested[] {
    return this.#points.flatMap(({ at, agreedHash }) => (agreedHash === null ? [] : [{ at, hash: agreedHash }]))
  }

  /** Once for each batch: whether the processes are to be compared after it. @param wallMs - of its first entry; 0: it has none */
  isDue(wallMs: number): boolean {
    if (wallMs === 0) return false
    const interval = this.#intervalOf(wallMs) // I3
    // Clocks of processes differ a little around the turn of an interval; one that was set back is another thing.
    if (interval === this.#interval || interval === this.#interval - 1) return false
    this.#interval = interval
    return true
  }

  /**
   * Those that take what they are sent are asked for the hash of their state after `at`: ahead of the batch that ends
   * there, so that nobody has gone past it.
   */
  ask(at: Lsn, followers: Iterable<Voter>): void {
    const body = encodeNumber(at)
    const names: string[] = []
    for (const { live, channel, name } of followers) {
      if (!live || !channel.writable) continue
      channel.send(journalFrames.attest, body)
      names.push(name)
    }
    const former = this.#points.at(-1)
    if (former !== undefined && former.awaited.size > 0) this.#close(former)
    this.#points.push({ at, asked: names.length, awaited: new Set(names), votes: new Map(), agreedHash: null })
    if (this.#points.length > pointsKept) this.#points.shift() // I2
  }

  vote(name: string, { at, hash }: Attested): void {
    const point = this.#points.find((one) => one.at === at)
    if (point === undefined || point.votes.has(name)) return
    point.votes.set(name, hash)
    const wasAwaited = point.awaited.delete(name)
    if (point.agreedHash !== null) this.#judge(point, name, hash, point.agreedHash)
    else if (wasAwaited) this.#settle(point)
  }

  /** It follows no more: nobody waits for its word, and what it said is not held against its successor. */
  gone(name: string): void {
    for (const point of this.#points) {
      if (point.agreedHash !== null) continue
      point.votes.delete(name)
      if (point.awaited.delete(name) && point.awaited.size === 0) this.#close(point)
    }
  }

  /** Always the same where nobody is to be compared. */
  #intervalOf(wallMs: number): number {
    const { intervalMs } = this.#o
    return intervalMs === 0 ? 0 : Math.floor(wallMs / intervalMs)
  }

  #settle(point: Point): void {
    const leading = leadingOf(point)
    if (leading.count >= 2 && leading.count * 2 > point.asked) this.#agree(point, leading.hash)
    else if (point.awaited.size === 0) this.#close(point)
  }

  /** Without those that have not answered. */
  #close(point: Point): void {
    point.awaited.clear()
    if (point.agreedHash !== null || point.votes.size < 2) return
    const leading = leadingOf(point)
    if (leading.count >= 2 && leading.count * 2 > point.votes.size) this.#agree(point, leading.hash)
    else this.#askReferee(point)
  }

  #askReferee(point: Point): void {
    const fields = { lsn: point.at, hashes: Object.fromEntries(point.votes) }
    this.#o.environment.log.error(
      fields,
      'the states of the processes differ, and no majority agrees; folding the entries again',
    )
    this.#o.referee?.(point.at, (hash) => {
      if (point.agreedHash !== null) return
      if (hash !== null && [...point.votes.values()].includes(hash)) this.#agree(point, hash)
      else
        this.#o.environment.log.error(
          { ...fields, folded: hash },
          'who is right is not known; the next comparison may tell',
        )
    })
  }

  #agree(point: Point, hash: string): void {
    point.agreedHash = hash
    if (this.#agreed === null || this.#agreed.at < point.at) this.#agreed = { at: point.at, hash }
    for (const [name, voted] of point.votes) this.#judge(point, name, voted, hash)
  }

  #judge(point: Point, name: string, hash: string, agreedHash: string): void {
    const record = this.#records.get(name) ?? { agreedAt: noLsn, timesMs: [] }
    this.#records.set(name, record)
    if (hash === agreedHash) {
      if (record.timesMs.length > 0 && record.agreedAt === 0)
        this.#o.environment.log.info(
          { name, lsn: point.at, hash },
          'the process was built anew and agrees with the others',
        )
      record.agreedAt = point.at
      this.#quarantined.delete(name)
      return
    }
    const nowMs = this.#o.environment.clock.monotonicMs()
    const before = record.timesMs.filter((ms) => nowMs - ms < repeatMs)
    const isFinal = before.length > 0 && (record.agreedAt === 0 || before.length + 1 >= divergencesMax)
    const divergence = { name, at: point.at, hash, agreedHash, after: record.agreedAt, isFinal }
    record.timesMs = [...before, nowMs].slice(-divergencesMax)
    record.agreedAt = noLsn
    this.#divergences++
    if (isFinal) this.#quarantined.add(name)
    if (name === applierName) this.#storeIsSuspect = true
    this.#o.diverged(divergence)
  }
}

function leadingOf({ votes }: Point): { readonly hash: string; readonly count: number } {
  const counts = new Map<string, number>()
  for (const hash of votes.values()) counts.set(hash, (counts.get(hash) ?? 0) + 1)
  let leading = { hash: '', count: 0 }
  for (const [hash, count] of counts) if (count > leading.count) leading = { hash, count }
  return leading
}
