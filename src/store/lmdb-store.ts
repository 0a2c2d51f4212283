import fs from 'node:fs'
import { type Database, open, type RootDatabase } from 'lmdb'
import { assert } from '../kernel/assert.ts'
import type { Environment } from '../kernel/environment.ts'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import { checkKey, HandleGuard } from './handle-guard.ts'
import type {
  KeyValueEntry,
  KeyValueStore,
  KeyValueTable,
  RangeOptions,
  StoreDone,
  WriteBatch,
} from './key-value-store.ts'

export interface LmdbStoreOptions {
  /** Directory of the store; the writer makes it when its parent is there. */
  readonly path: string
  readonly tables: readonly string[]
  readonly readOnly: boolean
  readonly mapBytesMax?: number
  readonly environment: Environment
}

export function openLmdbStore(options: LmdbStoreOptions): KeyValueStore {
  if (options.readOnly && !fs.existsSync(options.path)) {
    throw new CommanderError('store_failed', `there is no store at ${options.path}: start the database first`)
  }
  return new LmdbStore(options)
}

type Table = Database<Buffer, Buffer>

/** Copies out of the one buffer into which lmdb-js reads every value, by way of Node's pool. */
const copying = {
  encode: (value: Buffer): Buffer => value,
  decode: (bytes: Buffer): Buffer => copyOf(bytes, bytes.length),
}

function copyOf(bytes: Buffer, length: number): Buffer {
  const copy = Buffer.allocUnsafe(length)
  bytes.copy(copy, 0, 0, length)
  return copy
}

/** Entries that a range reads at once: few at first, because many ranges are stopped after their first entry. */
const pieceEntriesMin = 16
const pieceEntriesMax = 512

/** The smallest of all keys. */
const firstKey = Buffer.from([0])

class LmdbStore implements KeyValueStore {
  readonly path: string
  private readonly environment: Environment
  private readonly guard: HandleGuard
  private readonly root: RootDatabase<Buffer, Buffer>
  private readonly databases = new Map<string, Table>()
  private readonly tables = new Map<string, KeyValueTable>()

  constructor(options: LmdbStoreOptions) {
    this.path = options.path
    this.environment = options.environment
    this.guard = new HandleGuard(options.path, options.readOnly)
    this.root = open<Buffer, Buffer>({
      path: options.path,
      noSubdir: false,
      readOnly: options.readOnly,
      encoding: 'binary',
      keyEncoding: 'binary',
      maxDbs: 64,
      maxReaders: 256,
      mapSize: options.mapBytesMax ?? 64 * 2 ** 30,
      overlappingSync: false,
      noMemInit: true,
    })
    for (const name of options.tables) {
      const database = this.root.openDB<Buffer, Buffer>({ name, keyEncoding: 'binary', encoder: copying } as never)
      this.databases.set(name, database)
      this.tables.set(name, new LmdbTable(database, this.guard))
    }
  }

  table(name: string): KeyValueTable {
    const table = this.tables.get(name)
    assert(table !== undefined, `the store has no table ${name}; name it at open`)
    return table
  }

  write(fill: (batch: WriteBatch) => void, done: StoreDone): void {
    this.guard.checkWrite()
    let thrown: unknown
    let error: CommanderError | null = null
    try {
      this.root.transactionSync(() => {
        try {
          this.guard.fill(() => fill(new LmdbBatch(this.databases)))
        } catch (caught) {
          thrown = caught
          throw caught
        }
      })
    } catch (caught) {
      if (thrown !== undefined) throw thrown
      error = new CommanderError('store_failed', `cannot write the store ${this.path}: ${messageOf(caught)}`)
    }
    this.environment.scheduler.soon(() => done(error))
  }

  flush(done: StoreDone): void {
    this.guard.checkWrite()
    this.environment.scheduler.soon(() => done(null))
  }

  refresh(): void {
    this.guard.checkRefresh()
    this.root.resetReadTxn()
  }

  snapshot<T>(read: () => T): T {
    this.guard.checkRead()
    return this.guard.snapshot(read)
  }

  async close(): Promise<void> {
    if (this.guard.isClosed) return
    this.guard.close()
    await this.root.close()
  }
}

class LmdbBatch implements WriteBatch {
  private readonly databases: ReadonlyMap<string, Table>

  constructor(databases: ReadonlyMap<string, Table>) {
    this.databases = databases
  }

  get(table: string, key: Buffer): Buffer | undefined {
    return this.of(table).get(key)
  }

  put(table: string, key: Buffer, value: Buffer): void {
    checkKey(key)
    this.of(table).put(key, value)
  }

  delete(table: string, key: Buffer): void {
    checkKey(key)
    this.of(table).remove(key)
  }

  clear(table: string): void {
    this.of(table).clearSync()
  }

  private of(table: string): Table {
    const database = this.databases.get(table)
    assert(database !== undefined, `the store has no table ${table}; name it at open`)
    return database
  }
}

class LmdbTable implements KeyValueTable {
  private readonly database: Table
  private readonly guard: HandleGuard

  constructor(database: Table, guard: HandleGuard) {
    this.database = database
    this.guard = guard
  }

  get(key: Buffer): Buffer | undefined {
    this.guard.checkRead()
    return this.database.get(key)
  }

  view(key: Buffer): Buffer | undefined {
    this.guard.checkRead()
    const bytes = this.database.getBinaryFast(key) as Buffer | undefined
    return bytes?.subarray(0, bytes.length)
  }

  has(key: Buffer): boolean {
    this.guard.checkRead()
    return this.database.getBinaryFast(key) !== undefined
  }

  range(options: RangeOptions): Iterable<KeyValueEntry> {
    this.guard.checkRead()
    return { [Symbol.iterator]: () => this.pieces(options) }
  }

  private *pieces(options: RangeOptions): Generator<KeyValueEntry> {
    const reverse = options.reverse ?? false
    let { from, to } = options
    let left = options.limit ?? Number.POSITIVE_INFINITY
    let pieceEntries = pieceEntriesMin
    while (left > 0) {
      const limit = Math.min(left, pieceEntries)
      const piece = this.piece(from, to, reverse, limit)
      yield* piece
      const last = piece.at(-1)
      if (last === undefined || piece.length < limit) return
      left -= limit
      pieceEntries = Math.min(pieceEntries * 2, pieceEntriesMax)
      if (reverse) to = last.key
      else from = Buffer.concat([last.key, firstKey])
    }
  }

  count(): number {
    this.guard.checkRead()
    return (this.database.getStats() as { entryCount: number }).entryCount
  }

  private piece(from: Buffer | undefined, to: Buffer | undefined, reverse: boolean, limit: number): KeyValueEntry[] {
    this.guard.checkRead()
    const bounds = reverse
      ? { start: to, exclusiveStart: true, end: from ?? firstKey, inclusiveEnd: true, reverse }
      : { start: from ?? firstKey, end: to }
    const entries: KeyValueEntry[] = []
    for (const entry of this.database.getRange({ ...bounds, limit } as object)) entries.push(entry)
    return entries
  }
}
