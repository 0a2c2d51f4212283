import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Transport } from '../ipc/channel.ts'
import { FileStorage } from '../journal/file-storage.ts'
import type { Environment } from '../kernel/environment.ts'
import { openLmdbStore } from '../store/lmdb-store.ts'
import { allTables } from '../tables/table-names.ts'
import type { Addresses, Surroundings } from './surroundings.ts'

export interface FileSurroundingsOptions {
  readonly environment: Environment
  readonly transport: Transport
  readonly dataDir: string
  /** UUID of the database, from its identity. */
  readonly databaseId: string
  readonly failed: (error: Error) => void
}

/** The sockets of a data directory. */
export const addressesOf = (dataDir: string): Addresses => ({
  journal: join(dataDir, 'run', 'journal.sock'),
  gateway: join(dataDir, 'run', 'gateway.sock'),
  applier: join(dataDir, 'run', 'applier.sock'),
})

/** Files of a data directory: journal segments, and the store over LMDB. */
export function fileSurroundings(options: FileSurroundingsOptions): Surroundings {
  const { environment, transport, dataDir, databaseId, failed } = options
  const path = join(dataDir, 'store')
  return {
    environment,
    transport,
    addresses: addressesOf(dataDir),
    openStorage: () => new FileStorage(join(dataDir, 'journal')),
    openStore: (access) => openLmdbStore({ path, tables: allTables, readOnly: access === 'read', environment }),
    journalId: Buffer.from(databaseId.replaceAll('-', ''), 'hex'),
    failed,
  }
}

/** Makes an empty store, so that readers find one before its writer's first transaction. */
export async function makeStore({ openStore }: Surroundings, dataDir: string): Promise<void> {
  if (!existsSync(join(dataDir, 'store'))) await openStore('write').close()
}
