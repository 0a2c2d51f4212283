import fs from 'node:fs'
import path from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import { isSqliteBusy, loadSqlite } from '../kernel/sqlite-adapter.ts'

const gateFile = 'gate.lock'
/** Longer than any transaction. Milliseconds. */
const patienceMs = 60_000
/** Between two tries. */
const pauseMs = 0.5
const sleeper = new Int32Array(new SharedArrayBuffer(4))

interface SharedGate {
  /** null: nobody can write there, and so nobody does. */
  readonly database: DatabaseSync | null
  handles: number
  /** Holds within each other. */
  depth: number
}

/** Of this process, by absolute path of the store. */
const gates = new Map<string, SharedGate>()

/**
 * A lock among all processes that have a store: who opens or closes it holds the gate meanwhile, and its writer for each transaction.
 *
 * For LMDB does not keep these apart. `mdb_env_open2` (LMDB 1.0 as of lmdb-js 3.5.6, also when it opens for reading only) puts the
 * number of the last transaction into the lock file that all share, as it had found it in the data file a moment before. After a commit in
 * between, the next transaction begins from the state before that commit, which so is lost without a word, and until then readers
 * take a state whose pages are being written anew. And `mdb_env_close` destroys the locks in that file, when it is the last one to have it
 * open, under the hands of somebody who is about to open it.
 *
 * It is SQLite's exclusive file lock, that is a POSIX fcntl lock: the kernel frees it the moment its process dies. Nothing is ever
 * written to the file, and nothing else may open it in this process (observability/process-lock-adapter.ts).
 */
export class LmdbGate {
  private readonly storePath: string
  private readonly shared: SharedGate
  private isClosed = false

  /** @param directory of a store that is there. @throws CommanderError `store_failed` */
  constructor(directory: string) {
    this.storePath = path.resolve(directory)
    this.shared = gates.get(this.storePath) ?? { database: openGate(this.storePath), handles: 0, depth: 0 }
    this.shared.handles++
    gates.set(this.storePath, this.shared)
  }

  /**
   * Runs while no other process opens the store, closes it or commits to it.
   * @throws CommanderError `store_failed`: one of them has held the gate for a minute, and nothing has run
   */
  hold<Result>(run: () => Result): Result {
    const { shared } = this
    if (shared.database === null || shared.depth > 0) return run()
    this.enter(shared.database)
    shared.depth++
    try {
      return run()
    } finally {
      shared.depth--
      shared.database.exec('ROLLBACK')
    }
  }

  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    if (--this.shared.handles > 0) return
    gates.delete(this.storePath)
    this.shared.database?.close()
  }

  /** SQLite's own waiting sleeps for up to 100 ms at a time, in which a writer without pauses lets nobody in. */
  private enter(database: DatabaseSync): void {
    for (let waitedMs = 0; ; waitedMs += pauseMs) {
      try {
        database.exec('PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE')
        return
      } catch (error) {
        if (!isSqliteBusy(error)) throw unusable(this.storePath, error)
        if (waitedMs >= patienceMs) throw heldForLong(this.storePath, error)
        Atomics.wait(sleeper, 0, 0, pauseMs)
      }
    }
  }
}

function openGate(storePath: string): DatabaseSync | null {
  try {
    fs.accessSync(storePath, fs.constants.W_OK)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EROFS') return null
  }
  const { DatabaseSync } = loadSqlite()
  try {
    return new DatabaseSync(path.join(storePath, gateFile))
  } catch (error) {
    throw unusable(storePath, error)
  }
}

function heldForLong(storePath: string, cause: unknown): CommanderError {
  const what = `another process has been opening or writing the store ${storePath} for ${patienceMs / 1000} s`
  return new CommanderError('store_failed', `${what}: is one of this database stopped?`, { cause, retryable: true })
}

function unusable(storePath: string, cause: unknown): CommanderError {
  const what = `cannot lock ${path.join(storePath, gateFile)}: ${messageOf(cause)}`
  return new CommanderError('store_failed', `${what}; let this user write there`, { cause })
}
