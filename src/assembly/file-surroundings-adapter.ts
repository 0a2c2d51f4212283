import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { ArchiveLocation } from '../archive/open-target-adapter.ts'
import type { Transport } from '../ipc/channel.ts'
import { FileStorage } from '../journal/file-storage.ts'
import type { Environment } from '../kernel/environment.ts'
import { isCommanderError } from '../kernel/errors.ts'
import { openLmdbStore } from '../store/lmdb-store.ts'
import { allTables } from '../tables/table-names.ts'
import { streamVaultOf } from './stream-vault.ts'
import type { Addresses, Surroundings } from './surroundings.ts'

/** Of the store's map that a process keeps in memory: the rest is in the page cache of the host all the same. */
const residentBytesMax = 16_777_216

export interface FileSurroundingsOptions {
  readonly environment: Environment
  readonly transport: Transport
  readonly dataDir: string
  /** UUID of the database, from its identity. */
  readonly databaseId: string
  /** Default: none. */
  readonly archive?: ArchiveLocation | null
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
  const { environment, transport, dataDir, databaseId, archive = null, failed } = options
  const path = join(dataDir, 'store')
  return {
    environment,
    transport,
    addresses: addressesOf(dataDir),
    openStorage: () => new FileStorage(join(dataDir, 'journal')),
    openStore: (access) =>
      openLmdbStore({ path, tables: allTables, readOnly: access === 'read', environment, residentBytesMax }),
    vault: streamVaultOf(archive),
    journalId: Buffer.from(databaseId.replaceAll('-', ''), 'hex'),
    failed,
  }
}

/** What a supervised process hands over of itself. */
export interface SupervisedRole {
  readonly environment: Environment
  readonly transport: Transport
  readonly config: {
    readonly databaseId: string
    readonly config: { readonly dataDir: string; readonly archive: ArchiveLocation | null }
  }
  fail(error: unknown): never
}

export const surroundingsOf = ({ environment, transport, config, fail }: SupervisedRole): Surroundings =>
  fileSurroundings({
    environment,
    transport,
    dataDir: config.config.dataDir,
    databaseId: config.databaseId,
    archive: config.config.archive,
    failed: (error) => {
      // Being started again would not help it: it stays, follows nothing and answers nothing, until a person ends it.
      if (isCommanderError(error) && error.code === 'state_diverged' && !error.retryable)
        environment.log.error({ error }, `quarantined: ${error.message}`)
      else fail(error)
    },
  })

/** Makes an empty store, so that readers find one before its writer's first transaction. */
export async function makeStore({ openStore }: Surroundings, dataDir: string): Promise<void> {
  if (!existsSync(join(dataDir, 'store'))) await openStore('write').close()
}

/** The same, and gives a store of an older release the tables that it does not have yet. */
export async function prepareStore(surroundings: Surroundings, dataDir: string): Promise<void> {
  await makeStore(surroundings, dataDir)
  try {
    await surroundings.openStore('read').close()
  } catch (error) {
    if (!isCommanderError(error) || error.code !== 'not_ready') throw error
    await surroundings.openStore('write').close()
  }
}
