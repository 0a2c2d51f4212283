import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { createNodeIpcTransport } from '../src/ipc/node-ipc-transport-adapter.ts'
import { FileStorage } from '../src/journal/file-storage.ts'
import { openJournal } from '../src/journal/journal.ts'
import { defaultJournalOptions } from '../src/journal/options.ts'
import { lsn } from '../src/kernel/identifiers.ts'
import { createSystemEnvironment } from '../src/kernel/system-environment.ts'
import { openMetadataStore } from '../src/replication/open-metadata-store-adapter.ts'
import { ReplicatedStreams } from '../src/replication/replicated-streams.ts'
import { acknowledgedBy, ClusterProcesses } from './cluster.ts'
import { median } from './median.ts'

export interface AppendLatencyFigures {
  /** Of one append after the other: from the call until it is flushed here, or by two of three journal servers. Medians. */
  readonly localP50Ms: number
  readonly replicatedP50Ms: number
  /** The median of the ratios of neighbouring blocks. */
  readonly ratio: number
}

interface Appender {
  append(payload: Buffer): Promise<unknown>
  close(): Promise<void>
}

const blocks = 9
const appendsOfBlock = 60
/** About what the entries of one command take. */
const payload = Buffer.alloc(512, 7)
const stream = 'appends'
const environment = createSystemEnvironment()

/** The journals alone, by turns, without a database around them. */
export async function measureAppendLatency(options: {
  readonly directory: string
  readonly progress: (text: string) => void
}): Promise<AppendLatencyFigures> {
  options.progress('latency of an append')
  const directory = join(options.directory, 'appends')
  return ClusterProcesses.use({ directory, nodes: [], servers: 3 }, async () => {
    const local = await localAppender(join(options.directory, 'local-appends'))
    const replicated = await replicatedAppender(directory)
    try {
      await medianOf(local)
      await medianOf(replicated)
      const pairs: [number, number][] = []
      for (let n = 0; n < blocks; n++) pairs.push([await medianOf(local), await medianOf(replicated)])
      return {
        localP50Ms: median(pairs.map(([one]) => one)),
        replicatedP50Ms: median(pairs.map(([, other]) => other)),
        ratio: median(pairs.map(([one, other]) => other / one)),
      }
    } finally {
      await local.close()
      await replicated.close()
    }
  })
}

async function medianOf(appender: Appender): Promise<number> {
  const tookMs: number[] = []
  for (let n = 0; n < appendsOfBlock; n++) {
    const startMs = performance.now()
    await appender.append(payload)
    tookMs.push(performance.now() - startMs)
  }
  return median(tookMs)
}

async function localAppender(directory: string): Promise<Appender> {
  const id = Buffer.alloc(16, 1)
  const request = { journalId: id, serverId: id, floorLsn: lsn(0), replayFrom: lsn(1), options: defaultJournalOptions }
  const { journal } = await openJournal({ ...request, storage: new FileStorage(directory), environment })
  return {
    append: (bytes) =>
      new Promise((resolve, reject) => {
        journal.append(bytes, lsn(journal.writtenLsn + 1), 1, journal.flushedLsn)
        journal.flush((_flushed, error) => (error === null ? resolve(null) : reject(error)))
      }),
    close: async () => {
      await new Promise<void>((resolve) => journal.close(() => resolve()))
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

async function replicatedAppender(directory: string): Promise<Appender> {
  const metadata = await openMetadataStore(`file:${join(directory, 'metadata')}`, environment)
  const streams = await ReplicatedStreams.open({
    environment,
    metadata,
    transport: createNodeIpcTransport(environment),
    me: { id: 'bench', incarnation: 'bench', address: join(directory, 'bench.sock') },
    policy: acknowledgedBy,
    mayShareDevice: true,
  })
  await streams.createStream(stream)
  await streams.campaign(stream)
  for await (const { role } of streams.observeState(stream)) if (role === 'leader') break
  const writer = await streams.openStreamWriter(stream)
  return {
    append: (bytes) => writer.append([bytes]),
    close: async () => {
      await writer.close()
      await streams.close()
      await metadata.close()
    },
  }
}
