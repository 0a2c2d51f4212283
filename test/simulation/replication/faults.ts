import { lsn } from '../../../src/kernel/identifiers.ts'
import type { Suggestion } from '../../../src/replication/master-state.ts'
import { nothingSuggested } from '../../../src/replication/suggestion.ts'
import type { Cluster } from './cluster.ts'
import { type FaultKind, faultKinds } from './plan.ts'
import type { ServerShell } from './server-shell.ts'
import type { Process } from './world.ts'

/** Does to the cluster what happens to clusters, and what operators do; until it heals. */
export class Faults {
  readonly counts: Partial<Record<FaultKind, number>> = {}
  #isOver = false
  readonly #cluster: Cluster

  constructor(cluster: Cluster) {
    this.#cluster = cluster
    for (const kind of faultKinds) if (cluster.plan.faults[kind] > 0) this.#schedule(kind, cluster.plan.faults[kind])
  }

  #schedule(kind: FaultKind, meanMs: number): void {
    const { world } = this.#cluster
    world.after(world.random.fraction() * 2 * meanMs, () => {
      if (this.#isOver) return
      const what = this.#strike(kind)
      if (what !== null) {
        this.counts[kind] = (this.counts[kind] ?? 0) + 1
        world.note('fault', `${kind} ${what}`)
      }
      this.#schedule(kind, meanMs)
    })
  }

  heal(): void {
    this.#isOver = true
    const { network, metadata, master, servers, nodes } = this.#cluster
    network.heal()
    metadata.isHealed = true
    for (const process of [metadata, master, ...servers.values(), ...nodes.values()]) process.unpause()
    for (const server of servers.values()) {
      server.disk.isFull = false
      server.start()
    }
    for (const node of nodes.values()) node.start()
    // Without it lost servers are never replaced.
    master.start()
  }

  /** @returns to whom; null if there was nobody to do it to. */
  #strike(kind: FaultKind): string | null {
    const { world, servers, nodes, master, metadata } = this.#cluster
    const { random } = world
    const server = random.pick([...servers.values()])
    const node = random.pick([...nodes.values()])
    const ms = random.integer(50, 1_500)
    switch (kind) {
      case 'crashServer':
      case 'powerServer':
        return this.#crash(server, ms, () => server.crash(kind === 'powerServer'))
      case 'crashNode':
        return this.#crash(node, ms, () => node.crash())
      case 'crashMaster':
        return this.#crash(master, ms, () => master.crash())
      case 'pauseServer':
        return this.#pause(server, ms)
      case 'pauseNode':
        // The leader, most of the time: it wakes up and believes that it still leads.
        return this.#pause(random.chance(0.7) ? (this.#cluster.leader ?? node) : node, ms)
      case 'partition':
      case 'oneWay':
        return this.#cut(kind === 'partition', ms)
      case 'split':
        return this.#split()
      case 'lostRoll':
        return this.#lostRoll()
      case 'clockJump':
        node.jump(ms * 2)
        return node.name
      case 'metadataOutage':
        metadata.pause(ms)
        return metadata.name
      case 'diskFull':
        server.disk.isFull = true
        world.after(ms, () => {
          server.disk.isFull = false
        })
        return server.name
      case 'damageMiddle':
      case 'damageEnd':
      case 'wipe':
        return this.#damage(kind, ms)
      case 'duel':
        for (const one of nodes.values()) one.campaign()
        return 'all'
      default:
        return this.#operate(kind)
    }
  }

  #crash(process: Process & { start(): void }, ms: number, crash: () => void): string | null {
    if (!process.isUp) return null
    crash()
    this.#cluster.world.after(ms, () => process.start())
    return process.name
  }

  #pause(process: Process, ms: number): string {
    process.pause(ms)
    return process.name
  }

  #cut(isBoth: boolean, ms: number): string {
    const { world, servers, nodes, network } = this.#cluster
    const { random } = world
    const all = [...servers.keys(), ...nodes.keys(), 'metadata']
    const one = random.pick(all)
    // From one other, or from all.
    const other = random.pick([...all, '*', '*'])
    if (isBoth) network.cutBoth(one, other, ms)
    else network.cut(one, other, ms)
    return `${one} ${other}`
  }

  /** The leader stays with some of its servers, and maybe a follower; the others have the metadata store and go on without it. */
  #split(): string | null {
    const { world, network, nodes, servers, plan } = this.#cluster
    const { random } = world
    const node = this.#cluster.leader
    if (node?.leader == null) return null
    const { replicas, ackQuorum } = plan.policy
    const stay = [...node.leader.open.members.keys()].slice(0, random.integer(0, ackQuorum - 1))
    const followers = [...nodes.keys()].filter((name) => name !== node.name)
    const here = [node.name, ...stay, ...followers.slice(0, random.integer(0, followers.length - 1))]
    const there = ['metadata', ...nodes.keys(), ...servers.keys()].filter((name) => !here.includes(name))
    const ms = random.integer(2, 4) * plan.leaseMs
    for (const one of here) for (const other of there) network.cutBoth(one, other, ms)
    return `${here.join()} of ${replicas}`
  }

  /** The leader's roll is recorded, and it does not hear of it, nor of those who lead after it. */
  #lostRoll(): string | null {
    const { world, network, nodes, plan } = this.#cluster
    const node = this.#cluster.leader
    if (node?.leader == null || node.leader.swap !== null) return null
    const others = this.#cluster.usable().filter(({ id }) => !node.leader?.open.members.has(id))
    const group = this.#cluster.chooseGroup(others.map(({ id }) => id))
    const ms = 2 * plan.leaseMs
    network.cut('metadata', node.name, ms)
    node.wish({ kind: 'roll', group, policy: plan.policy })
    world.after(100, () => network.cutBoth('metadata', node.name, ms))
    for (const other of nodes.values())
      if (other !== node) world.after(world.random.integer(100, 400), () => other.campaign())
    return `${node.name} to ${group.map(({ id }) => id).join()}`
  }

  /** Servers that the policy can lose, and no others. A disk is damaged while its process is down. */
  #damage(kind: 'damageMiddle' | 'damageEnd' | 'wipe', ms: number): string | null {
    const { world, servers, plan } = this.#cluster
    if (plan.fragile === 0) return null
    const server = [...servers.values()][world.random.integer(0, plan.fragile - 1)] as ServerShell
    if (!server.isUp || server.wipes > 0) return null
    server.crash(true)
    world.after(ms, () => server.start())
    // Damage that a new leader meets is the worst.
    if (world.random.chance(0.6)) world.after(ms + 20, () => this.#strike('duel'))
    if (kind === 'wipe') server.wipe()
    else if (!(kind === 'damageEnd' ? server.disk.damageEnd(world.random) : server.disk.damageMiddle(world.random)))
      return null
    return server.name
  }

  #operate(kind: 'resign' | 'roll' | 'regroup' | 'trim'): string | null {
    const { world, plan } = this.#cluster
    const node = this.#cluster.leader
    const leader = node?.leader
    if (node === undefined || leader === null || leader === undefined) return null
    const { random } = world
    const sealed = leader.meta.segments.filter((segment) => segment.state === 'sealed')
    if (kind === 'resign') node.wish({ kind: 'resign' })
    else if (kind === 'roll') {
      const present = random.chance(0.4) ? [] : [...leader.open.members.keys()].slice(random.integer(0, 1))
      const group = this.#cluster.chooseGroup(present)
      const { epoch } = leader.meta
      // Half of them as an operator does it.
      if (epoch % 2 === 0) node.wish({ kind: 'roll', group, policy: plan.policy })
      else this.#suggest(node, { epoch, group: group.map(({ id }) => id), policy: plan.policy, seal: true })
    } else if (kind === 'regroup') {
      const segment = sealed[random.integer(0, sealed.length - 1)]
      if (segment === undefined) return null
      const group = this.#cluster.chooseGroup(segment.group.slice(random.integer(0, 1)))
      node.wish({ kind: 'regroup', segmentEpoch: segment.epoch, group })
    } else {
      const segment = sealed[0]
      if (segment === undefined) return null
      if (plan.hasArchive && random.chance(0.7))
        node.wish({ kind: 'archived', segmentEpoch: segment.epoch, archive: 'x' })
      node.wish({
        kind: 'trim',
        trimLsn: lsn(random.integer(segment.base, segment.tail + 30)),
        isArchiving: plan.hasArchive,
      })
    }
    return node.name
  }

  #suggest(from: Process, wanted: Partial<Suggestion> & Pick<Suggestion, 'epoch'>): void {
    this.#cluster.metadata.suggest(from, { ...nothingSuggested, by: 'operator', ...wanted })
  }
}
