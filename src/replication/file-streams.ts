import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { defaultJournalOptions, type JournalOptions } from '../journal/options.ts'
import type { Environment } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { isSqliteBusy, openLocked } from '../kernel/sqlite-adapter.ts'
import { FileMetadataStore } from './file-metadata-store.ts'
import { FileServerDisk } from './file-server-disk.ts'
import { openServerLog } from './journal-server-log.ts'
import { type LocalHost, localHost } from './local-streams.ts'

export interface FileStreamsOptions {
  readonly environment: Environment
  /** Made when missing. Each stream has a directory in it, each segment of one a journal of its own there. */
  readonly directory: string
  /** Of the journals; without a bound on their bytes. Default: those of a database. */
  readonly journal?: Partial<JournalOptions>
}

/**
 * Streams in a directory of one host, for the nodes of one process. What was acknowledged is flushed there, and survives the machine;
 * it does not survive the disk.
 *
 * @throws CommanderError `database_locked`: another process has the directory open; `journal_corrupt`, and others as of a journal server
 */
export async function openFileStreams({
  environment,
  directory,
  journal = {},
}: FileStreamsOptions): Promise<LocalHost> {
  const place = resolve(directory)
  mkdirSync(place, { recursive: true })
  const release = lock(place)
  try {
    const disk = new FileServerDisk(join(place, 'log'))
    const options = { ...defaultJournalOptions, ...journal, maxBytes: Number.MAX_SAFE_INTEGER }
    const log = await openServerLog({ disk, environment, options, serverId: 'local', clusterId: 'local' })
    const metadata = await FileMetadataStore.open({ ...environment, directory: join(place, 'metadata') })
    return localHost(
      environment,
      log,
      () => metadata,
      async () => {
        await metadata.close()
        release()
      },
    )
  } catch (error) {
    release()
    throw error
  }
}

/** Held until it is let go of, or the process dies. */
function lock(place: string): () => void {
  try {
    const held = openLocked(join(place, 'streams.lock'))
    return () => held.close()
  } catch (error) {
    throw isSqliteBusy(error) ? locked(place, error as Error) : error
  }
}

const locked = (place: string, cause: Error): CommanderError =>
  new CommanderError('database_locked', `another process has the streams in ${place} open: stop it first`, { cause })
