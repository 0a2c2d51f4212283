import { lengthOf, lsnOf, padded } from '../../src/actions/entry-layout.ts'
import type { KeyRecord } from '../../src/state/idempotency.ts'
import { emptyRoot, type RootState, reduce } from '../../src/state/root.ts'
import { stateHash } from '../../src/state/snapshot.ts'
import type { Frame } from './journal-entries.ts'

interface Observed {
  readonly role: string
  readonly hash: string
}

/** Every so many entries all who pass there must agree. */
const agreedEvery = 3

/** Compares the states of all roles at equal LSNs with each other and with a replay from the first entry (G7). */
export class StateWatch {
  readonly #observed = new Map<number, Observed[]>()
  readonly #last = new Map<string, number>()
  /** What each role had applied when it was looked at last. */
  readonly #applied = new Map<string, number>()
  /** Roles that know of entries that are lost: they have to start anew (R9), and until then nobody is like them. */
  readonly #ahead = new Map<string, number>()
  readonly #violate: (what: string) => void

  constructor(violate: (what: string) => void) {
    this.#violate = violate
  }

  get observations(): number {
    let count = 0
    for (const observed of this.#observed.values()) count += observed.length
    return count
  }

  look(role: string, state: RootState): void {
    const at: number = state.lsn
    this.#applied.set(role, at)
    const lostFrom = this.#ahead.get(role)
    if (lostFrom !== undefined && at > lostFrom) return
    this.#ahead.delete(role)
    if (at % agreedEvery !== 0 || this.#last.get(role) === at) return
    this.#last.set(role, at)
    const hash = stateHash(state)
    const others = this.#observed.get(at)
    if (others === undefined) {
      this.#observed.set(at, [{ role, hash }])
      return
    }
    const other = others.find((one) => one.hash !== hash)
    if (other !== undefined) this.#violate(`G7: at entry ${at} ${role} has state ${hash}, ${other.role} ${other.hash}`)
    others.push({ role, hash })
  }

  /** What is behind this entry was lost with the power, and other entries take its place. */
  recovered(upTo: number): void {
    for (const at of this.#observed.keys()) if (at > upTo) this.#observed.delete(at)
    this.#last.clear()
    for (const [role, applied] of this.#applied) if (applied > upTo) this.#ahead.set(role, upTo)
  }

  /** The role has ended: another one takes its place. */
  ended(role: string): void {
    this.#applied.delete(role)
    this.#ahead.delete(role)
  }

  /** @returns the hash of the replayed state at each of these LSNs. */
  replay(frames: readonly Frame[], wanted: ReadonlySet<number>): ReadonlyMap<number, string> {
    const saved = new Map<string, KeyRecord>()
    const state = emptyRoot({ lookup: (key) => saved.get(key), keepsPayloads: false })
    const hashes = new Map<number, string>([[0, stateHash(state)]])
    for (const { payload } of frames) {
      for (let o = 0; o < payload.length; o += padded(lengthOf(payload, o))) {
        reduce(state, payload, o)
        for (const [key, record] of state.idempotency.recentKeys) saved.set(key, record)
        state.idempotency.recentKeys.clear()
        const at: number = lsnOf(payload, o)
        const observed = this.#observed.get(at)?.[0]
        if (observed === undefined && !wanted.has(at)) continue
        const hash = stateHash(state)
        hashes.set(at, hash)
        if (observed !== undefined && observed.hash !== hash)
          this.#violate(`G7: at entry ${at} ${observed.role} has state ${observed.hash}, a replay ${hash}`)
      }
    }
    return hashes
  }
}
