import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock, systemRandom, wakefulScheduler } from '../../../src/kernel/system-environment.ts'
import type { MetadataStore } from '../../../src/replication/metadata-store.ts'
import { openMetadataStore } from '../../../src/replication/open-metadata-store-adapter.ts'
import { EtcdWorld } from '../../contract/etcd-world.ts'
import { type Leadership, leaderOf } from '../../process/cluster-world.ts'
import { ServerProcess } from '../../process/journal-server-process.ts'
import { fixtureApplication, RunningDatabase } from '../../process/running-database.ts'
import { NodeClients } from './node-clients.ts'

export const serverIds = ['s1', 's2', 's3'] as const
export type ServerName = (typeof serverIds)[number]

const etcdMembers = 3
const systemEnvironment = { clock: systemClock, scheduler: wakefulScheduler, random: systemRandom }

/**
 * Two nodes, three journal servers and the metadata store, in processes of their own that nobody starts again but the test. Small
 * segments, so that leaders often go on to another one.
 */
export class TorturedCluster {
  readonly nodes: readonly [RunningDatabase, RunningDatabase]
  readonly metadata: string
  /** Null where a directory is the metadata store. */
  readonly etcd: EtcdWorld | null
  readonly #directory = mkdtempSync(join(tmpdir(), 'cluster-'))
  readonly #servers = new Map<string, ServerProcess>()
  readonly clients: NodeClients

  static async withEtcd(): Promise<TorturedCluster> {
    return new TorturedCluster(await EtcdWorld.start(etcdMembers))
  }

  /** @param checkpointTimeoutMs after a checkpoint sealed segments may go, if no node that is there needs them */
  constructor(etcd: EtcdWorld | null = null, checkpointTimeoutMs?: number) {
    this.etcd = etcd
    this.metadata = etcd === null ? `file:${join(this.#directory, 'metadata')}` : `etcd://${etcd.endpoints.join()}`
    const nodeOf = (nodeId: string): RunningDatabase =>
      new RunningDatabase({
        applications: [{ module: fixtureApplication('ledger') }],
        journal: {
          segmentBytes: 1 << 20,
          attestIntervalMs: 300,
          ...(checkpointTimeoutMs === undefined ? {} : { checkpointTimeoutMs }),
        },
        replication: { journal: 'replicated', metadata: this.metadata, dev: true, nodeId },
      })
    this.nodes = [nodeOf('a'), nodeOf('b')]
    this.clients = new NodeClients(this.nodes)
  }

  async start(): Promise<void> {
    await Promise.all(serverIds.map((id) => this.startServer(id)))
    for (const node of this.nodes) node.launch()
    await this.whole()
  }

  /** Resolves when all nodes take part. */
  async whole(): Promise<Leadership> {
    for (const node of this.nodes) await node.ready()
    return this.leader()
  }

  leader(afterEpoch: number = 0): Promise<Leadership> {
    return leaderOf(this.nodes, afterEpoch)
  }

  /** Holds what a journal server has. */
  directoryOf(id: string): string {
    return join(this.#directory, id)
  }

  addressOf(id: string): string {
    return join(this.directoryOf(id), 'run', 'server.sock')
  }

  server(id: string): ServerProcess {
    return this.#servers.get(id) as ServerProcess
  }

  /** Resolves when it serves, or has ended because it may not. */
  async startServer(id: string): Promise<ServerProcess> {
    const directory = this.directoryOf(id)
    mkdirSync(directory, { recursive: true })
    const listen = this.addressOf(id)
    const server = await ServerProcess.start({ directory, serverId: id, listen, metadata: this.metadata })
    this.#servers.set(id, server)
    return server
  }

  /** The metadata store, as an operator's program opens it. */
  async withMetadata<Value>(use: (store: MetadataStore) => Promise<Value>): Promise<Value> {
    const store = await openMetadataStore(this.metadata, systemEnvironment)
    try {
      return await use(store)
    } finally {
      await store.close()
    }
  }

  async remove(): Promise<void> {
    await this.clients.close()
    for (const node of this.nodes) await node.remove()
    for (const server of this.#servers.values()) await server.kill()
    await this.etcd?.stop()
    if (process.env['TEST_KEEP'] === undefined) rmSync(this.#directory, { recursive: true, force: true })
  }
}
