import { lengthOf, padded } from '../../src/actions/entry-layout.ts'
import type { Environment } from '../../src/kernel/environment.ts'
import { type Lsn, noLsn } from '../../src/kernel/identifiers.ts'
import { ProjectionRunner } from '../../src/projection-applier/projection-runner.ts'
import { TableWriter } from '../../src/projection-applier/table-writer.ts'
import type { Application } from '../../src/sdk/application.ts'
import { emptyRoot, type RootState } from '../../src/state/root.ts'
import { type MemoryStore, openMemoryStore } from '../../src/store/memory-store.ts'
import { WriterKeyLookup } from '../../src/tables/idempotency-keys.ts'
import { putPosition } from '../../src/tables/meta.ts'
import { allTables } from '../../src/tables/table-names.ts'
import type { ManualScheduler } from './ipc/manual-scheduler.ts'
import type { StubJournal } from './role-world.ts'

/** A store whose tables are filled from a journal when the test says so, each call in one transaction. */
export class FilledStore {
  readonly store: MemoryStore
  readonly state: RootState
  applied: Lsn = noLsn
  readonly #scheduler: ManualScheduler
  readonly #keys: WriterKeyLookup
  readonly #writer: TableWriter

  constructor(environment: Environment, scheduler: ManualScheduler, applications: readonly Application[] = []) {
    this.#scheduler = scheduler
    this.store = openMemoryStore({ tables: allTables, environment })
    this.#keys = new WriterKeyLookup(this.store)
    this.state = emptyRoot({ lookup: this.#keys.lookup, keepsPayloads: true })
    this.#writer = new TableWriter(
      { state: this.state, store: this.store },
      new ProjectionRunner(this.store, applications, environment.log),
      1,
    )
  }

  /** Applies what the journal has after what was applied before, up to an entry that ends one of its batches. */
  fill(journal: StubJournal, upTo: Lsn = journal.written): void {
    const batches = journal.batches.filter(({ firstLsn, lastLsn }) => firstLsn > this.applied && lastLsn <= upTo)
    const expired = this.#writer.keys.portion()
    this.store.write(
      (batch) => {
        this.#keys.enter(batch)
        this.#writer.keys.delete(batch, expired)
        for (const { payload } of batches) for (const o of entriesOf(payload)) this.#writer.apply(batch, payload, o)
        this.#writer.finish(batch)
        putPosition(batch, { applied: upTo, globalPosition: this.state.globalPosition })
        this.#keys.leave()
      },
      (error) => {
        if (error !== null) throw error
      },
    )
    this.#scheduler.settle()
    this.applied = upTo
  }

  /** One transaction of clearing away what a migration that is over has left. @returns false when nothing is left */
  clear(): boolean {
    const slice = this.#writer.clearing()
    if (slice === null) return false
    this.store.write(
      (batch) => this.#writer.clear(batch, slice),
      (error) => {
        if (error !== null) throw error
      },
    )
    this.#scheduler.settle()
    return true
  }
}

function* entriesOf(payload: Buffer): Generator<number> {
  for (let o = 0; o < payload.length; o += padded(lengthOf(payload, o))) yield o
}
