import { lsn } from '../../../src/kernel/identifiers.ts'
import type { Member, ServerRequest } from '../../../src/replication/messages.ts'
import { chooseGroup } from '../../../src/replication/placement.ts'
import { newStreamMeta } from '../../../src/replication/stream-meta.ts'
import { SeededRandom } from '../../../src/testing/seeded-random.ts'
import { MasterShell } from './master-shell.ts'
import { Metadata } from './metadata.ts'
import { type NodeShell as Node, NodeShell } from './node-shell.ts'
import type { Plan } from './plan.ts'
import { type Receiver, ServerShell, stream } from './server-shell.ts'
import { Truth } from './truth.ts'
import { Network, World } from './world.ts'

/** Everything there is, and who knows whom. */
export class Cluster {
  readonly plan: Plan
  readonly world: World
  readonly truth = new Truth()
  readonly network: Network
  readonly metadata: Metadata
  readonly master: MasterShell
  readonly servers = new Map<string, ServerShell>()
  readonly nodes = new Map<string, Node>()
  alarms = 0

  constructor(plan: Plan, print: ((line: string) => void) | null) {
    this.plan = plan
    this.world = new World(new SeededRandom(plan.seed), print)
    this.truth.hasArchive = plan.hasArchive
    this.network = new Network(this.world, plan.network)
    this.metadata = new Metadata(this.world, this.network, this.truth, plan, newStreamMeta(stream))
    this.master = new MasterShell(this)
    for (let i = 1; i <= plan.servers; i++) this.addServer()
    for (let i = 1; i <= plan.nodes; i++) this.nodes.set(`node${i}`, new NodeShell(this, `node${i}`))
  }

  addServer(): ServerShell {
    const server = new ServerShell(this, `server${this.servers.size + 1}`)
    this.servers.set(server.id, server)
    this.truth.registry.set(server.id, { id: server.id, identity: server.disk.identity, address: server.id })
    return server
  }

  /** Hints: who places a segment guesses who is alive, and whom it reaches. */
  usable(from = ''): readonly Member[] {
    return [...this.servers.values()].flatMap((server) => {
      const isUsable = server.isUsable && !this.network.isCut(from, server.name)
      const member = isUsable ? this.truth.registry.get(server.id) : undefined
      return member === undefined ? [] : [member]
    })
  }

  chooseGroup(present: readonly string[], from = ''): readonly Member[] {
    const { replicas } = this.plan.policy
    const { random } = this.world
    const candidates = [...this.servers.values()].map((server) => ({
      id: server.id,
      host: server.id,
      device: server.id,
      isAlive: server.isUsable && !this.network.isCut(from, server.name),
      segments: random.integer(0, 3),
      bytes: 0,
    }))
    const group = chooseGroup(candidates, replicas, present, false) ?? [...this.servers.keys()].slice(-replicas)
    return group.map((id) => this.truth.registry.get(id) as Member)
  }

  send(from: Receiver, to: ServerShell, request: ServerRequest): void {
    this.network.send(from, to, () => to.receive(from, request))
  }

  receiver(name: string): Receiver | undefined {
    return this.nodes.get(name) ?? this.servers.get(name)
  }

  get leader(): Node | undefined {
    return [...this.nodes.values()].filter(({ isServing }) => isServing).sort((a, b) => epochOf(b) - epochOf(a))[0]
  }

  alarm(who: string, what: string): void {
    this.alarms++
    this.world.note(who, `alarm: ${what}`)
    this.truth.check(
      !/holds something else|another digest|ends at|begins elsewhere|malformed/.test(what),
      `I2: ${what}`,
    )
  }

  /** A follower wants to read what was acknowledged before. */
  linearizable(reader: Node): void {
    if (!this.world.random.chance(0.3)) return
    // Whoever is said to lead, or anybody who thinks so.
    const serving = [...this.nodes.values()].filter(({ isServing }) => isServing)
    const known = this.nodes.get(reader.seen.meta.leader?.id ?? '')
    const to = serving.length === 0 || this.world.random.chance(0.5) ? known : this.world.random.pick(serving)
    if (to === undefined) return
    const { acknowledged } = this.truth
    const { life } = reader
    this.network.send(reader, to, () =>
      to.tail((tail) => {
        if (tail === null) return
        this.network.send(to, reader, () => {
          if (reader.life === life) this.truth.linearizable(reader.name, lsn(tail), acknowledged)
        })
      }),
    )
  }
}

const epochOf = ({ leader }: Node): number => leader?.meta.epoch ?? 0
