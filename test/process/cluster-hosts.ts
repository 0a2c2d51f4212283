import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type Database } from '../../src/client.ts'
import { createNodeIpcTransport } from '../../src/ipc/node-ipc-transport-adapter.ts'
import { createRoutedTransport } from '../../src/ipc/routed-transport.ts'
import { createTlsTransport, readTlsIdentity } from '../../src/ipc/tls-transport-adapter.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { ClusterOperator } from '../../src/replication/cluster-operator.ts'
import type { ClusterOverview } from '../../src/replication/cluster-overview.ts'
import { openMetadataStore } from '../../src/replication/open-metadata-store-adapter.ts'
import type { ReplicationConfig } from '../../src/sdk/replication-config.ts'
import { CommandLine, jsonOf, type Result } from './command-line.ts'
import { RunningDatabase, until } from './running-database.ts'

const bank = join(import.meta.dirname, '..', '..', 'src', 'examples', 'bank', 'bank.ts')

/** Hosts of one cluster, each a supervisor with its children, and the command line that operates it. */
export class ClusterHosts {
  readonly cli: CommandLine = new CommandLine()
  readonly directory: string = mkdtempSync(join(tmpdir(), 'cluster-'))
  readonly #common: Partial<ReplicationConfig>
  readonly #hosts: RunningDatabase[] = []
  readonly #clients: Database[] = []

  constructor(common: Partial<ReplicationConfig>) {
    this.#common = { metadata: `file:${join(this.directory, 'metadata')}`, ...common }
  }

  get metadata(): string {
    return this.#common.metadata as string
  }

  /** With a database. */
  node(nodeId: string, more: Partial<ReplicationConfig> = {}): RunningDatabase {
    return this.#host([{ module: bank }], { nodeId, ...more })
  }

  /** With journal servers only. */
  servers(nodeId: string, servers: number, more: Partial<ReplicationConfig> = {}): RunningDatabase {
    return this.#host([], { nodeId, servers, serversOnly: true, ...more })
  }

  #host(applications: readonly { readonly module: string }[], more: Partial<ReplicationConfig>): RunningDatabase {
    const replication = { ...this.#common, journal: 'replicated' as const, ...more }
    const host = new RunningDatabase({ applications, replication })
    this.#hosts.push(host)
    return host
  }

  /** `commanderdb cluster …` by the data directory of a host. */
  run(host: RunningDatabase, ...args: readonly string[]): Promise<Result> {
    return this.cli.run('cluster', ...args, '--data-dir', host.dataDir, '--json')
  }

  async json<Value>(host: RunningDatabase, ...args: readonly string[]): Promise<Value> {
    return jsonOf<Value>(await this.run(host, ...args))
  }

  /** What `cluster status` says, without a process for it. */
  async status(): Promise<ClusterOverview> {
    const environment = createSystemEnvironment()
    const sockets = createNodeIpcTransport(environment)
    const identity = this.#common.tls === undefined ? null : readTlsIdentity(this.#common.tls)
    const transport = createRoutedTransport(sockets, createTlsTransport(environment, identity))
    const metadata = await openMetadataStore(this.metadata, environment)
    const options = { environment, metadata, transport, stream: 'database', timeoutMs: 60_000 }
    const operator = new ClusterOperator(options)
    try {
      return await operator.overview()
    } finally {
      operator.close()
      await metadata.close()
    }
  }

  /** The first status of which this is so. */
  until(what: string, is: (overview: ClusterOverview) => boolean): Promise<ClusterOverview> {
    return until(what, async () => {
      const overview = await this.status().catch(() => null)
      return overview !== null && is(overview) ? overview : null
    })
  }

  async connect(...nodes: readonly RunningDatabase[]): Promise<Database> {
    const client = await connect({ dataDir: nodes.map(({ dataDir }) => dataDir), timeoutMs: 120_000 })
    this.#clients.push(client)
    return client
  }

  async remove(): Promise<void> {
    for (const client of this.#clients) await client.close()
    for (const host of this.#hosts.reverse()) await host.remove()
    await this.cli.remove()
    rmSync(this.directory, { recursive: true, force: true })
  }
}

/** What the command line said of an error, with `--json`. */
export interface Failure {
  readonly exitCode: number | null
  readonly code: string
  readonly message: string
}

/** Also of a verb that takes no `--json`. */
export function failureOf({ exitCode, stderr }: Result): Failure {
  if (!stderr.startsWith('{')) return { exitCode, code: '', message: stderr }
  const { error } = JSON.parse(stderr) as { readonly error: Failure }
  return { exitCode, code: error.code, message: error.message }
}
