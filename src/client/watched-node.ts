import type { CommanderError } from '../kernel/errors.ts'
import { Liveness } from './liveness.ts'

/** What waits for a node to say something. */
export interface Visitor {
  /** It waits for what is yet to happen, and hears something now and then until it does. */
  readonly isFollowing: boolean
  giveUp(error: CommanderError): void
}

/** Longer than a gateway lets a stream of events be still: then it says that it is there. */
const followingQuietMs = 20_000

/** A node, those who wait for it, and whether it was heard meanwhile. */
export class WatchedNode {
  readonly #liveness: Liveness
  readonly #visitors = new Set<Visitor>()
  #requests = 0
  /** Somebody came since it was heard, and may have left: calls that end soon must not hide that nobody is answered. */
  #isOwing = false
  #probe: AbortController | null = null

  constructor(nowMs: number) {
    this.#liveness = new Liveness(nowMs)
  }

  /** Somebody waits, or it was asked for a sign of life. */
  get isWatched(): boolean {
    return this.#visitors.size > 0 || this.#probe !== null
  }

  enter(visitor: Visitor, nowMs: number): void {
    if (this.#visitors.size === 0 && !this.#isOwing) this.#liveness.heard(nowMs)
    this.#isOwing = true
    this.#visitors.add(visitor)
    if (!visitor.isFollowing) this.#requests++
  }

  leave(visitor: Visitor): void {
    if (this.#visitors.delete(visitor) && !visitor.isFollowing) this.#requests--
  }

  heard(nowMs: number): void {
    this.endAsking()
    this.#liveness.heard(nowMs)
    this.#isOwing = false
  }

  check(nowMs: number): 'there' | 'ask' | 'gone' {
    return this.#liveness.check(nowMs, true, this.#requests > 0 ? undefined : followingQuietMs)
  }

  /** Begins to ask for a sign of life. @returns aborted when none is needed any more */
  ask(): AbortSignal {
    this.#probe = new AbortController()
    return this.#probe.signal
  }

  endAsking(): void {
    this.#probe?.abort()
    this.#probe = null
  }

  /** Whoever comes back begins anew. */
  abandon(error: CommanderError, nowMs: number): void {
    const visitors = [...this.#visitors]
    this.#visitors.clear()
    this.#requests = 0
    this.heard(nowMs)
    for (const visitor of visitors) visitor.giveUp(error)
  }
}
