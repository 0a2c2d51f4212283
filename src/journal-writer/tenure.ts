import { type LeaderAddress, type Leadership, leadsAlone } from '../ipc/leadership.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'

/**
 * Whether this writer leads, and who does where it does not.
 *
 * I1. It leads once the entry that says so is flushed: from then on no leader can come that does not know of it.
 */
export class Tenure {
  #leadership: Leadership
  /** To come into effect once this entry is flushed. */
  #next: { readonly at: Lsn; readonly leadership: Leadership } | null = null
  readonly #changed: (leadership: Leadership) => void

  /** @param leadership null: of a journal that this node keeps alone */
  constructor(leadership: Leadership | null, changed: (leadership: Leadership) => void) {
    this.#leadership = leadership ?? leadsAlone
    this.#changed = changed
  }

  get leadership(): Leadership {
    return this.#leadership
  }

  get leads(): boolean {
    return this.#leadership.leads
  }

  /** Another node does, or none is known to. */
  heard(epoch: number, leader: LeaderAddress | null): void {
    if (this.leads || this.#next !== null) return
    this.#change({ leads: false, epoch, leader })
  }

  /** The entry at `at` says that this node leads. */
  begin(at: Lsn, epoch: number, leader: LeaderAddress): void {
    this.#next = { at: lsn(at), leadership: { leads: true, epoch, leader } }
  }

  flushedUpTo(flushed: Lsn): void {
    if (this.#next === null || flushed < this.#next.at) return
    const { leadership } = this.#next
    this.#next = null
    this.#change(leadership) // I1
  }

  #change(leadership: Leadership): void {
    this.#leadership = leadership
    this.#changed(leadership)
  }
}
