import { AssertionError, assert } from '../kernel/assert.ts'
import { checkKey } from './handle-guard.ts'
import type { KeyValueEntry, KeyValueTable, RangeOptions, WriteBatch } from './key-value-store.ts'

/** What is used of one named database of lmdb-js. */
export interface LmdbDatabase {
  get(key: Buffer): Buffer | undefined
  /** One buffer for all values: its `length` is the value's, its bytes are the next read's. */
  getBinaryFast(key: Buffer): Buffer | undefined
  getRange(options: object): Iterable<KeyValueEntry>
  ensureReadTxn(): void
  put(key: Buffer, value: Buffer): unknown
  remove(key: Buffer): unknown
  clearSync(): void
  readonly db: { stat(): { readonly entryCount: number } }
}

/** Copies a value out of lmdb-js's one buffer by way of Node's pool: half the cost of a buffer of its own. */
export const copyingEncoder: { encode(value: Buffer): Buffer; decode(bytes: Buffer): Buffer } = {
  encode: (value) => value,
  decode(bytes) {
    const length = bytes.length
    const copy = Buffer.allocUnsafe(length)
    bytes.copy(copy, 0, 0, length)
    return copy
  },
}

/** What a table needs of its store. */
export interface TableHost {
  /** @throws AssertionError, CommanderError when the handle may not read now. */
  checkRead(): void
  /** What a failure of LMDB means. */
  readFailed(cause: unknown): Error
  count(operations: number): void
}

/** Entries that a range reads at once: few at first, because many ranges are stopped after their first entry. */
const pieceEntriesMin = 4
const pieceEntriesMax = 512
/** The smallest of all keys. */
const firstKey = Buffer.from([0])

export class LmdbTable implements KeyValueTable {
  private database: LmdbDatabase
  private readonly host: TableHost

  constructor(database: LmdbDatabase, host: TableHost) {
    this.database = database
    this.host = host
  }

  /** The store has made its map anew. */
  attach(database: LmdbDatabase): void {
    this.database = database
  }

  get(key: Buffer): Buffer | undefined {
    this.begin(key)
    try {
      return this.database.get(key)
    } catch (error) {
      throw this.host.readFailed(error)
    }
  }

  view(key: Buffer): Buffer | undefined {
    const bytes = this.shared(key)
    return bytes?.subarray(0, bytes.length)
  }

  has(key: Buffer): boolean {
    return this.shared(key) !== undefined
  }

  count(): number {
    this.host.checkRead()
    try {
      this.database.ensureReadTxn()
      return this.database.db.stat().entryCount
    } catch (error) {
      throw this.host.readFailed(error)
    }
  }

  range(options: RangeOptions): Iterable<KeyValueEntry> {
    this.host.checkRead()
    return { [Symbol.iterator]: () => this.entries(options) }
  }

  private begin(key: Buffer): void {
    checkKey(key)
    this.host.checkRead()
    this.host.count(1)
  }

  private shared(key: Buffer): Buffer | undefined {
    this.begin(key)
    try {
      return this.database.getBinaryFast(key)
    } catch (error) {
      throw this.host.readFailed(error)
    }
  }

  private *entries(options: RangeOptions): Generator<KeyValueEntry> {
    const reverse = options.reverse ?? false
    let from = options.from?.length === 0 ? undefined : options.from
    let to = options.to
    if (to?.length === 0) return
    let left = options.limit ?? Number.POSITIVE_INFINITY
    let pieceEntries = pieceEntriesMin
    while (left > 0) {
      const limit = Math.min(left, pieceEntries)
      const piece = this.piece(from, to, reverse, limit)
      yield* piece
      const last = piece.at(-1)
      if (last === undefined || piece.length < limit) return
      left -= limit
      pieceEntries = Math.min(pieceEntries * 4, pieceEntriesMax)
      if (reverse) to = last.key
      else from = Buffer.concat([last.key, firstKey])
    }
  }

  private piece(from: Buffer | undefined, to: Buffer | undefined, reverse: boolean, limit: number): KeyValueEntry[] {
    this.host.checkRead()
    const bounds = reverse
      ? { start: to, exclusiveStart: true, end: from ?? firstKey, inclusiveEnd: true, reverse }
      : { start: from ?? firstKey, end: to }
    const piece: KeyValueEntry[] = []
    try {
      for (const entry of this.database.getRange({ ...bounds, limit })) piece.push(entry)
    } catch (error) {
      throw this.host.readFailed(error)
    }
    this.host.count(piece.length)
    return piece
  }
}

/** The changes of one transaction, made as they come: LMDB copies key and value into its pages at once. */
export class LmdbBatch implements WriteBatch {
  /** The first failure of LMDB in this transaction. */
  failure: unknown
  operations = 0
  putBytes = 0
  private readonly databases: ReadonlyMap<string, LmdbDatabase>

  constructor(databases: ReadonlyMap<string, LmdbDatabase>) {
    this.databases = databases
  }

  get(table: string, key: Buffer): Buffer | undefined {
    checkKey(key)
    this.operations++
    try {
      return this.of(table).get(key)
    } catch (error) {
      throw this.failed(error)
    }
  }

  put(table: string, key: Buffer, value: Buffer): void {
    checkKey(key)
    this.operations++
    this.putBytes += key.length + value.length
    try {
      this.of(table).put(key, value)
    } catch (error) {
      throw this.failed(error)
    }
  }

  delete(table: string, key: Buffer): void {
    checkKey(key)
    this.operations++
    try {
      this.of(table).remove(key)
    } catch (error) {
      throw this.failed(error)
    }
  }

  clear(table: string): void {
    this.operations++
    try {
      this.of(table).clearSync()
    } catch (error) {
      throw this.failed(error)
    }
  }

  private failed(error: unknown): unknown {
    if (!(error instanceof AssertionError)) this.failure ??= error
    return error
  }

  private of(table: string): LmdbDatabase {
    const database = this.databases.get(table)
    assert(database !== undefined, `the store has no table ${table}; name it at open`)
    return database
  }
}
