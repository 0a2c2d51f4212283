import type { Action } from '../../../src/actions/action.ts'
import { type Lsn, lsn, revision, token } from '../../../src/kernel/identifiers.ts'
import { ProjectionApplier } from '../../../src/projection-applier/projection-applier.ts'
import type { Application } from '../../../src/sdk/application.ts'
import { emptyRoot, type RootState } from '../../../src/state/root.ts'
import { encodeKey } from '../../../src/store/keys.ts'
import { type MemoryStore, openMemoryStore } from '../../../src/store/memory-store.ts'
import { keyLookup, WriterKeyLookup } from '../../../src/tables/idempotency-keys.ts'
import { readPosition, readRoot } from '../../../src/tables/meta.ts'
import { allTables, tableNames } from '../../../src/tables/table-names.ts'
import { mark, RoleWorld, received, registered, StubFollower, StubJournal } from '../role-world.ts'

export type ApplierOptions = Partial<
  Pick<ConstructorParameters<typeof ProjectionApplier>[0], 'applications' | 'commitIntervalMs' | 'checkpointTimeoutMs'>
>

/** A projection applier over a store in memory, and a journal that says what is flushed when the test says so. */
export class ApplierWorld {
  readonly world = new RoleWorld()
  readonly journal = new StubJournal()
  readonly store: MemoryStore = openMemoryStore({ tables: allTables, environment: this.world.environment })
  follower: StubFollower = new StubFollower()
  applier: ProjectionApplier
  failures: Error[] = []
  /** How many of the journal's batches the applier has been handed. */
  #handed = 0
  readonly #options: ApplierOptions

  constructor(options: ApplierOptions = {}) {
    this.#options = options
    this.applier = this.#open()
  }

  #open(): ProjectionApplier {
    const keys = new WriterKeyLookup(this.store)
    const state = readRoot(this.store, { lookup: keys.lookup, keepsPayloads: true })
    this.follower = new StubFollower()
    const applier = new ProjectionApplier({
      environment: this.world.environment,
      store: this.store,
      applications: [],
      origin: 3,
      state,
      keys,
      reset: (error) => this.failures.push(error),
      failed: (error) => this.failures.push(error),
      ...this.#options,
    })
    applier.start(this.follower.asFollower)
    applier.connected()
    this.#handed = this.journal.batches.findIndex(({ firstLsn }) => firstLsn > state.lsn)
    if (this.#handed < 0) this.#handed = this.journal.batches.length
    return applier
  }

  /** The process is killed and another one takes its place, perhaps with other application code. */
  restart({ applications, hands = true }: { applications?: readonly Application[]; hands?: boolean } = {}): void {
    this.applier.stop()
    this.store.crashProcess()
    if (applications !== undefined) Object.assign(this.#options, { applications })
    this.applier = this.#open()
    if (hands) this.hand()
  }

  append(...actions: Action[]): Lsn {
    const first = lsn(this.journal.written + 1)
    this.journal.append(actions)
    this.hand()
    return first
  }

  /** What the applier has not been handed yet. */
  hand(): void {
    for (const { payload, firstLsn, lastLsn } of this.journal.batches.slice(this.#handed)) {
      this.applier.apply(payload, 0, firstLsn, lastLsn)
      this.#handed++
    }
  }

  /** Everything so far is flushed, or up to an LSN, and what that leads to happens. */
  flush(upTo: Lsn = this.journal.written): void {
    this.applier.watermark(mark(this.journal.written, upTo, readPosition(this.store).applied))
    this.settle()
  }

  settle(): void {
    for (let i = 0; i < 20; i++) this.world.scheduler.advance(100)
  }

  get position(): { readonly applied: number; readonly globalPosition: number } {
    return readPosition(this.store)
  }

  /** The state that a child would start from now. */
  root(): RootState {
    return readRoot(this.store, { lookup: keyLookup(this.store), keepsPayloads: true })
  }

  hasRoot(): boolean {
    return this.store.table(tableNames.meta).get(encodeKey('root')) !== undefined
  }
}

/** The events of one command on `counter/id`, with everything that comes before. */
export class Counters {
  readonly #db: ApplierWorld
  readonly #revisions = new Map<string, number>()

  constructor(db: ApplierWorld) {
    this.#db = db
    db.append(registered('test-1'))
  }

  /** Appends a command that is completed with an event for each amount. Returns its LSN. */
  add(id: string, ...amounts: number[]): Lsn {
    const command = this.#db.append(received(id))
    const release = this.#db.append({ type: 'command/started', instance: 'test-1', commands: [command] })
    const base = this.#revisions.get(id) ?? 0
    const last = base + amounts.length
    this.#db.append({
      type: 'command/completed',
      command,
      aggregate: { type: 'counter', id },
      release: token(release),
      atMs: 1_700_000_000_000,
      baseRevision: revision(base),
      eventsVersion: 1,
      events: amounts.map((amount) => ({ type: 'added', data: { amount } })),
      latestEvent: last === 0 ? null : { revision: revision(last), type: amounts.length === 0 ? null : 'added' },
      idempotencyKey: 'none',
      snapshot: null,
    })
    this.#revisions.set(id, last)
    return command
  }
}

export const emptyState = (): RootState => emptyRoot({ lookup: () => undefined, keepsPayloads: true })
