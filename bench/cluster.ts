import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { ReplicationConfig } from '../src/sdk/replication-config.ts'
import { DatabaseProcess } from './database-process.ts'

export interface ClusterOptions {
  /** Of all its processes. */
  readonly directory: string
  /** Their names. The first one leads. */
  readonly nodes: readonly string[]
  /** Journal servers, under a supervisor of their own. */
  readonly servers: number
}

const lookMs = 100
const looksMax = 300

/** Acknowledged by two of three, as by default; all on this host, and so on one disk. */
export const acknowledgedBy = { replicas: 3, ackQuorum: 2, topology: 'fanout' } as const

/** A real cluster on this host: journal servers that outlive nodes, and nodes with the bench's application. */
export class ClusterProcesses {
  readonly servers: DatabaseProcess
  readonly nodes: readonly DatabaseProcess[]

  private constructor(servers: DatabaseProcess, nodes: readonly DatabaseProcess[]) {
    this.servers = servers
    this.nodes = nodes
  }

  static async start({ directory, nodes, servers }: ClusterOptions): Promise<ClusterProcesses> {
    const common: ReplicationConfig = {
      journal: 'replicated',
      metadata: `file:${join(directory, 'metadata')}`,
      policy: acknowledgedBy,
      dev: true,
    }
    const start = (nodeId: string, more: ReplicationConfig = {}): Promise<DatabaseProcess> =>
      DatabaseProcess.start({
        dataDir: join(directory, nodeId),
        config: { replication: { ...common, nodeId, ...more } },
        ...(more.serversOnly === true ? { module: null } : {}),
      })
    const started: DatabaseProcess[] = []
    try {
      const all = await start('servers', { servers, serversOnly: true })
      started.push(all)
      // One after the other: the first one leads.
      for (const nodeId of nodes) started.push(await start(nodeId))
      return new ClusterProcesses(all, started.slice(1))
    } catch (error) {
      for (const one of started) await one.kill()
      throw error
    }
  }

  /** Starts one, and removes all of it in the end, by SIGKILL. */
  static async use<Result>(
    options: ClusterOptions,
    measure: (cluster: ClusterProcesses) => Promise<Result>,
  ): Promise<Result> {
    const cluster = await ClusterProcesses.start(options)
    try {
      return await measure(cluster)
    } finally {
      for (const one of [...cluster.nodes, cluster.servers]) await one.kill()
      rmSync(options.directory, { recursive: true, force: true })
    }
  }

  node(index: number): DatabaseProcess {
    const found = this.nodes[index]
    if (found === undefined) throw new Error(`the cluster has ${this.nodes.length} nodes`)
    return found
  }

  /** The node that leads by now, and the other ones. */
  async leader(): Promise<readonly [leader: DatabaseProcess, ...others: DatabaseProcess[]]> {
    for (let look = 0; look < looksMax; look++) {
      for (const node of this.nodes)
        if (await node.leads()) return [node, ...this.nodes.filter((other) => other !== node)]
      await pause(lookMs)
    }
    throw new Error('no node leads')
  }

  get dataDirs(): readonly string[] {
    return this.nodes.map(({ dataDir }) => dataDir)
  }
}
