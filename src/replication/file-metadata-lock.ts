import type { DatabaseSync } from 'node:sqlite'
import type { Clock, Random, Scheduler } from '../kernel/environment.ts'
import { isSqliteBusy, loadSqlite } from '../kernel/sqlite-adapter.ts'

export interface LockWorld {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
}

/** Another process holds the lock for longer than anybody waits. */
export class LockBusy extends Error {}

/** Between two tries, at most. */
const pauseMs = 4

/**
 * A lock among the processes of a host, held for the moment of a change. It is SQLite's exclusive file lock, that is a POSIX
 * fcntl lock: the kernel frees it the moment its process dies. Nothing is ever written to the file. See
 * observability/process-lock-adapter.ts: nothing else may open it.
 */
export class FileMetadataLock {
  readonly #world: LockWorld
  readonly #database: DatabaseSync
  /** Of this connection one after the other; among connections SQLite judges, also within one process. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(path: string, world: LockWorld) {
    this.#world = world
    const { DatabaseSync } = loadSqlite()
    this.#database = new DatabaseSync(path)
  }

  /**
   * Runs alone among all processes.
   * @throws LockBusy after `patienceMs`, and nothing has run
   */
  hold<Result>(patienceMs: number, run: () => Promise<Result>): Promise<Result> {
    const turn = this.#turn.then(async () => {
      await this.#acquire(this.#world.clock.monotonicMs() + patienceMs)
      try {
        return await run()
      } finally {
        this.#database.exec('ROLLBACK')
      }
    })
    this.#turn = turn.catch(() => {})
    return turn
  }

  /** After what is under way. */
  async close(): Promise<void> {
    await this.#turn
    if (this.#database.isOpen) this.#database.close()
  }

  async #acquire(untilMs: number): Promise<void> {
    const { clock, scheduler, random } = this.#world
    while (!this.#tryAcquire()) {
      if (clock.monotonicMs() >= untilMs) throw new LockBusy('another process holds the lock and does not let go of it')
      const delayMs = 1 + (random.uint32() / 2 ** 32) * (pauseMs - 1)
      await new Promise<void>((resolve) => scheduler.after(delayMs, resolve))
    }
  }

  #tryAcquire(): boolean {
    try {
      // The rollback journal, of which there is none as long as nothing is written, would stay in memory.
      this.#database.exec('PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE')
      return true
    } catch (error) {
      if (isSqliteBusy(error)) return false
      throw error
    }
  }
}
