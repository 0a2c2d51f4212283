import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type Database } from '../../src/client.ts'
import type { ProcessResources } from '../../src/sdk/config.ts'
import type { ReplicationConfig } from '../../src/sdk/replication-config.ts'
import type { DatabaseStatus } from '../../src/supervisor/control-protocol.ts'
import { RunningDatabase, type TestConfig, until } from './running-database.ts'

const bank = join(import.meta.dirname, '..', '..', 'src', 'examples', 'bank', 'bank.ts')

/** Two nodes, and three journal servers under a supervisor of their own, so that they outlive any node. */
export class ClusterWorld {
  /** For what nodes share. */
  readonly directory: string = mkdtempSync(join(tmpdir(), 'cluster-'))
  readonly metadata: string = `file:${join(this.directory, 'metadata')}`
  readonly servers: RunningDatabase
  readonly nodes: readonly [RunningDatabase, RunningDatabase]
  readonly #others: RunningDatabase[] = []
  readonly #clients: Database[] = []
  readonly #nodeOf: (nodeId: string) => RunningDatabase

  /**
   * @param config of the nodes; paths in it are below `directory`
   * @param resourcesOf all processes of a node but its journal writer
   */
  constructor(
    more: Partial<ReplicationConfig> = {},
    config: TestConfig = {},
    resourcesOf: (nodeId: string) => ProcessResources = () => ({}),
  ) {
    const common = { journal: 'replicated', metadata: this.metadata, dev: true, ...more } as const
    const { archive } = config
    const shared =
      archive !== undefined && 'directory' in archive
        ? { archive: { directory: join(this.directory, archive.directory) } }
        : {}
    this.#nodeOf = (nodeId) => {
      const resources = resourcesOf(nodeId)
      return new RunningDatabase({
        applications: [{ module: bank, resources }],
        processes: { dispatcher: resources, projectionApplier: resources, gateway: resources },
        ...config,
        ...shared,
        replication: { ...common, nodeId },
      })
    }
    this.servers = new RunningDatabase({ replication: { ...common, nodeId: 's', servers: 3, serversOnly: true } })
    this.nodes = [this.#nodeOf('a'), this.#nodeOf('b')]
  }

  /** A third one, not started. */
  another(nodeId: string): RunningDatabase {
    const node = this.#nodeOf(nodeId)
    this.#others.push(node)
    return node
  }

  async start(): Promise<void> {
    await this.servers.start()
    await this.nodes[0].start()
    await this.leader()
    await this.nodes[1].start()
  }

  leader(afterEpoch: number = 0): Promise<Leadership> {
    return leaderOf(this.nodes, afterEpoch)
  }

  /** A client that knows both nodes. */
  async connect(): Promise<Database> {
    const client = await connect({ dataDir: this.nodes.map(({ dataDir }) => dataDir), timeoutMs: 120_000 })
    this.#clients.push(client)
    return client
  }

  /** A client over HTTP that knows both nodes, and asks that one first; they need `http` in their config. */
  async connectHttp(first: RunningDatabase): Promise<Database> {
    const nodes = [first, ...this.nodes.filter((node) => node !== first)]
    const url = await Promise.all(
      nodes.map((node) => until('the URL of a node', async () => (await node.status())?.url)),
    )
    const client = await connect({ url, timeoutMs: 120_000 })
    this.#clients.push(client)
    return client
  }

  async remove(): Promise<void> {
    for (const client of this.#clients) await client.close()
    for (const database of [...this.#others, ...this.nodes, this.servers]) await database.remove()
    rmSync(this.directory, { recursive: true, force: true })
  }
}

export interface Leadership {
  readonly leader: RunningDatabase
  readonly follower: RunningDatabase
  readonly epoch: number
}

/** The node that leads, once one does under a later epoch than that one, and the one that does not. */
export function leaderOf(
  nodes: readonly [RunningDatabase, RunningDatabase],
  afterEpoch: number = 0,
): Promise<Leadership> {
  return until('a leader', async () => {
    const states = await Promise.all(nodes.map((node) => node.status()))
    // One that stands still is said to lead by its supervisor for as long.
    const found = states.findIndex((status) => leads(status) && epochOf(status) > afterEpoch)
    const [leader, follower] = [nodes[found], nodes[1 - found]]
    if (leader === undefined || follower === undefined) return null
    return { leader, follower, epoch: epochOf(states[found]) }
  })
}

/** Resolves when the node follows another one, or leads anew: on a busy host leases run out of themselves. */
export async function takesPartAfter(node: RunningDatabase, epoch: number): Promise<void> {
  await until('a former leader to take part again', async () => {
    const status = await node.status()
    return status?.ready === true && epochOf(status) > epoch
  })
}

const epochOf = (status: DatabaseStatus | null | undefined): number => status?.replication?.epoch ?? 0

const leads = (status: DatabaseStatus | null | undefined): boolean => status?.ready === true && status.role === 'leader'

/** Callers that deposit one cent after the other, each into an account of its own, and count what was acknowledged. */
export class Deposits {
  readonly acknowledged: number[]
  readonly #client: Database
  readonly #callers: Promise<void>[]
  #isOver = false

  constructor(client: Database, callers = 8) {
    this.#client = client
    this.acknowledged = Array.from({ length: callers }, () => 0)
    this.#callers = this.acknowledged.map((_, caller) => this.#deposit(caller))
  }

  /** Resolves once so many more were acknowledged. */
  async more(count: number): Promise<void> {
    const target = this.total + count
    await until(`${count} more deposits`, () => this.total >= target)
  }

  get total(): number {
    return this.acknowledged.reduce((sum, one) => sum + one, 0)
  }

  async end(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#callers)
  }

  /** What each account holds: exactly what was acknowledged. */
  async balances(): Promise<number[]> {
    const states = await Promise.all(this.acknowledged.map((_, caller) => this.#client.read('account', `${caller}`)))
    return states.map(({ state }) => (state as { balanceCents: number }).balanceCents)
  }

  async #deposit(caller: number): Promise<void> {
    while (!this.#isOver) {
      await this.#client.execute('account', `${caller}`, 'deposit', { amountCents: 1 })
      this.acknowledged[caller] = (this.acknowledged[caller] ?? 0) + 1
    }
  }
}
