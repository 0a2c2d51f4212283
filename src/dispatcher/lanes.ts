import type { Environment } from '../kernel/environment.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import type { PendingCommand } from '../state/commands.ts'
import { laneKey, type Place, shortageOf } from '../state/queues.ts'
import type { RootState } from '../state/root.ts'
import { Alarm } from './alarm.ts'
import { LaneQueue, type PlacedCommand } from './lane-queue.ts'
import { SteadyTime } from './steady-time.ts'

export interface LanesOptions {
  readonly environment: Environment
  readonly state: RootState
  /** Offers what a command's aggregate has; @returns whether the command is about to be started. */
  readonly offer: (command: PendingCommand) => boolean
  /** Something is due: `open` is to be called when drafts are taken. */
  readonly due: () => void
}

/**
 * Lets commands that have a place in a queue go when it is their turn: by priority, while there are slots and the rate
 * limit allows it. What it counts on is the state, and what it has let go and has not come back yet; the state counts
 * again when that is written, so that no limit is exceeded whatever crashes.
 */
export class Lanes {
  readonly #o: LanesOptions
  readonly #time: SteadyTime
  readonly #waiting = new Map<string, LaneQueue>()
  /** Those in `#waiting`. */
  readonly #known = new Set<Lsn>()
  /** Let go, and not started in the state yet; with their lanes. */
  readonly #granted = new Map<Lsn, string>()
  readonly #grantedIn = new Map<string, number>()
  /** Lanes where something may go now. */
  readonly #open = new Set<string>()
  /** Lanes that wait for their rate limit, and until when by the monotonic clock. */
  readonly #rated = new Map<string, number>()
  readonly #alarm: Alarm

  constructor(options: LanesOptions) {
    this.#o = options
    this.#time = new SteadyTime(options.environment.clock)
    this.#alarm = new Alarm(options.environment, () => {
      this.#openRated()
      options.due()
    })
  }

  stop(): void {
    this.#alarm.stop()
  }

  clear(): void {
    this.stop()
    this.#waiting.clear()
    this.#known.clear()
    this.#granted.clear()
    this.#grantedIn.clear()
    this.#open.clear()
    this.#rated.clear()
  }

  /** Anything that is let go now is written with a time. */
  get isCounting(): boolean {
    return this.#granted.size > 0
  }

  /** The time that is written. */
  nowMs(): number {
    this.#time.isAtLeast(this.#o.state.queues.latestMs)
    return this.#time.nowMs()
  }

  /** Whether a command's turn has come; otherwise it waits for it. */
  mayStart(command: PendingCommand): boolean {
    if (command.place === null || command.attempts > 0 || this.#granted.has(command.lsn)) return true
    if (this.#known.has(command.lsn)) return false
    const key = laneKey(command.place)
    let lane = this.#waiting.get(key)
    if (lane === undefined) {
      lane = new LaneQueue(command.place)
      this.#waiting.set(key, lane)
    }
    lane.push(command as PlacedCommand)
    this.#known.add(command.lsn)
    this.#open.add(key)
    return false
  }

  /** A draft that starts the command has come back, to some effect or none, or will not be sent. */
  settled(command: Lsn): void {
    const key = this.#granted.get(command)
    if (key === undefined) return
    this.#granted.delete(command)
    const count = (this.#grantedIn.get(key) ?? 0) - 1
    if (count > 0) this.#grantedIn.set(key, count)
    else this.#grantedIn.delete(key)
    this.#open.add(key)
  }

  /** A command has ended. */
  ended({ place }: PendingCommand): void {
    if (place !== null) this.#open.add(laneKey(place))
  }

  /** A workflow that holds a slot of this lane is about to end. */
  freed(lane: string): void {
    this.#open.add(lane)
  }

  /** Limits may have changed. */
  changed(): void {
    for (const key of this.#waiting.keys()) this.#open.add(key)
  }

  /** Lets go what may go. */
  open(): void {
    if (this.#open.size === 0) return
    const keys = [...this.#open]
    this.#open.clear()
    for (const key of keys) {
      const lane = this.#waiting.get(key)
      if (lane !== undefined) this.#openLane(key, lane)
    }
  }

  #openLane(key: string, lane: LaneQueue): void {
    while (lane.length > 0) {
      if (!this.#hasRoom(key, lane.place)) return
      const command = lane.pop() as PlacedCommand
      this.#known.delete(command.lsn)
      if (this.#isStartable(command)) this.#grant(key, command)
    }
    this.#waiting.delete(key)
  }

  #grant(key: string, command: PlacedCommand): void {
    this.#granted.set(command.lsn, key)
    this.#grantedIn.set(key, (this.#grantedIn.get(key) ?? 0) + 1)
    // Where something else is in its way, it comes back when that has gone.
    if (!this.#o.offer(command)) this.settled(command.lsn)
  }

  #isStartable(command: PlacedCommand): boolean {
    const isPending = this.#o.state.commands.byLsn.get(command.lsn) === command
    return isPending && command.token === 0 && command.attempts === 0 && !this.#granted.has(command.lsn)
  }

  #hasRoom(key: string, place: Place): boolean {
    const { queues, applications } = this.#o.state
    const nowMs = this.nowMs()
    const shortage = shortageOf(queues, applications.queues, place, nowMs, this.#grantedIn.get(key) ?? 0)
    if (shortage?.what === 'rate') {
      const atMs = this.#o.environment.clock.monotonicMs() + shortage.nextMs - nowMs
      this.#rated.set(key, atMs)
      this.#alarm.set(atMs)
    }
    return shortage === null
  }

  #openRated(): void {
    const nowMs = this.#o.environment.clock.monotonicMs()
    let nextMs = Number.POSITIVE_INFINITY
    for (const [key, atMs] of this.#rated) {
      if (atMs > nowMs) {
        nextMs = Math.min(nextMs, atMs)
        continue
      }
      this.#rated.delete(key)
      this.#open.add(key)
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#alarm.set(nextMs)
  }
}
