import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { createNodeIpcTransport } from '../src/ipc/node-ipc-transport-adapter.ts'
import { FileStorage } from '../src/journal/file-storage.ts'
import { openJournal } from '../src/journal/journal.ts'
import { defaultJournalOptions } from '../src/journal/options.ts'
import { lsn } from '../src/kernel/identifiers.ts'
import { createSystemEnvironment } from '../src/kernel/system-environment.ts'
import { openFileStreams } from '../src/replication/file-streams.ts'
import { openMetadataStore } from '../src/replication/open-metadata-store-adapter.ts'
import { ReplicatedStreams } from '../src/replication/replicated-streams.ts'
import type { SingleWriteJournal } from '../src/replication/single-write-journal.ts'
import { acknowledgedBy, ClusterProcesses } from './cluster.ts'
import { Quorum } from './limit/quorum.ts'
import { median } from './median.ts'

export interface AppendLatencyFigures {
  /**
   * Medians of one append after the other by the same interface, `SingleWriteJournal`: from the call until it is flushed on this
   * host, or by two of three journal servers.
   */
  readonly localP50Ms: number
  readonly replicatedP50Ms: number
  /** Without anything of the interface: bytes into a journal file, until they are flushed. */
  readonly fileP50Ms: number
  /** By three bare processes that write and flush what comes, of which two must have said so. */
  readonly bareP50Ms: number
  /** The medians of the ratios of neighbouring blocks. */
  readonly ofLocal: number
  readonly ofFile: number
  readonly ofBare: number
}

interface Appender {
  append(payload: Buffer): Promise<unknown>
  close(): Promise<void>
}

const blocks = 21
const appendsOfBlock = 100
/** Until all of their code is compiled: after some thousand appends they take half as long as at first. */
const warmupBlocks = 50
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
  const servers = 3
  return ClusterProcesses.use({ directory, nodes: [], servers }, async () => {
    const appenders: Appenders = {
      local: await localAppender(join(options.directory, 'local-appends')),
      replicated: await replicatedAppender(directory),
      file: await fileAppender(join(options.directory, 'file-appends')),
      bare: await bareAppender(join(options.directory, 'bare-appends'), servers),
    }
    try {
      for (let n = 0; n < warmupBlocks; n++) await turn(appenders)
      const turns: Turn[] = []
      for (let n = 0; n < blocks; n++) turns.push(await turn(appenders))
      const p50Ms = (name: keyof Turn): number => median(turns.map((one) => one[name]))
      const ratioTo = (name: keyof Turn): number => median(turns.map((one) => one.replicated / one[name]))
      return {
        localP50Ms: p50Ms('local'),
        replicatedP50Ms: p50Ms('replicated'),
        fileP50Ms: p50Ms('file'),
        bareP50Ms: p50Ms('bare'),
        ofLocal: ratioTo('local'),
        ofFile: ratioTo('file'),
        ofBare: ratioTo('bare'),
      }
    } finally {
      for (const one of Object.values(appenders)) await one.close()
    }
  })
}

type Appenders = Readonly<Record<'local' | 'replicated' | 'file' | 'bare', Appender>>

/** Milliseconds. */
type Turn = Readonly<Record<keyof Appenders, number>>

const turn = async ({ local, replicated, file, bare }: Appenders): Promise<Turn> => ({
  local: await medianOf(local),
  replicated: await medianOf(replicated),
  file: await medianOf(file),
  bare: await medianOf(bare),
})

async function medianOf(appender: Appender): Promise<number> {
  const tookMs: number[] = []
  for (let n = 0; n < appendsOfBlock; n++) {
    const startMs = performance.now()
    await appender.append(payload)
    tookMs.push(performance.now() - startMs)
  }
  return median(tookMs)
}

async function bareAppender(directory: string, servers: number): Promise<Appender> {
  const quorum = await Quorum.start(directory, servers, acknowledgedBy.ackQuorum)
  return { append: (bytes) => quorum.append(bytes), close: () => quorum.stop() }
}

async function fileAppender(directory: string): Promise<Appender> {
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

async function localAppender(directory: string): Promise<Appender> {
  const host = await openFileStreams({ environment, directory })
  const streams = host.node('bench')
  return streamAppender(streams, async () => {
    await streams.close()
    await host.close()
    rmSync(directory, { recursive: true, force: true })
  })
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
  return streamAppender(streams, async () => {
    await streams.close()
    await metadata.close()
  })
}

/** The lead of a stream, and a writer of it. */
async function streamAppender(streams: SingleWriteJournal, close: () => Promise<void>): Promise<Appender> {
  await streams.createStream(stream)
  await streams.campaign(stream)
  for await (const { role } of streams.observeState(stream)) if (role === 'leader') break
  const writer = await streams.openStreamWriter(stream)
  return {
    append: (bytes) => writer.append([bytes]),
    close: async () => {
      await writer.close()
      await close()
    },
  }
}
