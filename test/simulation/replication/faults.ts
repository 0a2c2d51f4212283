import { lsn } from '../../../src/kernel/identifiers.ts'
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
    network.cut(one, other, ms)
    if (isBoth) network.cut(other, one, ms)
    return `${one} ${other}`
  }

  /** Servers that the policy can lose, and no others. A disk is damaged while its process is down. */
  #damage(kind: 'damageMiddle' | 'damageEnd' | 'wipe', ms: number): string | null {
    const { world, servers, plan } = this.#cluster
    if (plan.fragile === 0) return null
    const server = [...servers.values()][world.random.integer(0, plan.fragile - 1)] as ServerShell
    if (!server.isUp || server.wipes > 0) return null
    server.crash(true)
    world.after(ms, () => server.start())
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
      node.wish({ kind: 'roll', group: this.#cluster.chooseGroup(present), policy: plan.policy })
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
        trimLsn: lsn(random.integer(segment.base, segment.tail + 5)),
        isArchiving: plan.hasArchive,
      })
    }
    return node.name
  }
}
