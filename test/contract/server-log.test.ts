import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defaultJournalOptions } from '../../src/journal/options.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { FileServerDisk } from '../../src/replication/file-server-disk.ts'
import { openServerLog } from '../../src/replication/journal-server-log.ts'
import { MemoryServerDisk } from '../../src/replication/memory-server-disk.ts'
import type { ServerLog } from '../../src/replication/server-log.ts'
import { serverLogContract } from './server-log-contract.ts'

const options = { ...defaultJournalOptions, segmentBytes: 1 << 20, maxBytes: Number.POSITIVE_INFINITY }
const environment = createSystemEnvironment()

serverLogContract('memory', () => {
  const disk = new MemoryServerDisk({ scheduler: environment.scheduler })
  return {
    disk,
    open: (names) => {
      disk.kill()
      return openServerLog({ disk, environment, options, serverId: 's1', clusterId: 'c1', ...names })
    },
    remove: () => {},
  }
})

serverLogContract('files', () => {
  const directory = mkdtempSync(join(tmpdir(), 'server-log-'))
  const disk = new FileServerDisk(join(directory, 'log'))
  const opened: ServerLog[] = []
  return {
    disk,
    open: async (names) => {
      const log = await openServerLog({ disk, environment, options, serverId: 's1', clusterId: 'c1', ...names })
      opened.push(log)
      return log
    },
    remove: async () => {
      for (const log of opened) await new Promise<void>((resolve) => log.close(() => resolve()))
      rmSync(directory, { recursive: true })
    },
  }
})
