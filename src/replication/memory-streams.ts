import { defaultJournalOptions } from '../journal/options.ts'
import type { Environment } from '../kernel/environment.ts'
import { openServerLog } from './journal-server-log.ts'
import { type LocalHost, localHost } from './local-streams.ts'
import { MemoryMetadata } from './memory-metadata-store.ts'
import { MemoryServerDisk } from './memory-server-disk.ts'

const options = { ...defaultJournalOptions, segmentBytes: 1 << 20, maxBytes: Number.MAX_SAFE_INTEGER }

/** Streams that go with the process: for tests, and for trying an application. */
export async function openMemoryStreams(environment: Environment): Promise<LocalHost> {
  const metadata = new MemoryMetadata(environment)
  const disk = new MemoryServerDisk({ scheduler: environment.scheduler })
  const log = await openServerLog({ disk, environment, options, serverId: 'local', clusterId: 'local' })
  return localHost(
    environment,
    log,
    () => metadata.open(),
    async () => {},
  )
}
