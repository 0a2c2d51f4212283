import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Authority } from '../fixtures/certificates.ts'
import { NodeClients } from '../torture/cluster/node-clients.ts'
import { type Leadership, leaderOf } from './cluster-world.ts'
import { ServerProcess } from './journal-server-process.ts'
import { NetworkNamespaces } from './network-namespaces.ts'
import { fixtureApplication, RunningDatabase } from './running-database.ts'

const nodes = ['a', 'b'] as const
const servers = ['s1', 's2', 's3'] as const
const port = 7500

/** A cluster in which each process has a host of its own, over TCP with certificates; clients are on the host of each node. */
export class PartitionedCluster {
  readonly network = new NetworkNamespaces([...nodes, ...servers, 'etcd'])
  readonly nodes: readonly [RunningDatabase, RunningDatabase]
  readonly clients: NodeClients
  readonly #directory = mkdtempSync(join(tmpdir(), 'partitioned-'))
  readonly #authority: Authority
  readonly #metadata = `etcd://${this.network.addressOf('etcd')}:2379`
  readonly #servers: ServerProcess[] = []
  #etcd: ChildProcess | null = null

  constructor() {
    const certificates = join(this.#directory, 'certificates')
    mkdirSync(certificates)
    this.#authority = new Authority(certificates)
    const nodeOf = (nodeId: string): RunningDatabase => {
      const listen = `${this.network.addressOf(nodeId)}:${port}`
      // Members of a group share the disk of this machine.
      const replication = { nodeId, listen, tls: this.#tls(nodeId), metadata: this.#metadata, dev: true } as const
      return new RunningDatabase(
        {
          applications: [{ module: fixtureApplication('ledger') }],
          replication: { journal: 'replicated', ...replication },
        },
        undefined,
        {},
        this.network.within(nodeId),
      )
    }
    this.nodes = [nodeOf('a'), nodeOf('b')]
    this.clients = new NodeClients(this.nodes)
  }

  async start(): Promise<void> {
    await this.#startEtcd()
    for (const serverId of servers) {
      const directory = join(this.#directory, serverId)
      mkdirSync(directory)
      const listen = `tls://${this.network.addressOf(serverId)}:${port}`
      const within = this.network.within(serverId)
      const options = { directory, serverId, listen, metadata: this.#metadata, tls: this.#tls(serverId), within }
      this.#servers.push(await ServerProcess.start(options))
    }
    for (const node of this.nodes) node.launch()
    for (const node of this.nodes) await node.ready()
  }

  leader(): Promise<Leadership> {
    return leaderOf(this.nodes)
  }

  nameOf(node: RunningDatabase): string {
    return nodes[this.nodes.indexOf(node)] ?? ''
  }

  async remove(): Promise<void> {
    await this.clients.close()
    for (const node of this.nodes) await node.remove()
    for (const server of this.#servers) await server.kill()
    if (this.#etcd?.kill('SIGKILL') === true) await once(this.#etcd, 'exit')
    this.network.remove()
    rmSync(this.#directory, { recursive: true, force: true })
  }

  #tls(name: string): { readonly ca: string; readonly cert: string; readonly key: string } {
    return this.#authority.files(name, 2, this.network.addressOf(name))
  }

  /** Resolves when it serves its clients. */
  async #startEtcd(): Promise<void> {
    const at = this.network.addressOf('etcd')
    const [clients, peers] = [`http://${at}:2379`, `http://${at}:2380`]
    const [program = '', ...args] = [
      ...[...this.network.within('etcd'), 'etcd', '--name', 'm', '--data-dir', join(this.#directory, 'etcd')],
      ...['--listen-client-urls', clients, '--advertise-client-urls', clients, '--initial-cluster', `m=${peers}`],
      ...['--listen-peer-urls', peers, '--initial-advertise-peer-urls', peers],
      ...['--logger', 'zap', '--log-outputs', 'stderr'],
    ]
    const etcd = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#etcd = etcd
    let said = ''
    await new Promise<void>((resolve, reject) => {
      etcd.stderr.on('data', (chunk: Buffer) => {
        said = (said + chunk.toString()).slice(-100_000)
        if (said.includes('client traffic')) resolve()
      })
      etcd.once('error', reject)
      etcd.once('exit', () => reject(new Error(`etcd ended: ${said}`)))
    })
  }
}
