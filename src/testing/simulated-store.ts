import { assert } from '../kernel/assert.ts'
import type {
  KeyValueEntry,
  KeyValueStore,
  KeyValueTable,
  RangeOptions,
  StoreDone,
  WriteBatch,
} from '../store/key-value-store.ts'
import type { MemoryStore } from '../store/memory-store.ts'
import type { SimulatedProcess } from './simulated-process.ts'

interface Change {
  readonly table: string
  readonly key: string
  readonly before: Buffer | undefined
}

const nothing: ReadonlyMap<string, Buffer | undefined> = new Map()

/** How long a reader may go on seeing what it last read, as the interface allows. */
const staleMs = 1

/**
 * The store of a simulated host, shared by its processes. Readers show what they are allowed to show at worst: the state
 * of their last read, until it is a millisecond old or they ask for a newer one.
 */
export class SimulatedStore {
  readonly flushesCommits: boolean
  #memory: MemoryStore
  /** Of each transaction, oldest first, what was there before. */
  #history: (readonly Change[])[] = []
  #writer: SimulatedProcess | null = null

  /** @param flushesCommits as the one over LMDB: a transaction survives the power soon after it is committed. */
  constructor(memory: MemoryStore, flushesCommits: boolean) {
    this.#memory = memory
    this.flushesCommits = flushesCommits
  }

  /** Transactions committed since the last crash. */
  get version(): number {
    return this.#history.length
  }

  open(access: 'read' | 'write', process: SimulatedProcess): KeyValueStore {
    if (access === 'read') return new StaleReader(this, this.#memory.reader(), process)
    assert(this.#writer === null || !this.#writer.isAlive, 'one process writes the store')
    this.#writer = process
    this.#memory.reopen()
    return new SteppedWriter(this, this.#memory, process)
  }

  /** What the host's processes would read now. */
  now(): KeyValueStore {
    return this.#memory.reader()
  }

  /** Another one takes its place; nobody has it open. */
  replace(memory: MemoryStore): void {
    assert(this.#writer === null, 'nobody writes the store')
    this.#memory = memory
    this.#history = []
  }

  committed(changes: readonly Change[]): void {
    this.#history.push(changes)
  }

  /** What the keys changed by the transactions after `version` were then. */
  changedSince(version: number): ReadonlyMap<string, Buffer | undefined> {
    const before = new Map<string, Buffer | undefined>()
    for (let i = this.#history.length - 1; i >= version; i--) {
      for (const { table, key, before: value } of this.#history[i] as readonly Change[])
        before.set(`${table} ${key}`, value)
    }
    return before
  }

  /** The process is gone; committed transactions stay. */
  killed(process: SimulatedProcess): void {
    if (this.#writer !== process) return
    this.#writer = null
    this.#memory.crashProcess()
  }

  closed(process: SimulatedProcess): void {
    if (this.#writer === process) this.#writer = null
  }

  /** The power failed; all processes are dead. */
  crash(): void {
    this.#writer = null
    this.#history = []
    this.#memory.crash()
  }
}

class SteppedWriter implements KeyValueStore {
  readonly path: string
  readonly #shared: SimulatedStore
  readonly #memory: MemoryStore
  readonly #process: SimulatedProcess

  constructor(shared: SimulatedStore, memory: MemoryStore, process: SimulatedProcess) {
    this.#shared = shared
    this.#memory = memory
    this.#process = process
    this.path = memory.path
  }

  table(name: string): KeyValueTable {
    return this.#memory.table(name)
  }

  write(fill: (batch: WriteBatch) => void, done: StoreDone): void {
    this.#process.step()
    const changes: Change[] = []
    this.#memory.write(
      (batch) => fill(recording(batch, changes)),
      (error) => {
        if (error === null) this.#shared.committed(changes)
        this.#process.completion(() => done(error))
      },
    )
    if (this.#shared.flushesCommits) this.#memory.flush(() => {})
    this.#process.step()
  }

  flush(done: StoreDone): void {
    this.#process.step()
    this.#memory.flush((error) => this.#process.completion(() => done(error)))
  }

  refresh(): void {
    this.#memory.refresh()
  }

  snapshot<T>(read: () => T): T {
    return this.#memory.snapshot(read)
  }

  async close(): Promise<void> {
    // What a promise of a dead process goes on with must not keep its successor from writing.
    if (!this.#process.takeStep()) return new Promise(() => {})
    await this.#memory.close()
    this.#shared.closed(this.#process)
  }
}

function recording(batch: WriteBatch, changes: Change[]): WriteBatch {
  const note = (table: string, key: Buffer): void => {
    changes.push({ table, key: key.toString('latin1'), before: batch.get(table, key) })
  }
  return {
    get: (table, key) => batch.get(table, key),
    put(table, key, value) {
      note(table, key)
      batch.put(table, key, value)
    },
    delete(table, key) {
      note(table, key)
      batch.delete(table, key)
    },
    clear: (table) => assert(false, `nobody clears the whole table ${table}`),
  }
}

class StaleReader implements KeyValueStore {
  readonly path: string
  readonly #shared: SimulatedStore
  readonly #inner: KeyValueStore
  readonly #process: SimulatedProcess
  #version = -1
  #readAtMs = Number.NEGATIVE_INFINITY
  #before: ReadonlyMap<string, Buffer | undefined> = nothing
  /** The newest version that `#before` knows of. */
  #beforeAt = -1

  constructor(shared: SimulatedStore, inner: KeyValueStore, process: SimulatedProcess) {
    this.#shared = shared
    this.#inner = inner
    this.#process = process
    this.path = inner.path
  }

  table(name: string): KeyValueTable {
    const inner = this.#inner.table(name)
    const get = (key: Buffer): Buffer | undefined => {
      const before = this.#look()
      const id = `${name} ${key.toString('latin1')}`
      return before.has(id) ? before.get(id) : inner.get(key)
    }
    return {
      get,
      view: get,
      has: (key) => get(key) !== undefined,
      range: (options) => this.#range(name, inner, options),
      count: () => [...this.#range(name, inner, {})].length,
    }
  }

  write(fill: (batch: WriteBatch) => void, done: StoreDone): void {
    this.#inner.write(fill, done)
  }

  flush(done: StoreDone): void {
    this.#inner.flush(done)
  }

  refresh(): void {
    this.#inner.refresh()
    this.#version = this.#shared.version
    this.#readAtMs = this.#process.environment.clock.monotonicMs()
    this.#beforeAt = -1
  }

  snapshot<T>(read: () => T): T {
    return this.#inner.snapshot(read)
  }

  close(): Promise<void> {
    return this.#inner.close()
  }

  /** The keys whose newest value this reader does not see yet. */
  #look(): ReadonlyMap<string, Buffer | undefined> {
    const { version } = this.#shared
    const nowMs = this.#process.environment.clock.monotonicMs()
    if (this.#version < 0 || this.#version > version || nowMs - this.#readAtMs > staleMs) {
      this.#version = version
      this.#readAtMs = nowMs
      this.#beforeAt = -1
    }
    if (this.#version === version) return nothing
    if (this.#beforeAt !== version) this.#before = this.#shared.changedSince(this.#version)
    this.#beforeAt = version
    return this.#before
  }

  *#range(name: string, inner: KeyValueTable, options: RangeOptions): Generator<KeyValueEntry> {
    const before = this.#look()
    if (before.size === 0) {
      yield* inner.range(options)
      return
    }
    const { from, to, reverse = false, limit = Number.POSITIVE_INFINITY } = options
    const bounds = { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }
    const entries = [...inner.range(bounds)].filter(({ key }) => !before.has(`${name} ${key.toString('latin1')}`))
    const prefix = `${name} `
    for (const [id, value] of before) {
      if (value === undefined || !id.startsWith(prefix)) continue
      const key = Buffer.from(id.slice(prefix.length), 'latin1')
      const isInside = (from === undefined || key.compare(from) >= 0) && (to === undefined || key.compare(to) < 0)
      if (isInside) entries.push({ key, value })
    }
    entries.sort((a, b) => (reverse ? b.key.compare(a.key) : a.key.compare(b.key)))
    yield* entries.slice(0, limit)
  }
}
