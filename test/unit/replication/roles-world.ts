import { type Environment, silentLog } from '../../../src/kernel/environment.ts'
import { epoch, lsn } from '../../../src/kernel/identifiers.ts'
import type { Suggestion } from '../../../src/replication/master-state.ts'
import { MemoryMetadata, type MetadataFault } from '../../../src/replication/memory-metadata-store.ts'
import { type MetadataStore, metadataKeys } from '../../../src/replication/metadata-store.ts'
import type { RoleState } from '../../../src/replication/role-state.ts'
import { settledSwap } from '../../../src/replication/settled-swap.ts'
import {
  elected,
  newStreamMeta,
  opened,
  type Peer,
  resigned,
  type StreamMeta,
  sealedEndOf,
} from '../../../src/replication/stream-meta.ts'
import { decodeStreamMeta, encodeStreamMeta } from '../../../src/replication/stream-meta-codec.ts'
import type { RoleRunner, StreamRecord } from '../../../src/replication/stream-role.ts'
import { StreamRoles } from '../../../src/replication/stream-roles.ts'
import { SeededRandom } from '../../../src/testing/seeded-random.ts'
import { VirtualTime } from '../../../src/testing/virtual-time.ts'

export const leaseMs = 2000
export const stream = 'orders'
const placement = { group: ['s1'], policy: { replicas: 1, ackQuorum: 1, topology: 'fanout' } } as const

/** Nodes that want to lead one stream, on virtual time, with a metadata store that all of them reach. */
export class RolesWorld {
  readonly random: SeededRandom
  readonly time: VirtualTime
  readonly metadata: MemoryMetadata
  readonly nodes: RolesNode[] = []
  /** Asked for each call of any node. */
  fault: () => MetadataFault | null = () => null
  /** Each incarnation that an epoch was seen with, by the records that were made. */
  readonly leaders = new Map<number, Set<string>>()

  constructor(seed: number) {
    this.random = new SeededRandom(seed)
    this.time = new VirtualTime(this.random)
    const { clock, scheduler } = this.environment(() => true)
    this.metadata = new MemoryMetadata({ clock, scheduler })
    this.metadata.swap(metadataKeys.stream(stream), 0, encodeStreamMeta(newStreamMeta(stream)), null)
  }

  environment(isAlive: () => boolean): Environment {
    const run = (what: () => void) => (): void => {
      if (isAlive()) what()
    }
    return {
      clock: { wallMs: () => this.time.nowMs, monotonicMs: () => this.time.nowMs },
      scheduler: {
        after: (delayMs, what) => ({ cancel: this.time.after(delayMs, run(what)) }),
        soon: (what) => void this.time.after(0, run(what)),
      },
      random: this.random,
      log: silentLog,
    }
  }

  get record(): StreamMeta {
    return decodeStreamMeta(this.metadata.image.values.get(metadataKeys.stream(stream))?.value ?? '')
  }

  start(id: string): RolesNode {
    const node = new RolesNode(this, { id, incarnation: `${id}.${this.nodes.length}`, address: id })
    this.nodes.push(node)
    return node
  }

  /** Lets time pass until it is so. @returns how long that took; null when it was not so in `mostMs`. */
  async until(isSo: () => boolean, mostMs = 60_000): Promise<number | null> {
    const startMs = this.time.nowMs
    const isOver = await this.time.run(startMs + mostMs, () => {
      this.#note()
      return isSo()
    })
    return isOver ? this.time.nowMs - startMs : null
  }

  pass(durationMs: number): Promise<number | null> {
    return this.until(() => false, durationMs)
  }

  async settled<Result>(promise: Promise<Result>): Promise<Result> {
    let isSettled = false
    const done = (): void => {
      isSettled = true
    }
    promise.then(done, done)
    await this.until(() => isSettled)
    return promise
  }

  #note(): void {
    if (!this.metadata.image.values.has(metadataKeys.stream(stream))) return
    const { epoch: at, leader } = this.record
    if (leader === null) return
    const seen = this.leaders.get(at) ?? new Set()
    this.leaders.set(at, seen.add(leader.incarnation))
  }
}

/** One process, with a runner that takes the epoch and opens a segment, without any servers. */
export class RolesNode implements RoleRunner {
  readonly me: Peer
  readonly store: MetadataStore
  readonly roles: StreamRoles
  readonly seen: RoleState[] = []
  /** Its recovery gets nowhere. */
  isStuck = false
  campaigns = 0
  /** It has not heard yet that its swaps were made. */
  isSlow = false
  readonly regroups: (readonly string[])[] = []
  #isAlive = true
  #nonces = 0
  readonly #environment: Environment

  constructor(world: RolesWorld, me: Peer) {
    this.me = me
    this.#environment = world.environment(() => this.#isAlive)
    this.store = world.metadata.open({
      delayMs: () => world.random.fraction() * 10,
      fault: () => (this.#isAlive ? world.fault() : 'loseRequest'),
      deliver: (run) => (this.#isAlive ? run() : undefined),
    })
    this.roles = new StreamRoles({ store: this.store, environment: this.#environment, me, leaseMs, runner: this })
    void this.#observe()
  }

  get role(): RoleState['role'] {
    return this.roles.state(stream).role
  }

  /** As kill -9. */
  kill(): void {
    this.#isAlive = false
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  campaign(_stream: string, record: StreamRecord): void {
    this.campaigns++
    void this.#recover(record)
  }

  regroup(_stream: string, { group }: Suggestion): void {
    this.regroups.push(group ?? [])
  }

  leads(): boolean {
    return !this.isSlow
  }

  recordSeen(_stream: string, record: StreamRecord | null): void {
    if (record === null) return
    const { meta } = record
    const mine = this.roles?.state(stream)
    if (mine !== undefined && meta.leader !== null && meta.leader.incarnation !== this.me.incarnation && this.#leads) {
      this.#leads = false
      this.roles.deposed(stream, meta.epoch)
    }
  }

  async resign(): Promise<void> {
    const found = await this.store.get(metadataKeys.stream(stream))
    if (found === null) return
    const meta = decodeStreamMeta(found.value)
    if (meta.leader?.incarnation === this.me.incarnation)
      await this.#swap(resigned(meta, this.#nonce()), found.revision)
    this.#leads = false
    this.roles.deposed(stream, meta.epoch)
  }

  #leads = false

  async #recover({ meta, revision }: StreamRecord): Promise<void> {
    const taken = elected(meta, this.me, this.#nonce())
    const first = await this.#swap(taken, revision)
    if (first === null || this.isStuck) return first === null ? this.roles.lost(stream, epoch(0)) : undefined
    this.#leads = true
    const end = sealedEndOf(taken)
    const open = opened(taken, this.#nonce(), { ...end, tail: lsn(end.tail) }, placement)
    const second = await this.#swap(open, first)
    if (second !== null || !this.#leads) return
    this.#leads = false
    this.roles.lost(stream, epoch(0))
  }

  async #swap(meta: StreamMeta, expectedRevision: number): Promise<number | null> {
    const value = encodeStreamMeta(meta)
    const key = metadataKeys.stream(stream)
    const swap = { key, expectedRevision, value, patienceMs: 1e9 }
    const result = await settledSwap(this.store, this.#environment, swap)
    if (!result.swapped) return null
    this.roles.recorded(stream, { key, value, revision: result.revision })
    return result.revision
  }

  #nonce(): string {
    return `${this.me.incarnation}/${++this.#nonces}`
  }

  async #observe(): Promise<void> {
    for await (const state of this.roles.observeState(stream)) this.seen.push(state)
  }
}
