import { assert } from '../kernel/assert.ts'
import type { Environment } from '../kernel/environment.ts'
import { HandleGuard } from './handle-guard.ts'
import type { KeyValueStore, KeyValueTable, StoreDone, WriteBatch } from './key-value-store.ts'
import { MemoryBatch } from './memory-batch.ts'
import { MemoryTable, memoryTableView } from './memory-table.ts'

export interface MemoryStoreOptions {
  readonly tables: readonly string[]
  readonly environment: Environment
  /** How long the next commit or flush takes. Default: until the next turn. */
  readonly commitDelayMs?: () => number
}

/**
 * The twin of the LMDB store, in memory. The object stands for the files as well as for the writing handle, so that
 * a simulated process can be killed and started again over it.
 */
export interface MemoryStore extends KeyValueStore {
  /** Another handle of the same store, as another process would open it. */
  reader(): KeyValueStore
  /** The power fails: back to the state of the last finished flush. Whatever was under way is never answered. */
  crash(): void
  /** The writing process is killed: committed transactions stay. Whatever was under way is never answered. */
  crashProcess(): void
  /** After `close`: the next process opens the store. */
  reopen(): void
}

export function openMemoryStore(options: MemoryStoreOptions): MemoryStore {
  return new MemoryFiles(options)
}

interface Undo {
  readonly table: MemoryTable
  readonly key: string
  readonly before: Buffer | undefined
}

interface Job {
  /** null: a flush. */
  readonly batch: MemoryBatch | null
  readonly done: StoreDone
}

const path = ':memory:'

class MemoryFiles implements MemoryStore {
  readonly path: string = path
  private readonly options: MemoryStoreOptions
  private readonly tables: ReadonlyMap<string, MemoryTable>
  private readonly guard = new HandleGuard(path, false)
  private readonly views: ReadonlyMap<string, KeyValueTable>
  /** Turns the committed state back into the flushed one; oldest change first. */
  private undo: Undo[] = []
  private jobs: Job[] = []
  /** Tells a job of before a crash, whose turn may still come, from those of after it. */
  private life = 0
  private busy = false

  constructor(options: MemoryStoreOptions) {
    this.options = options
    this.tables = new Map(options.tables.map((name) => [name, new MemoryTable()]))
    this.views = viewsOf(this.tables, this.guard)
  }

  table(name: string): KeyValueTable {
    return tableOf(this.views, name)
  }

  write(fill: (batch: WriteBatch) => void, done: StoreDone): void {
    this.guard.checkWrite()
    const batch = new MemoryBatch(this.options.tables, (table, key) => this.newest(table, key))
    this.guard.fill(() => fill(batch))
    this.enqueue({ batch, done })
  }

  flush(done: StoreDone): void {
    this.guard.checkWrite()
    this.enqueue({ batch: null, done })
  }

  refresh(): void {
    this.guard.checkRefresh()
  }

  snapshot<T>(read: () => T): T {
    this.guard.checkRead()
    return this.guard.snapshot(read)
  }

  async close(): Promise<void> {
    if (this.guard.isClosed) return
    await new Promise<void>((resolve) => this.flush(() => resolve()))
    this.guard.close()
  }

  reader(): KeyValueStore {
    return new MemoryReader(this.tables)
  }

  crash(): void {
    for (const { table, key, before } of this.undo.reverse()) table.replace(key, before)
    this.undo = []
    this.crashProcess()
  }

  crashProcess(): void {
    this.life++
    this.busy = false
    this.jobs = []
    this.reopen()
  }

  reopen(): void {
    this.guard.reopen()
  }

  /** With the transactions that wait for their commit, as a database with one writer would show it. */
  private newest(table: string, key: string): Buffer | undefined {
    for (let i = this.jobs.length - 1; i >= 0; i--) {
      const batch = this.jobs[i]?.batch
      if (batch?.has(table, key)) return batch.staged.get(table)?.changes.get(key)
    }
    return this.tables.get(table)?.get(key)
  }

  private enqueue(job: Job): void {
    this.jobs.push(job)
    if (!this.busy) this.startNext()
  }

  private startNext(): void {
    this.busy = true
    const life = this.life
    const finish = (): void => {
      if (life === this.life) this.finishNext()
    }
    const { scheduler } = this.options.environment
    if (this.options.commitDelayMs === undefined) scheduler.soon(finish)
    else scheduler.after(this.options.commitDelayMs(), finish)
  }

  private finishNext(): void {
    const job = this.jobs.shift()
    assert(job !== undefined, 'a job of the memory store was lost')
    if (job.batch === null) this.undo = []
    else this.commit(job.batch)
    this.busy = false
    if (this.jobs.length > 0) this.startNext()
    job.done(null)
  }

  private commit(batch: MemoryBatch): void {
    for (const [name, { cleared, changes }] of batch.staged) {
      const table = this.tables.get(name) as MemoryTable
      if (cleared) for (const key of table.texts()) this.change(table, key, undefined)
      for (const [key, value] of changes) this.change(table, key, value)
    }
  }

  private change(table: MemoryTable, key: string, value: Buffer | undefined): void {
    this.undo.push({ table, key, before: table.replace(key, value) })
  }
}

class MemoryReader implements KeyValueStore {
  readonly path: string = path
  private readonly guard = new HandleGuard(path, true)
  private readonly views: ReadonlyMap<string, KeyValueTable>

  constructor(tables: ReadonlyMap<string, MemoryTable>) {
    this.views = viewsOf(tables, this.guard)
  }

  table(name: string): KeyValueTable {
    return tableOf(this.views, name)
  }

  write(): void {
    this.guard.checkWrite()
  }

  flush(): void {
    this.guard.checkWrite()
  }

  refresh(): void {
    this.guard.checkRefresh()
  }

  snapshot<T>(read: () => T): T {
    this.guard.checkRead()
    return this.guard.snapshot(read)
  }

  async close(): Promise<void> {
    this.guard.close()
  }
}

function viewsOf(tables: ReadonlyMap<string, MemoryTable>, guard: HandleGuard): ReadonlyMap<string, KeyValueTable> {
  const views = new Map<string, KeyValueTable>()
  for (const [name, contents] of tables)
    views.set(
      name,
      memoryTableView(contents, () => guard.checkRead()),
    )
  return views
}

function tableOf(views: ReadonlyMap<string, KeyValueTable>, name: string): KeyValueTable {
  const table = views.get(name)
  assert(table !== undefined, `the store has no table ${name}; name it at open`)
  return table
}
