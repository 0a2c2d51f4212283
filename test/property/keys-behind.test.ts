import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Action, CommandReceived } from '../../src/actions/action.ts'
import { isCommanderError } from '../../src/kernel/errors.ts'
import { lsn } from '../../src/kernel/identifiers.ts'
import { KeyDeletions } from '../../src/projection-applier/key-deletions.ts'
import { forgetSavedKeys } from '../../src/state/idempotency.ts'
import { emptyRoot, type RootState, reduce } from '../../src/state/root.ts'
import { decodeRoot, encodeRoot, stateHash } from '../../src/state/snapshot.ts'
import { type MemoryStore, openMemoryStore } from '../../src/store/memory-store.ts'
import { keyLookup, putKey, WriterKeyLookup } from '../../src/tables/idempotency-keys.ts'
import { allTables } from '../../src/tables/table-names.ts'
import { RoleWorld, received, StubJournal } from '../unit/role-world.ts'
import { randomOf } from '../unit/state/random.ts'

/** Commands under few keys that expire soon and are used again; the clock is set back now and then. */
function actionsOf(random: () => number, steps: number, deletes: boolean): Action[] {
  const below = (n: number): number => Math.floor(random() * n)
  const actions: Action[] = []
  let wallMs = 1_700_000_000_000
  let expiredUntilMs = 0
  for (let step = 0; step < steps; step++) {
    wallMs += random() < 0.03 ? -below(5000) : below(300)
    const roll = random()
    if (roll < 0.8) {
      const key = { key: `k${below(12)}`, digest: Buffer.alloc(16, below(2)), ttlMs: below(4000) }
      const call = random() < 0.3 ? { session: 1, sequence: 1 + below(40), answeredBelow: 1 } : null
      const more: Partial<CommandReceived> = { receivedAtMs: wallMs, idempotencyKey: key, call }
      actions.push(received(`${below(3)}`, 'add', null, more))
    } else if (roll < 0.9) {
      expiredUntilMs = Math.max(expiredUntilMs, wallMs)
      actions.push({ type: 'idempotency-key/expired', untilMs: wallMs })
    } else if (deletes) {
      actions.push({ type: 'idempotency-key/deleted', untilMs: expiredUntilMs - below(3000) })
    }
  }
  return actions
}

/** The store as its writer fills it: what a process looks keys up in that is behind. */
class KeyStore {
  readonly #world = new RoleWorld()
  readonly store: MemoryStore = openMemoryStore({ tables: allTables, environment: this.#world.environment })
  readonly #keys = new WriterKeyLookup(this.store)
  readonly #deletions = new KeyDeletions(this.store)
  readonly state = emptyRoot({ lookup: this.#keys.lookup, keepsPayloads: false })

  apply(entry: Buffer, action: Action): number {
    let repeats = 0
    const portion = this.#deletions.portion()
    this.store.write(
      (batch) => {
        this.#keys.enter(batch)
        this.#deletions.delete(batch, portion)
        repeats = reduce(this.state, entry, 0)
        if (action.type === 'idempotency-key/deleted')
          this.#deletions.begin(batch, action.untilMs, this.state.idempotency.expiredUntilMs)
        if (action.type === 'command/received' && action.idempotencyKey !== null && repeats === 0) {
          const { key } = action.idempotencyKey
          const record = this.state.idempotency.recentKeys.get(key)
          if (record !== undefined) putKey(batch, key, record)
        }
        this.#keys.leave()
      },
      (error) => expect(error).toBeNull(),
    )
    this.#world.scheduler.settle()
    forgetSavedKeys(this.state.idempotency, this.state.lsn)
    return repeats
  }

  /** A process that starts now. */
  root(): RootState {
    return decodeRoot(encodeRoot(this.state), { lookup: keyLookup(this.store), keepsPayloads: false })
  }
}

interface Run {
  readonly entries: number
  restarts: number
}

/** A process that is `ahead` entries behind the store sees what the store saw; where it cannot, it says so and starts anew. */
function follow(actions: readonly Action[], ahead: number): Run {
  const journal = new StubJournal()
  const entries = actions.map((action) => journal.append([action]))
  const keys = new KeyStore()
  const seen = [0]
  const hashes = ['']
  let replica = emptyRoot({ lookup: keyLookup(keys.store), keepsPayloads: false })
  const run: Run = { entries: entries.length, restarts: 0 }
  for (let i = 0; i < entries.length; i++) {
    while (keys.state.lsn < Math.min(entries.length, i + ahead)) {
      const at = keys.state.lsn
      seen.push(keys.apply(entries[at] as Buffer, actions[at] as Action))
      hashes.push(stateHash(keys.state))
    }
    if (replica.lsn > i) continue
    try {
      forgetSavedKeys(replica.idempotency, lsn(keys.state.lsn))
      const repeats = reduce(replica, entries[i] as Buffer, 0)
      expect(repeats).toBe(seen[i + 1])
      expect(stateHash(replica)).toBe(hashes[i + 1])
    } catch (error) {
      if (!isCommanderError(error) || error.code !== 'stale_state') throw error
      run.restarts++
      replica = keys.root()
    }
  }
  return run
}

describe('a process that looks keys up in a store that is ahead of it', () => {
  const seeds = fc.integer({ min: 1, max: 0x7fffffff })

  it('takes every command for what the store took it for, or starts again where that can no longer be told', () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 1, max: 60 }), (seed, ahead) => {
        follow(actionsOf(randomOf(seed), 200, true), ahead)
      }),
      { numRuns: 100 },
    )
  })

  it('has nothing to start again for when it is hardly behind, however often keys expire and are used again', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        expect(follow(actionsOf(randomOf(seed), 200, true), 1).restarts).toBe(0)
      }),
      { numRuns: 50 },
    )
  })
})
