import { createReadStream, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { Environment } from '../kernel/environment.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { dataFileOf } from '../store/lmdb-directory.ts'
import { copyLmdbStore, openLmdbStore } from '../store/lmdb-store.ts'
import { allTables } from '../tables/table-names.ts'

/** A copy of a store that stands still. */
export interface StoreCopy {
  readonly store: KeyValueStore
  /** Of its data file. */
  readonly bytes: number
  /** Its data file. */
  open(): Readable
  remove(): Promise<void>
}

/** @param directory a place for the copy alone: it is removed with it. */
export async function copyStore(dataDir: string, directory: string, environment: Environment): Promise<StoreCopy> {
  const path = join(directory, 'store')
  const options = { tables: allTables, environment }
  try {
    await copyLmdbStore({ ...options, path: join(dataDir, 'store') }, path)
    const store = openLmdbStore({ ...options, path, readOnly: true })
    const file = dataFileOf(path)
    return {
      store,
      bytes: statSync(file).size,
      open: () => createReadStream(file, { highWaterMark: 262_144 }),
      async remove() {
        await store.close()
        rmSync(directory, { recursive: true, force: true })
      },
    }
  } catch (error) {
    rmSync(directory, { recursive: true, force: true })
    throw error
  }
}
