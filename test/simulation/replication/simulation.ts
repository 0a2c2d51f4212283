import { Cluster } from './cluster.ts'
import { Faults } from './faults.ts'
import type { NodeShell, Outcome } from './node-shell.ts'
import { type Plan, planOf } from './plan.ts'

export interface ReplicationResult {
  readonly seed: number
  /** What the seed made of the history. */
  readonly plan: Plan
  readonly violations: readonly string[]
  readonly traceHash: string
  readonly events: number
  readonly faults: Readonly<Record<string, number>>
  readonly counts: Readonly<Record<string, number>>
  readonly outcomes: Readonly<Record<Outcome, number>>
  readonly epochs: number
}

export interface ReplicationOptions {
  readonly seed: number
  readonly print?: ((line: string) => void) | null
}

/** One history of a replicated stream: appends and reads under faults, then the faults heal and everything must come to rest. */
export function simulateReplication({ seed, print = null }: ReplicationOptions): ReplicationResult {
  const { cluster, history, plan } = historyOf(seed, print)
  try {
    history.run()
  } catch (error) {
    cluster.truth.violations.push(`stopped: ${(error as Error).stack ?? error}`)
  }
  const { truth, world, metadata } = cluster
  return {
    seed,
    plan,
    violations: truth.violations,
    traceHash: world.trace.hash,
    events: world.events,
    faults: history.faults.counts,
    counts: truth.counts,
    outcomes: history.outcomes,
    epochs: metadata.current.meta.epoch,
  }
}

/** A history that has not begun. */
export function historyOf(
  seed: number,
  print: ((line: string) => void) | null = null,
): { readonly cluster: Cluster; readonly history: History; readonly plan: Plan } {
  const plan = planOf(seed)
  print?.(JSON.stringify(plan))
  const cluster = new Cluster(plan, print)
  return { cluster, history: new History(cluster, plan), plan }
}

class History {
  readonly faults: Faults
  readonly outcomes: Record<Outcome, number> = { acknowledged: 0, notLeader: 0, indeterminate: 0 }
  readonly #cluster: Cluster
  readonly #plan: Plan
  #pending = 0
  #calls = 0
  #slowestMs = 0
  #isWriting = true

  constructor(cluster: Cluster, plan: Plan) {
    this.#cluster = cluster
    this.#plan = plan
    this.faults = new Faults(cluster)
    this.#write()
  }

  /** Clients that ask whoever may lead. */
  #write(): void {
    const { world, nodes } = this.#cluster
    world.after(world.random.fraction() * 2 * this.#plan.appendEveryMs, () => {
      if (!this.#isWriting) return
      const node = world.random.chance(0.9) ? this.#leading() : world.random.pick([...nodes.values()])
      if (node?.isUp) node.run(() => this.#append(node))
      this.#write()
    })
  }

  /** Any that thinks so: a deposed one that does not know it yet is asked as well. */
  #leading(): NodeShell | undefined {
    const leading = [...this.#cluster.nodes.values()].filter(({ isServing }) => isServing)
    return leading.length === 0 ? undefined : this.#cluster.world.random.pick(leading)
  }

  #append(node: NodeShell): void {
    const { world } = this.#cluster
    const startedMs = world.nowMs
    this.#pending++
    const call = ++this.#calls
    node.append(world.random.integer(1, 3), `call ${call}`, (outcome) => {
      this.#pending--
      this.outcomes[outcome]++
      if (outcome === 'acknowledged') this.#slowestMs = Math.max(this.#slowestMs, world.nowMs - startedMs)
      world.note(node.name, `call ${call} ${outcome}`)
    })
  }

  run(): void {
    const { world, truth } = this.#cluster
    if (this.#plan.mode === 'slowServer') this.#slowOne()
    world.run(this.#plan.faultsMs, () => truth.violations.length > 0)
    if (truth.violations.length > 0) return
    world.note('history', 'heals')
    this.faults.heal()
    this.#checkLiveness()
  }

  /** One slow server never stalls commits while Qa < n. */
  #slowOne(): void {
    const { world, servers } = this.#cluster
    world.after(this.#plan.leaseMs * 2, () => {
      const slow = world.random.pick([...servers.values()])
      slow.slowness = 200
      world.note(slow.name, 'is slow')
    })
  }

  #checkLiveness(): void {
    const { world, truth, metadata } = this.#cluster
    const { leaseMs, network, flushMs, mode, policy } = this.#plan
    const failed = (): boolean => truth.violations.length > 0
    const epoch = (): number => metadata.current.meta.epoch
    // Two lease times, and the repair: each of its steps may have to be asked again once.
    const leaderMs = 2 * leaseMs + repairMs
    const led = world.run(
      world.nowMs + leaderMs,
      () => failed() || this.#cluster.leader?.leader?.meta.epoch === epoch(),
    )
    truth.check(led, `liveness: no leader after ${leaderMs} ms`)
    if (failed()) return
    const calls = this.outcomes.acknowledged
    const acknowledged = world.run(world.nowMs + restMs, () => failed() || this.outcomes.acknowledged > calls)
    truth.check(acknowledged, `liveness: nothing is acknowledged within ${restMs} ms`)
    this.#isWriting = false
    const rests = world.run(world.nowMs + restMs, () => failed() || this.#restlessness() === null)
    truth.check(rests, `liveness: ${this.#restlessness()} after ${restMs} ms`)
    // Fan-out waits for nobody but for another group that the master wants; a chain for a broken link to be noticed.
    const bound = 10 * (network.delayMs + network.jitterMs + flushMs) + (policy.topology === 'chain' ? 1_500 : 200)
    if (mode === 'slowServer')
      truth.check(this.#slowestMs <= bound, `liveness: an append took ${this.#slowestMs} ms beside a slow server`)
  }

  /** What is not as it has to be in the end; null if nothing. */
  #restlessness(): string | null {
    const node = this.#cluster.leader
    const leader = node?.leader
    if (leader === null || leader === undefined) return 'nobody leads'
    if (this.#pending > 0) return `${this.#pending} appends are not resolved`
    if (leader.committed.lsn !== leader.last.lsn) return `${leader.last.lsn} is not committed`
    for (const { name, follower } of this.#cluster.nodes.values())
      if (follower.applied < leader.last.lsn) return `${name} has ${follower.applied} of ${leader.last.lsn}`
    if (this.#plan.mode === 'slowServer') return null
    for (const { member, flushed } of leader.open.members.values())
      if (this.#cluster.servers.get(member.id)?.isUsable && flushed < leader.last.lsn)
        return `${member.id} has ${flushed} of ${leader.last.lsn}`
    return null
  }
}

const repairMs = 8_000
const restMs = 15_000
