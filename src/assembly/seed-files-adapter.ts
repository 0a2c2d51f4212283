import { existsSync, renameSync, rmSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { copyStore } from '../backup/store-copy-adapter.ts'
import type { Environment } from '../kernel/environment.ts'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import { makeDirectory } from '../kernel/make-directory-adapter.ts'
import type { SeedSource } from '../replication/seed-protocol.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { dataFileOf } from '../store/lmdb-directory.ts'
import { openLmdbStore } from '../store/lmdb-store.ts'
import { allTables } from '../tables/table-names.ts'
import type { IncomingStore, SeedFiles } from './seed-node.ts'

const leaving = 'store-leaving'
const coming = 'store-coming'
const former = 'store-former'

/** The store of a data directory as it goes to other nodes, and as it comes from one. */
export class DataDirectorySeeds implements SeedFiles {
  readonly #dataDir: string
  readonly #environment: Environment

  /** What a process that was killed has left goes. */
  constructor(dataDir: string, environment: Environment) {
    this.#dataDir = dataDir
    this.#environment = environment
    for (const name of [leaving, coming, former]) rmSync(join(dataDir, name), { recursive: true, force: true })
  }

  async copy(): Promise<SeedSource> {
    const directory = join(this.#dataDir, leaving)
    await makeDirectory(directory)
    const copy = await copyStore(this.#dataDir, directory, this.#environment)
    return { bytes: copy.bytes, chunks: copy.open(), remove: () => copy.remove() }
  }

  async receive(): Promise<IncomingStore> {
    const path = join(this.#dataDir, coming)
    try {
      rmSync(path, { recursive: true, force: true })
      await makeDirectory(path)
      const file = await open(dataFileOf(path), 'wx', 0o600)
      return new ComingStore(this.#dataDir, path, file, this.#environment)
    } catch (error) {
      throw unwritable(path, error)
    }
  }
}

class ComingStore implements IncomingStore {
  readonly #dataDir: string
  readonly #path: string
  readonly #environment: Environment
  #file: FileHandle | null

  constructor(dataDir: string, path: string, file: FileHandle, environment: Environment) {
    this.#dataDir = dataDir
    this.#path = path
    this.#file = file
    this.#environment = environment
  }

  async write(chunk: Buffer): Promise<void> {
    try {
      await this.#file?.writeFile(chunk)
    } catch (error) {
      throw unwritable(this.#path, error)
    }
  }

  async open(): Promise<KeyValueStore> {
    try {
      await this.#file?.sync()
      await this.#close()
      await flush(this.#path)
    } catch (error) {
      throw unwritable(this.#path, error)
    }
    return openLmdbStore({ path: this.#path, tables: allTables, readOnly: true, environment: this.#environment })
  }

  /** A crash in between leaves no store, and then the node is one that never had any. */
  async install(): Promise<void> {
    const store = join(this.#dataDir, 'store')
    const aside = join(this.#dataDir, former)
    try {
      if (existsSync(store)) renameSync(store, aside)
      renameSync(this.#path, store)
      await flush(this.#dataDir)
      rmSync(aside, { recursive: true, force: true })
    } catch (error) {
      throw unwritable(store, error)
    }
  }

  async abandon(): Promise<void> {
    await this.#close()
    rmSync(this.#path, { recursive: true, force: true })
  }

  async #close(): Promise<void> {
    const file = this.#file
    this.#file = null
    await file?.close()
  }
}

async function flush(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

const unwritable = (path: string, cause: unknown): CommanderError =>
  new CommanderError(
    'store_failed',
    `cannot write the store of another node to ${path}: ${messageOf(cause)}; see to the disk, then start this node again`,
    { cause },
  )
