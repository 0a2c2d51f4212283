import { resolve } from 'node:path'
import { assert } from '../kernel/assert.ts'
import type { CommanderError } from '../kernel/errors.ts'
import { HandleGuard } from './handle-guard.ts'
import type { KeyValueStore, KeyValueTable, StoreDone, WriteBatch } from './key-value-store.ts'
import { inspectData } from './lmdb-directory.ts'
import { LmdbEnvironment, type OpenRoot, SetBack } from './lmdb-environment.ts'
import { storeFailure, storeFull } from './lmdb-errors.ts'
import { LmdbGate } from './lmdb-gate.ts'
import type { LmdbStoreOptions } from './lmdb-options.ts'
import { Residency } from './lmdb-residency.ts'
import { LmdbBatch, LmdbTable, type TableHost } from './lmdb-table.ts'
import { mapBytesMaxDefault, readerCheckMs, residentBytesMaxDefault } from './store-limits.ts'

/** Handles of this process by absolute path. LMDB maps a file once in a process, so they share one map. */
const handlesOf = new Map<string, Set<LmdbHandle>>()

/**
 * One handle of the store over LMDB. Its invariants:
 *
 * L1. A commit flushes its pages, then writes and flushes the meta page that makes them the state. So a power failure
 *     at any instant leaves the last reported commit or a later one, and the store needs no recovery of its own.
 *     That is two flushes a commit, 0.1 to 0.2 ms of processor time: little beside a batch of some thousand changes.
 *     What lmdb-js offers without them costs about the same for keys in order, less for keys in random order, and
 *     leaves a mixture of states when the power fails (bench/store.ts).
 * L2. Transactions run on the calling thread: for keys in order and for keys that are written again and again that
 *     takes less processor time in total than lmdb-js's queue and its thread, for keys in random order about the same.
 * L3. A transaction in which any call failed is aborted, even when its filler caught the failure.
 * L4. After a failed write that was not for want of room this handle writes no more, and never flushes again: the
 *     process ends, and its successor goes by what is on the medium.
 * L5. The map is let go of only in a turn of its own: never under a snapshot, a piece of a range or a transaction.
 * L6. No process opens or closes the store while another one does, or commits (lmdb-gate.ts).
 * L7. Should one do so all the same, which knows of no gate, the next transaction notices that it would undo the one before, and the
 *     store is opened anew first, which puts the number of the last transaction right.
 */
export class LmdbHandle implements KeyValueStore, TableHost {
  readonly path: string
  private readonly options: LmdbStoreOptions
  private readonly open: OpenRoot
  private readonly guard: HandleGuard
  private readonly tables = new Map<string, LmdbTable>()
  private readonly residency: Residency
  private readonly gate: LmdbGate
  private environment: LmdbEnvironment
  /** L4. */
  private failure: CommanderError | null = null
  /** The map was let go of and could not be made anew. */
  private unusable: CommanderError | null = null
  private readerCheckAtMs: number
  private remapping = false

  constructor(options: LmdbStoreOptions, open: OpenRoot) {
    this.path = resolve(options.path)
    this.options = options
    this.open = open
    this.guard = new HandleGuard(options.path, options.readOnly)
    const others = handlesOf.get(this.path) ?? new Set()
    assertOrder(options, others)
    this.inspect()
    this.gate = new LmdbGate(options.path)
    try {
      this.environment = this.openEnvironment()
    } catch (error) {
      this.gate.close()
      throw error
    }
    for (const [name, database] of this.environment.databases) this.tables.set(name, new LmdbTable(database, this))
    handlesOf.set(this.path, others.add(this))
    const { clock } = options.environment
    const residentBytesMax = options.residentBytesMax ?? residentBytesMaxDefault
    this.residency = new Residency(residentBytesMax, () => this.remapSoon())
    this.readerCheckAtMs = clock.monotonicMs() + readerCheckMs
  }

  get isReadOnly(): boolean {
    return this.guard.readOnly
  }

  table(name: string): KeyValueTable {
    const table = this.tables.get(name)
    assert(table !== undefined, `the store has no table ${name}; name it at open`)
    return table
  }

  write(fill: (batch: WriteBatch) => void, done: StoreDone): void {
    this.guard.checkWrite()
    const error = this.failure ?? this.commit(fill)
    this.options.environment.scheduler.soon(() => done(error))
  }

  flush(done: StoreDone): void {
    this.guard.checkWrite()
    const error = this.failure
    this.options.environment.scheduler.soon(() => done(error)) // L1: what is committed is flushed
  }

  refresh(): void {
    this.guard.checkRefresh()
    this.environment.refresh()
  }

  snapshot<T>(read: () => T): T {
    this.checkRead()
    return this.guard.snapshot(read)
  }

  async close(): Promise<void> {
    if (this.guard.isClosed) return
    this.guard.close()
    const others = handlesOf.get(this.path)
    others?.delete(this)
    if (others?.size === 0) handlesOf.delete(this.path)
    this.gate.hold(() => this.environment.close())
    this.gate.close()
  }

  checkRead(): void {
    this.guard.checkRead()
    if (this.unusable !== null) throw this.unusable
  }

  /** LMDB goes on with a read transaction that met damage no more, and lmdb-js leaves the cursor in it open. */
  readFailed(cause: unknown): CommanderError {
    this.environment.refresh()
    this.remapSoon()
    return storeFailure('read', this.path, cause).error
  }

  count(operations: number): void {
    this.residency.count(operations)
  }

  private commit(fill: (batch: WriteBatch) => void): CommanderError | null {
    const attempt = new Attempt(new LmdbBatch(this.environment.databases))
    try {
      this.gate.hold(() => this.transaction(attempt, fill))
    } catch (error) {
      return this.aborted(attempt, error)
    }
    this.afterCommit(attempt.batch)
    return null
  }

  /** L7. */
  private transaction(attempt: Attempt, fill: (batch: WriteBatch) => void, isAgain = false): void {
    try {
      this.environment.transaction(() => {
        attempt.fill(() => this.guard.fill(() => fill(attempt.batch)))
        attempt.isFull = attempt.batch.putBytes > 0 && this.environment.isOverLimit()
        if (attempt.isFull) throw new Error('aborted: the store is full')
      })
    } catch (error) {
      if (!(error instanceof SetBack) || isAgain) throw error
      this.options.environment.log.error({ path: this.path }, setBackText)
      this.remapAll()
      attempt.batch = new LmdbBatch(this.environment.databases)
      this.transaction(attempt, fill, true)
    }
  }

  private aborted(attempt: Attempt, error: unknown): CommanderError {
    if (attempt.batch.failure === undefined && attempt.fillFailed) throw error
    if (attempt.isFull) {
      const usedBytes = this.environment.usedBytes()
      this.remapSoon() // gives back the larger map that lmdb-js has made
      return storeFull(this.path, usedBytes, this.options.mapBytesMax ?? mapBytesMaxDefault)
    }
    const { error: failure, recoverable } = storeFailure('write', this.path, attempt.batch.failure ?? error)
    if (!recoverable) this.failure = failure // L4
    return failure
  }

  private afterCommit(batch: LmdbBatch): void {
    this.count(batch.operations)
    const nowMs = this.options.environment.clock.monotonicMs()
    if (nowMs < this.readerCheckAtMs) return
    this.readerCheckAtMs = nowMs + readerCheckMs
    this.environment.checkReaders()
  }

  /** L6. */
  private openEnvironment(): LmdbEnvironment {
    return this.gate.hold(() => new LmdbEnvironment(this.options, this.open))
  }

  private inspect(): void {
    const missingBytes = inspectData(this.path, this.guard.readOnly)
    if (missingBytes === 0) return
    const fields = { path: this.path, missingBytes }
    this.options.environment.log.warn(fields, 'the store was shorter than it says; what is missing reads as damaged')
  }

  /** L5. */
  private remapSoon(): void {
    if (this.remapping) return
    this.remapping = true
    this.options.environment.scheduler.soon(() => {
      this.remapping = false
      this.remapAll()
    })
  }

  /** All handles of the process at once, because they share the map; the writing one first. */
  private remapAll(): void {
    const handles = [...(handlesOf.get(this.path) ?? [])].sort((a, b) => Number(a.isReadOnly) - Number(b.isReadOnly))
    if (handles.length === 0) return // closed meanwhile
    this.gate.hold(() => {
      for (const handle of handles) handle.environment.close()
      for (const handle of handles) handle.remap()
    })
  }

  private remap(): void {
    try {
      this.environment = this.openEnvironment()
    } catch (error) {
      this.unusable = error as CommanderError
      this.failure = this.unusable
      return
    }
    for (const [name, database] of this.environment.databases) this.tables.get(name)?.attach(database)
    this.residency.reset()
  }
}

const setBackText =
  'another program opened the store while it was written, and so set the number of its last transaction back; that was noticed and put ' +
  'right, and nothing was lost. Open the store of a running database by CommanderDB alone, of this version'

/** What became of one transaction. */
class Attempt {
  batch: LmdbBatch
  fillFailed = false
  isFull = false

  constructor(batch: LmdbBatch) {
    this.batch = batch
  }

  fill(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.fillFailed = true
      throw error
    }
    if (this.batch.failure !== undefined) throw this.batch.failure // L3
  }
}

/** Whoever opens a file first in a process decides for all how LMDB opens it. */
function assertOrder(options: LmdbStoreOptions, others: ReadonlySet<LmdbHandle>): void {
  if (options.readOnly) return
  const writers = [...others].filter((handle) => !handle.isReadOnly).length
  assert(writers === 0, `the store ${options.path} is open for writing already in this process`)
  assert(others.size === 0, `open the writing handle of the store ${options.path} before the reading ones`)
}
