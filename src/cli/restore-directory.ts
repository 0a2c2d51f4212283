import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import { makeDirectoryNow } from '../kernel/make-directory-adapter.ts'
import { lockDatabase, type ProcessLock } from '../observability/process-lock-adapter.ts'
import { type DatabaseIdentity, writeIdentity } from '../store/identity-adapter.ts'

/** Where a database is built before it has its name. */
export interface RestoreDirectory {
  readonly path: string
  /** It is whole: gives it its name, durably. */
  finish(identity: DatabaseIdentity, beginning: { readonly name: string; readonly bytes: Buffer }): void
  /** Removes everything. Idempotent; nothing once it is finished. */
  abandon(): void
}

const suffix = '.restoring'

/**
 * Beside the directory that it will be, under another name: what a crash leaves is no database, and the next try removes it.
 * @throws CommanderError `foreign_database` where the directory is not absent or empty; `database_locked` while another
 * process restores to it
 */
export function directoryBeside(dataDir: string): RestoreDirectory {
  const final = resolve(dataDir)
  mustBeFree(final)
  const path = final + suffix
  mustBeOurs(path)
  return attempt(path, () => {
    const firstMade = makeDirectoryNow(path)
    const lock = lockDatabase(path, 'database')
    for (const name of readdirSync(path)) if (name !== 'run') rmSync(join(path, name), { recursive: true, force: true })
    return new Building(path, final, lock, firstMade ?? path)
  })
}

/** For a restore that only shows that it can be done. TMPDIR says where. */
export function scratchDirectory(): RestoreDirectory {
  const path = attempt(tmpdir(), () => mkdtempSync(join(tmpdir(), 'commanderdb-drill-')))
  return {
    path,
    finish: () => {},
    abandon: () => rmSync(path, { recursive: true, force: true }),
  }
}

class Building implements RestoreDirectory {
  readonly path: string
  readonly #final: string
  readonly #lock: ProcessLock
  /** It, or the highest of the directories above it that were not there. */
  readonly #firstMade: string
  #isOver = false

  constructor(path: string, final: string, lock: ProcessLock, firstMade: string) {
    this.path = path
    this.#final = final
    this.#lock = lock
    this.#firstMade = firstMade
  }

  finish(identity: DatabaseIdentity, beginning: { readonly name: string; readonly bytes: Buffer }): void {
    attempt(this.path, () => {
      rmSync(join(this.path, 'segments'), { recursive: true, force: true })
      const file = join(this.path, beginning.name)
      makeDirectoryNow(dirname(file))
      writeFileSync(file, beginning.bytes, { mode: 0o600, flush: true })
      for (const name of ['journal', 'store', 'timelines', '.']) flush(join(this.path, name))
      writeIdentity(this.path, identity)
      this.#lock.release()
      rmSync(join(this.path, 'run'), { recursive: true, force: true })
      mustBeFree(this.#final)
      renameSync(this.path, this.#final)
      this.#isOver = true
      flush(dirname(this.#final))
    })
  }

  abandon(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#lock.release()
    rmSync(this.path, { recursive: true, force: true })
    this.#removeAbove()
  }

  /** As far as nobody else uses them. */
  #removeAbove(): void {
    for (let at = this.path; at !== this.#firstMade; ) {
      at = dirname(at)
      try {
        rmdirSync(at)
      } catch {
        return
      }
    }
  }
}

/** What an earlier try has left is removed, and has its lock directory; anything else of that name stays. */
function mustBeOurs(path: string): void {
  if (!existsSync(path)) return
  const names = attempt(path, () => (statSync(path).isDirectory() ? readdirSync(path) : [basename(path)]))
  const [first] = names
  if (first === undefined || names.includes('run')) return
  throw new CommanderError(
    'foreign_database',
    `${path} is needed to restore, and was not made by a restore (there is ${first}): move it away, or restore to another directory`,
    { details: { directory: path } },
  )
}

function mustBeFree(directory: string): void {
  if (!existsSync(directory)) return
  const [first] = attempt(directory, () =>
    statSync(directory).isDirectory() ? readdirSync(directory) : [basename(directory)],
  )
  if (first === undefined) return
  throw new CommanderError(
    'foreign_database',
    `${directory} is not empty (there is ${first}): a database is restored to a directory that is absent or empty; name another`,
    { details: { directory } },
  )
}

function attempt<Result>(path: string, run: () => Result): Result {
  try {
    return run()
  } catch (error) {
    if (error instanceof CommanderError) throw error
    throw unusable(path, error)
  }
}

const unusable = (path: string, cause: unknown): CommanderError =>
  new CommanderError('store_failed', `cannot restore to ${path}: ${messageOf(cause)}`, { cause })

function flush(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
