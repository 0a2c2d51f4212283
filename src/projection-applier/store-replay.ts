import { lengthOf, lsnOf, padded } from '../actions/entry-layout.ts'
import type { EntryPortion } from '../actions/entry-portion.ts'
import { assert } from '../kernel/assert.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { forgetSavedKeys } from '../state/idempotency.ts'
import { type RootState, reduce } from '../state/root.ts'
import { encodeRoot, stateHash } from '../state/snapshot.ts'
import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import { forgetAppliedFrame } from '../tables/applied-frame.ts'
import { WriterKeyLookup } from '../tables/idempotency-keys.ts'
import { putCheckpoint, putPosition, putRoot, readPosition, readRoot } from '../tables/meta.ts'
import { listProgress, type ProjectionProgress, putProgress } from '../tables/projection-rows.ts'
import type { ExpiredPortion } from './key-deletions.ts'
import { TableWriter } from './table-writer.ts'

/** Entries gathered for one transaction, in bytes: twice what the applier takes, for nobody waits for its reads. */
const transactionBytesMax = 16_777_216

/**
 * Brings a store that nobody uses up to an entry of the journal, as fast as it goes: large transactions without pauses.
 *
 * I1. The tables end as the applier would have filled them, and the root state is that of the last entry.
 * I2. Rows of projections need the user's code, which is not at hand: projections that were up to date are marked as being
 *     built from where they are, and the applier goes on there.
 */
export class StoreReplay {
  readonly state: RootState
  readonly #store: KeyValueStore
  readonly #keys: WriterKeyLookup
  readonly #writer: TableWriter
  /** Up to here the tables are filled already; the state follows without touching them. */
  readonly #tablesAt: Lsn
  readonly #positionAtStart: number
  #gathered: EntryPortion[] = []
  #gatheredBytes = 0
  #gatheredEntries = 0
  #hashesWanted: Lsn[] = []
  readonly #hashes = new Map<Lsn, string>()

  constructor(store: KeyValueStore) {
    const { applied, globalPosition } = readPosition(store)
    this.#store = store
    this.#keys = new WriterKeyLookup(store)
    this.state = readRoot(store, { lookup: this.#keys.lookup, keepsPayloads: true })
    this.#tablesAt = applied
    this.#positionAtStart = globalPosition
    this.#writer = new TableWriter({ state: this.state, store }, { apply: () => {} }, globalPosition + 1)
  }

  /** The entry that `apply` must be given next. */
  get next(): Lsn {
    return lsn(this.state.lsn + 1 + this.#gatheredEntries)
  }

  /** The store holds everything up to here, whatever its root says. */
  get tablesAt(): Lsn {
    return this.#tablesAt
  }

  /** Number of events among all entries applied. */
  get globalPosition(): number {
    return this.state.globalPosition
  }

  /** The hash of the state at this entry will be had from `hashAt`. To be asked before the one behind it is given. */
  wantHash(at: Lsn): void {
    if (at === this.state.lsn && this.#gatheredEntries === 0) this.#hashes.set(at, stateHash(this.state))
    if (at < this.next || this.#hashesWanted.includes(at)) return
    this.#hashesWanted.push(at)
    this.#hashesWanted.sort((a, b) => a - b)
  }

  hashAt(at: Lsn): string | undefined {
    return this.#hashes.get(at)
  }

  /** The next entries, in order. Resolves when more may come. */
  async apply(portion: EntryPortion): Promise<void> {
    this.#gathered.push(portion)
    this.#gatheredBytes += portion.end
    this.#gatheredEntries += portion.entries
    if (this.#gatheredBytes >= transactionBytesMax) await this.#commit()
  }

  /** Puts the rest into the store, with the state to start from. Returns the state's hash. */
  async finish(): Promise<string> {
    const progress = listProgress(this.#store)
    await this.#commit((batch) => this.#leaveRoot(batch, progress))
    while (this.#writer.keys.isAtWork) await this.#commit(() => {}) // I1
    assert(this.state.lsn >= this.#tablesAt, `the store is at entry ${this.#tablesAt}, behind entry ${this.state.lsn}`)
    return stateHash(this.state)
  }

  async #commit(last?: (batch: WriteBatch) => void): Promise<void> {
    if (this.#gathered.length === 0 && last === undefined) return
    const expired = this.#writer.keys.portion()
    const clearing = this.#writer.clearing()
    await new Promise<void>((resolve, reject) => {
      this.#store.write(
        (batch) => {
          if (clearing !== null) this.#writer.clear(batch, clearing) // before removals, which then look at what it puts
          this.#fill(batch, expired)
          last?.(batch)
        },
        (error) => (error === null ? resolve() : reject(error)),
      )
    })
    this.#gathered = []
    this.#gatheredBytes = 0
    this.#gatheredEntries = 0
    forgetSavedKeys(this.state.idempotency, this.state.lsn)
  }

  #fill(batch: WriteBatch, expired: ExpiredPortion): void {
    const { state } = this
    this.#keys.enter(batch)
    this.#writer.keys.delete(batch, expired)
    this.#writer.removeSome(batch)
    for (const { payload, end } of this.#gathered) {
      for (let o = 0; o < end; o += padded(lengthOf(payload, o))) {
        if (lsnOf(payload, o) > this.#tablesAt) this.#writer.apply(batch, payload, o)
        else reduce(state, payload, o)
        if (state.lsn === this.#hashesWanted[0]) this.#takeHash()
      }
    }
    this.#writer.finish(batch)
    this.#keys.leave()
    if (state.lsn < this.#tablesAt) return
    putPosition(batch, { applied: state.lsn, globalPosition: state.globalPosition })
    forgetAppliedFrame(batch)
  }

  #leaveRoot(batch: WriteBatch, progress: readonly { name: string; progress: ProjectionProgress }[]): void {
    putRoot(batch, encodeRoot(this.state))
    putCheckpoint(batch, this.state.lsn)
    if (this.state.globalPosition === this.#positionAtStart) return
    for (const {
      name,
      progress: { live, building, failed },
    } of progress) {
      if (live === null || building !== null || failed !== null) continue
      // I2
      putProgress(batch, name, { live: null, building: { version: live, position: this.#positionAtStart }, failed })
    }
  }

  #takeHash(): void {
    const at = this.#hashesWanted.shift()
    assert(at !== undefined, 'a hash is wanted')
    this.#hashes.set(at, stateHash(this.state))
  }
}
