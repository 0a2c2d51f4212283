import { lengthOf, lsnOf, padded } from '../actions/entry-layout.ts'
import { JournalReader } from '../journal/reader.ts'
import type { Referee } from '../journal-writer/attestation.ts'
import { messageOf } from '../kernel/errors.ts'
import { type Lsn, nextLsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import { type RootState, reduce } from '../state/root.ts'
import { stateHash } from '../state/snapshot.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { keyLookup } from '../tables/idempotency-keys.ts'
import { readRoot } from '../tables/meta.ts'
import type { Surroundings } from './surroundings.ts'

/**
 * Folds the entries from the store's root on once more, in slices, when processes do not agree on the state. It cannot
 * tell when the root is newer than the entry, or when keys expired meanwhile, which the tables may have forgotten since.
 */
export const replayReferee =
  (surroundings: Surroundings): Referee =>
  (at, done) => {
    const { environment, openStorage, openStore } = surroundings
    let replay: Replay | null = null
    const end = (hash: string | null): void => {
      replay?.close().then(
        () => done(hash),
        () => done(hash),
      )
    }
    const step = (): void => {
      try {
        if (replay?.step() === true) environment.scheduler.soon(step)
        else end(replay?.hash() ?? null)
      } catch (error) {
        environment.log.error({ lsn: at, error: messageOf(error) }, 'the entries could not be folded again')
        end(null)
      }
    }
    try {
      replay = new Replay(openStore('read'), (from) => new JournalReader(openStorage(), from), at)
      step()
    } catch (error) {
      environment.log.error({ lsn: at, error: messageOf(error) }, 'the entries could not be folded again')
      done(null)
    }
  }

class Replay {
  readonly #store: KeyValueStore
  readonly #state: RootState
  readonly #reader: JournalReader | null
  readonly #at: Lsn

  constructor(store: KeyValueStore, segments: (from: Lsn) => JournalReader, at: Lsn) {
    this.#store = store
    this.#at = at
    this.#state = this.#root()
    this.#reader = this.#state.lsn < at ? segments(nextLsn(this.#state.lsn)) : null
  }

  #root(): RootState {
    return readRoot(this.#store, { lookup: keyLookup(this.#store), keepsPayloads: false })
  }

  /** @returns whether there is more to do. */
  step(): boolean {
    const batches = this.#reader?.read(limits.catchUpSliceBytes, this.#at) ?? []
    for (const { payload } of batches) {
      for (let o = 0; o < payload.length; o += padded(lengthOf(payload, o))) {
        const next = lsnOf(payload, o)
        if (next > this.#state.lsn && next <= this.#at) reduce(this.#state, payload, o)
      }
    }
    return batches.length > 0 && this.#state.lsn < this.#at
  }

  hash(): string | null {
    this.#store.refresh()
    const isSure = this.#root().idempotency.expiredUntilMs === this.#state.idempotency.expiredUntilMs
    return isSure && this.#state.lsn === this.#at ? stateHash(this.#state) : null
  }

  close(): Promise<void> {
    this.#reader?.close()
    return this.#store.close()
  }
}
