import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Channel, ChannelHandlers, Listener, Transport } from '../../src/ipc/channel.ts'
import { createMemoryTransport, type MemoryTransport } from '../../src/ipc/memory-transport.ts'
import { defaultJournalOptions } from '../../src/journal/options.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { ClusterRegistry } from '../../src/replication/cluster-registry.ts'
import { FileServerDisk } from '../../src/replication/file-server-disk.ts'
import { openServerLog } from '../../src/replication/journal-server-log.ts'
import { JournalServerShell } from '../../src/replication/journal-server-shell.ts'
import { MemoryMetadata } from '../../src/replication/memory-metadata-store.ts'
import type { MetadataStore } from '../../src/replication/metadata-store.ts'
import { ReplicatedStreams } from '../../src/replication/replicated-streams.ts'
import type { ReplicationPolicy } from '../../src/replication/replication-policy.ts'
import type { ServerLog } from '../../src/replication/server-log.ts'
import type { SingleWriteJournal } from '../../src/replication/single-write-journal.ts'
import { CutMetadata } from './cut-metadata.ts'
import type { JournalWorld } from './single-write-journal-contract.ts'

const environment = createSystemEnvironment()
const leaseMs = 600
const policyDefault = { replicas: 3, ackQuorum: 2, topology: 'fanout' } as const
const clusterId = 'contract'
const journal = { ...defaultJournalOptions, segmentBytes: 1 << 20, initZero: false, maxBytes: Number.MAX_SAFE_INTEGER }

/** Of one node: it reaches nobody for as long as a test says so. */
class CutTransport implements Transport {
  readonly #network: MemoryTransport
  readonly #inner: Transport
  readonly #channels = new Set<Channel>()
  #isCut = false

  constructor(network: MemoryTransport) {
    this.#network = network
    this.#inner = network.endpoint(environment)
  }

  listen(address: string, accept: (channel: Channel) => ChannelHandlers): Promise<Listener> {
    return this.#inner.listen(address, accept)
  }

  connect(address: string, open: (channel: Channel) => ChannelHandlers): void {
    this.#inner.connect(this.#isCut ? 'nowhere' : address, (channel) => {
      this.#channels.add(channel)
      return open(channel)
    })
  }

  cut(): void {
    this.#isCut = true
    for (const channel of this.#channels) this.#network.sever(channel)
    this.#channels.clear()
  }

  heal(): void {
    this.#isCut = false
  }
}

export interface RunningServer {
  readonly id: string
  readonly log: ServerLog
  stop(): Promise<void>
}

/** Three journal servers over real files, and nodes that reach them by a network of memory. */
export class ReplicatedWorld implements JournalWorld {
  readonly network: MemoryTransport = createMemoryTransport(environment)
  readonly metadata: MetadataStore
  readonly registry: ClusterRegistry
  readonly servers: RunningServer[] = []
  readonly #directory: string
  readonly #nodes: ReplicatedStreams[] = []
  readonly #cuts = new Map<SingleWriteJournal, () => () => void>()

  private constructor(directory: string, metadata: MetadataStore) {
    this.#directory = directory
    this.metadata = metadata
    this.registry = new ClusterRegistry(metadata, environment)
  }

  static async open(servers = 3): Promise<ReplicatedWorld> {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'replicated-streams-'))
    const world = new ReplicatedWorld(directory, new MemoryMetadata(environment).open())
    for (let n = 1; n <= servers; n++) await world.startServer(`s${n}`)
    return world
  }

  async startServer(id: string): Promise<RunningServer> {
    const disk = new FileServerDisk(path.join(this.#directory, id))
    const log = await openServerLog({ disk, environment, options: journal, serverId: id, clusterId })
    const transport = this.network.endpoint(environment)
    const failed = (error: Error): void => {
      throw error
    }
    const shell = new JournalServerShell({ log, environment, transport, failed, readWaitMs: 200 })
    const listener = await transport.listen(id, shell.accept)
    const { identity } = log.identity
    await this.registry.register({ id, identity, clusterId, address: id, host: id, device: 'disk' })
    const stop = async (): Promise<void> => {
      shell.stop()
      await listener.close()
      await new Promise<void>((resolve) => log.close(() => resolve()))
      this.servers.splice(this.servers.indexOf(server), 1)
    }
    const server = { id, log, stop }
    this.servers.push(server)
    return server
  }

  /** The directory of a server that is stopped: its disk is lost. */
  wipe(id: string): void {
    fs.rmSync(path.join(this.#directory, id), { recursive: true })
  }

  async node(
    id: string,
    more: { readonly metadata?: MetadataStore; readonly policy?: ReplicationPolicy } = {},
  ): Promise<ReplicatedStreams> {
    const metadata = new CutMetadata(more.metadata ?? this.metadata)
    const transport = new CutTransport(this.network)
    const me = { id, incarnation: environment.random.uuid(), address: `node ${id}` }
    const { policy = policyDefault } = more
    const options = { environment, metadata, transport, me, policy, leaseMs, payloadBytesMax: 1 << 19 }
    const node = await ReplicatedStreams.open(options)
    this.#nodes.push(node)
    this.#cuts.set(node, () => {
      metadata.cut()
      transport.cut()
      return () => {
        transport.heal()
        metadata.heal()
      }
    })
    return node
  }

  cutOff(node: SingleWriteJournal): () => void {
    return (this.#cuts.get(node) as () => () => void)()
  }

  async close(node: SingleWriteJournal): Promise<void> {
    await (node as ReplicatedStreams).close()
  }

  async remove(): Promise<void> {
    for (const node of this.#nodes) await node.close()
    for (const server of [...this.servers]) await server.stop()
    await this.metadata.close()
    fs.rmSync(this.#directory, { recursive: true })
  }
}
