import { CommanderError } from '../kernel/errors.ts'
import { storeFailure } from './lmdb-errors.ts'
import type { LmdbStoreOptions } from './lmdb-options.ts'
import { copyingEncoder, type LmdbDatabase } from './lmdb-table.ts'
import { mapBytesMaxDefault, readersMax, tablesMax } from './store-limits.ts'

/** What is used of the root database of lmdb-js, with two things that its types do not say. */
export interface LmdbRoot {
  openDB(options: object): LmdbDatabase | undefined
  transactionSync(run: () => void, flags: number): void
  ensureReadTxn(): void
  resetReadTxn(): void
  readerCheck(): number
  /** Of the transaction that is being made. */
  getWriteTxnId(): number
  backup(path: string, compact: boolean): Promise<void>
  close(): Promise<void>
  readonly env: {
    info(): { readonly lastPageNumber: number; readonly mapSize: number; readonly lastTxnId: number }
    stat(): { readonly pageSize: number }
  }
}

export type OpenRoot = (options: object) => LmdbRoot

/** lmdb-js's TransactionFlags.SYNCHRONOUS_COMMIT; without NO_SYNC_FLUSH, so the commit is flushed too. */
const flushedCommit = 2

/** The transaction would begin from the state before the last one, which would be lost by it: nothing was changed. */
export class SetBack extends Error {
  constructor() {
    super('another program has set the number of the last transaction back')
  }
}

/** The files of a store, open and mapped. */
export class LmdbEnvironment {
  readonly databases: ReadonlyMap<string, LmdbDatabase>
  private readonly root: LmdbRoot
  private readonly mapBytes: number
  /** Of the last transaction that is known here. */
  private lastTxnId: number

  constructor(options: LmdbStoreOptions, open: OpenRoot) {
    try {
      this.root = openRoot(options, open)
    } catch (error) {
      throw storeFailure('open', options.path, error).error
    }
    try {
      const { mapSize, lastTxnId } = this.root.env.info()
      this.mapBytes = mapSize
      this.lastTxnId = lastTxnId
      this.databases = openTables(options, this.root)
    } catch (error) {
      void this.root.close()
      throw error instanceof CommanderError ? error : storeFailure('open', options.path, error).error
    }
  }

  /**
   * All that `run` changes, or nothing when it throws. When this returns, the transaction is flushed.
   * @throws SetBack before `run`
   */
  transaction(run: () => void): void {
    this.root.transactionSync(() => {
      if (this.root.getWriteTxnId() <= this.lastTxnId) throw new SetBack()
      run()
    }, flushedCommit)
    this.lastTxnId = this.root.env.info().lastTxnId
  }

  refresh(): void {
    this.root.resetReadTxn()
  }

  /** Frees the slots of readers that were killed. */
  checkReaders(): void {
    this.root.readerCheck()
  }

  /**
   * The state of now, into a directory. On a thread of its own; writers go on. Page by page: what lmdb-js 3.5.6 compacts while it
   * copies reads well, and breaks its list of free pages once it is written to.
   */
  copy(directory: string): Promise<void> {
    return this.root.backup(directory, false)
  }

  usedBytes(): number {
    return (this.root.env.info().lastPageNumber + 1) * this.root.env.stat().pageSize
  }

  /** lmdb-js's LMDB never says that its map is full: it makes a larger one, until this environment is closed. */
  isOverLimit(): boolean {
    return this.root.env.info().mapSize > this.mapBytes
  }

  close(): void {
    void this.root.close()
  }
}

function openRoot(options: LmdbStoreOptions, open: OpenRoot): LmdbRoot {
  return open({
    path: options.path,
    noSubdir: false,
    readOnly: options.readOnly,
    encoding: 'binary',
    keyEncoding: 'binary',
    maxDbs: tablesMax,
    maxReaders: readersMax,
    mapSize: options.mapBytesMax ?? mapBytesMaxDefault,
    // flushes each commit all the same, and after a crash lets a reader that comes first see a state that was not flushed
    overlappingSync: false,
    // clearing pages costs time, and what else they may hold is this process's own memory in the database's own file
    noMemInit: true,
  })
}

function openTables(options: LmdbStoreOptions, root: LmdbRoot): ReadonlyMap<string, LmdbDatabase> {
  const databases = new Map<string, LmdbDatabase>()
  for (const name of options.tables) {
    const database = root.openDB({ name, keyEncoding: 'binary', encoder: copyingEncoder })
    if (database === undefined) {
      const what = `the store ${options.path} has no table ${name} yet`
      throw new CommanderError('not_ready', `${what}; it is made when the database of this version starts`)
    }
    databases.set(name, database)
  }
  return databases
}
