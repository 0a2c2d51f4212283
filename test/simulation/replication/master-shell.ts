import { newMaster, stepMaster } from '../../../src/replication/master.ts'
import type { MasterEvent, MasterState } from '../../../src/replication/master-state.ts'
import type { Cluster } from './cluster.ts'
import type { NodeShell } from './node-shell.ts'
import { type ServerShell, stream } from './server-shell.ts'
import { Process } from './world.ts'

const serversMost = 12

/** The master with its orchestrator: who is asked for a server starts one after a while. */
export class MasterShell extends Process {
  readonly #cluster: Cluster
  #state: MasterState

  constructor(cluster: Cluster) {
    super(cluster.world, 'master', cluster.plan.clockDrift)
    this.#cluster = cluster
    this.#state = this.#new()
    this.isUp = cluster.plan.hasMaster
    if (this.isUp) this.#begin()
  }

  #new(): MasterState {
    const { leaseMs, policy } = this.#cluster.plan
    const options = {
      leaseMs,
      leaderSilenceMs: leaseMs,
      silenceMs: leaseMs,
      policy,
      spares: { min: 0, max: 3, host: null },
      mayShareDevice: false,
    }
    return newMaster(options, this.nowMs)
  }

  #begin(): void {
    this.every(100, () => this.#step({ kind: 'tick', nowMs: this.nowMs }))
    this.every(200, () => this.#cluster.metadata.read(this, ({ meta }) => this.#step({ kind: 'metaSeen', meta })))
  }

  crash(): void {
    if (!this.isUp) return
    this.isUp = false
    this.life++
  }

  start(): void {
    if (this.isUp) return
    this.isUp = true
    this.#state = this.#new()
    this.#begin()
  }

  serverHeard({ id, disk }: ServerShell): void {
    const bytes = disk.segments.size
    const from = this.#cluster.servers.get(id) as ServerShell
    this.#cluster.network.send(from, this, () => this.#step({ kind: 'serverHeard', id, host: id, device: id, bytes }))
  }

  nodeHeard(node: NodeShell): void {
    if (!this.isUp) return
    const { id, me, follower } = node
    const ends = new Map([[stream, follower.applied]])
    this.#cluster.network.send(node, this, () =>
      this.#step({ kind: 'nodeHeard', id, incarnation: me.incarnation, ends }),
    )
  }

  #step(event: MasterEvent): void {
    const { state, effects } = stepMaster(this.#state, event)
    this.#state = state
    for (const effect of effects) {
      if (effect.do === 'suggest') {
        this.world.note(this.name, `suggests ${effect.suggestion.leader ?? effect.suggestion.group?.join()}`)
        this.#cluster.metadata.suggest(this, effect.suggestion)
      } else if (effect.do === 'provision') {
        for (let i = 0; i < effect.count; i++)
          this.world.after(300, () => this.#cluster.servers.size < serversMost && this.#cluster.addServer())
      }
      // A server that is given back is one that nobody uses: here it goes on, unused.
    }
  }
}
