import { Heap } from '../../../src/kernel/heap.ts'
import type { SeededRandom } from '../../../src/testing/seeded-random.ts'
import { Trace } from '../../../src/testing/trace.ts'
import type { NetworkPlan } from './plan.ts'

interface Event {
  readonly atMs: number
  readonly number: number
  readonly run: () => void
}

const isBefore = (a: Event, b: Event): boolean => (a.atMs !== b.atMs ? a.atMs < b.atMs : a.number < b.number)

/** Time that passes from event to event, without a turn of Node's event loop in between: nothing here waits for one. */
export class World {
  nowMs = 0
  events = 0
  readonly trace: Trace
  readonly random: SeededRandom
  readonly #heap = new Heap(isBefore)
  #asked = 0

  constructor(random: SeededRandom, print: ((line: string) => void) | null) {
    this.random = random
    this.trace = new Trace(print)
  }

  after(delayMs: number, run: () => void): void {
    this.#heap.push({ atMs: this.nowMs + Math.max(0, delayMs), number: ++this.#asked, run })
  }

  /** @returns whether it was over by then. */
  run(untilMs: number, isOver: () => boolean): boolean {
    while (!isOver()) {
      const event = this.#heap.first()
      if (event === undefined || event.atMs > untilMs) {
        this.nowMs = Math.max(this.nowMs, untilMs)
        return isOver()
      }
      this.#heap.pop()
      this.nowMs = event.atMs
      this.events++
      event.run()
    }
    return true
  }

  note(who: string, what: string): void {
    this.trace.note(this.nowMs, who, what)
  }
}

/** A process of the cluster: it can be killed, stopped for a while, and have a clock of its own. */
export class Process {
  readonly name: string
  isUp = true
  /** Counts its starts. What a former life asked for does not come to this one. */
  life = 1
  slowness = 1
  readonly world: World
  #pausedUntilMs = 0
  #clockRate = 1
  #clockOffsetMs = 0

  constructor(world: World, name: string, clockDrift: number) {
    this.world = world
    this.name = name
    this.#clockRate = 1 + (world.random.fraction() - 0.5) * clockDrift
  }

  /** Its own monotonic clock: no two agree, and it may jump ahead. */
  get nowMs(): number {
    return this.world.nowMs * this.#clockRate + this.#clockOffsetMs
  }

  jump(ms: number): void {
    this.#clockOffsetMs += ms
  }

  pause(ms: number): void {
    this.#pausedUntilMs = this.world.nowMs + ms
  }

  unpause(): void {
    this.#pausedUntilMs = 0
  }

  /** Now, or when it goes on; never if it is dead by then. */
  run(act: () => void): void {
    if (!this.isUp) return
    const waitMs = this.#pausedUntilMs - this.world.nowMs
    if (waitMs <= 0) return act()
    this.world.after(waitMs, () => this.run(act))
  }

  /** A timer, which ends with this life. */
  after(delayMs: number, act: () => void): void {
    const { life } = this
    this.world.after(delayMs * this.slowness, () => {
      if (this.life === life) this.run(() => this.life === life && act())
    })
  }

  every(periodMs: number, act: () => void): void {
    this.after(periodMs, () => {
      act()
      this.every(periodMs, act)
    })
  }
}

/** Delays, loses, doubles and reorders messages, and is cut in two at times, or in one direction. */
export class Network {
  isHealed = false
  readonly #world: World
  readonly #plan: NetworkPlan
  /** `from>to`, or `*>to`, `from>*`, until when. */
  readonly #cuts = new Map<string, number>()

  constructor(world: World, plan: NetworkPlan) {
    this.#world = world
    this.#plan = plan
  }

  cut(from: string, to: string, ms: number): void {
    this.#cuts.set(`${from}>${to}`, this.#world.nowMs + ms)
  }

  cutBoth(one: string, other: string, ms: number): void {
    this.cut(one, other, ms)
    this.cut(other, one, ms)
  }

  heal(): void {
    this.isHealed = true
    this.#cuts.clear()
  }

  send(from: Process, to: Process, deliver: () => void): void {
    const { random } = this.#world
    const { loss, duplication } = this.#plan
    if (!this.isHealed && random.chance(loss)) return
    this.#carry(from, to, deliver)
    if (!this.isHealed && random.chance(duplication)) this.#carry(from, to, deliver)
  }

  /** @param done gets null when no answer came in time. */
  call<Result>(
    from: Process,
    to: Process,
    timeoutMs: number,
    handle: () => Result,
    done: (result: Result | null) => void,
  ): void {
    let isDone = false
    const end = (result: Result | null): void => {
      if (isDone) return
      isDone = true
      done(result)
    }
    const { life } = from
    this.send(from, to, () => {
      const result = handle()
      this.send(to, from, () => from.life === life && end(result))
    })
    from.after(timeoutMs, () => end(null))
  }

  #carry(from: Process, to: Process, deliver: () => void): void {
    const { random } = this.#world
    const { delayMs, jitterMs } = this.#plan
    const delay = (delayMs + random.fraction() * jitterMs) * from.slowness * to.slowness
    this.#world.after(delay, () => {
      if (this.isCut(from.name, to.name)) return
      to.run(deliver)
    })
  }

  isCut(from: string, to: string): boolean {
    if (this.#cuts.size === 0) return false
    const { nowMs } = this.#world
    return [`${from}>${to}`, `*>${to}`, `${from}>*`].some((key) => (this.#cuts.get(key) ?? 0) > nowMs)
  }
}
