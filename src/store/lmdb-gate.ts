import path from 'node:path'
import type { LmdbRoot, OpenRoot } from './lmdb-environment.ts'
import { storeFailure } from './lmdb-errors.ts'

const gateFile = 'gate.mdb'
const gateBytes = 1_048_576
/** lmdb-js's TransactionFlags.SYNCHRONOUS_COMMIT: the transaction is this thread's from its beginning to its end. */
const ownThread = 2
/** EROFS. */
const readOnlyFileSystem = 30

interface SharedGate {
  /** null: nobody can write there, and so nobody does. */
  readonly root: LmdbRoot | null
  holders: number
}

/** Of this process, by absolute path of the store: lmdb-js maps a file once in a process. */
const gates = new Map<string, SharedGate>()

/**
 * A lock among all processes that have a store: who opens it holds the gate meanwhile, and its writer for each transaction.
 *
 * For LMDB does not keep these two apart. `mdb_env_open2` (LMDB 1.0 as of lmdb-js 3.5.6, also when it opens for reading only) puts the
 * number of the last transaction into the lock file that all share, as it had found it in the data file a moment before. After a commit in
 * between, the next transaction begins from the state before that commit, which so is lost without a word, and until then readers
 * take a state whose pages are being written anew.
 *
 * The lock is the one that LMDB's writers have among themselves, of a file in which nothing is ever written: to wait for it costs
 * nothing, and LMDB gives it to the next one when its holder dies.
 */
export class LmdbGate {
  private readonly storePath: string
  private readonly shared: SharedGate
  private isClosed = false

  /** @param directory of a store that is there */
  constructor(directory: string, open: OpenRoot) {
    this.storePath = path.resolve(directory)
    this.shared = gates.get(this.storePath) ?? openGate(this.storePath, open)
    this.shared.holders++
    gates.set(this.storePath, this.shared)
  }

  /** Runs while no other process opens the store or commits to it. Within itself it just runs. */
  hold<Result>(run: () => Result): Result {
    const { root } = this.shared
    return root === null ? run() : root.transactionSync(run, ownThread)
  }

  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    if (--this.shared.holders > 0) return
    gates.delete(this.storePath)
    void this.shared.root?.close()
  }
}

/** @throws CommanderError `store_failed` */
function openGate(storePath: string, open: OpenRoot): SharedGate {
  const file = path.join(storePath, gateFile)
  try {
    const root = open({ path: file, noSubdir: true, mapSize: gateBytes, maxDbs: 1, overlappingSync: false })
    return { root, holders: 0 }
  } catch (error) {
    if ((error as { code?: unknown }).code === readOnlyFileSystem) return { root: null, holders: 0 }
    throw storeFailure('open', file, error).error
  }
}
