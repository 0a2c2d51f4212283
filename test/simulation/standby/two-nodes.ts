import type { ClientOutcome } from '../../../src/ipc/call-codec.ts'
import type { JournalOptions } from '../../../src/journal/options.ts'
import { messageOf } from '../../../src/kernel/errors.ts'
import { SeededRandom } from '../../../src/testing/seeded-random.ts'
import { VirtualTime } from '../../../src/testing/virtual-time.ts'
import { bankAndOrders, Payments } from './bank-and-orders.ts'
import { ScriptedStream, type StreamLeader } from './scripted-stream.ts'
import { StandbyNode } from './standby-node.ts'

export interface WorldOptions {
  readonly seed?: number
  /** Gets everything that happens. */
  readonly print?: ((line: string) => void) | null
  /** Of both nodes. Default: with room for everything. */
  readonly journal?: JournalOptions
}

/** Two nodes of one database over a stream in virtual time. */
export class TwoNodes {
  readonly random: SeededRandom
  readonly time: VirtualTime
  readonly stream: ScriptedStream
  readonly payments = new Payments()
  readonly a: StandbyNode
  readonly b: StandbyNode
  #failure: Error | null = null

  constructor({ seed = 1, print = null, journal }: WorldOptions) {
    this.random = new SeededRandom(seed)
    this.time = new VirtualTime(this.random)
    this.stream = new ScriptedStream(this.time, this.random)
    const bug = (what: string, error: unknown): void => {
      this.#failure ??= new Error(`${what}: ${messageOf(error)}`, { cause: error })
    }
    const application = bankAndOrders(this.payments)
    const ports = new Map<string, StreamLeader>()
    const node = (id: string, at: number): StandbyNode =>
      new StandbyNode({ id, seed: seed * 2 + at, stream: this.stream, ports, application, journal, bug, print })
    this.a = node('a', 0)
    this.b = node('b', 1)
  }

  /** Node a leads, node b stands by, and both are ready. */
  static async started(options: WorldOptions = {}): Promise<TwoNodes> {
    const world = new TwoNodes(options)
    for (const node of [world.a, world.b]) node.start()
    await world.until(() => world.a.isReady && world.b.isReady)
    await world.lead(world.a)
    for (const node of [world.a, world.b]) await world.call(node.client.open())
    return world
  }

  get traceHash(): string {
    return [this.a, this.b].map(({ host }) => host.trace.hash).join('-')
  }

  async until(isOver: () => boolean, mostMs = 120_000): Promise<void> {
    await this.time.run(this.time.nowMs + mostMs, () => this.#failure !== null || isOver())
    if (this.#failure !== null) throw this.#failure
    if (!isOver()) throw new Error('it did not come about in time')
  }

  async pass(ms: number): Promise<void> {
    const untilMs = this.time.nowMs + ms
    await this.until(() => this.time.nowMs >= untilMs, ms + 1)
  }

  async call<Value>(promise: Promise<Value>): Promise<Value> {
    let isSettled = false
    const settled = (): void => {
      isSettled = true
    }
    promise.then(settled, settled)
    await this.until(() => isSettled)
    return promise
  }

  /** Nobody takes himself for the leader that does not lead: a node is not elected again before it has heard that it was deposed. */
  async aware(): Promise<void> {
    await this.until(() => !this.a.isUnaware && !this.b.isUnaware)
  }

  async lead(node: StandbyNode): Promise<void> {
    await this.call(node.lead())
    for (const other of [this.a, this.b]) if (other !== node) other.heardOf(node.address)
    await this.until(() => node.leads && node.isReady)
  }

  deposit(node: StandbyNode, id: string, amount: number, mark = ''): Promise<ClientOutcome> {
    const key = mark === '' ? {} : { idempotencyKey: mark }
    return this.call(node.client.execute('account', id, 'deposit', { amount, mark }, key))
  }

  async accountOf({ client }: StandbyNode, id: string, minLsn?: number): Promise<unknown> {
    const { state } = await this.call(client.read('account', id, minLsn === undefined ? {} : { minLsn }))
    return state
  }

  /** Both nodes have applied all that there is, and hold the same state. */
  async agree(): Promise<void> {
    const { a, b, stream } = this
    const hashes = (): Set<string | null> =>
      new Set(
        [a, b].flatMap((node) =>
          (['dispatcher', 'gateway', 'application', 'projection-applier'] as const).map((role) => node.hashOf(role)),
        ),
      )
    await this.until(
      () => a.isReady && b.isReady && a.applied === stream.tail && b.applied === stream.tail && hashes().size === 1,
    )
  }

  close(): void {
    for (const node of [this.a, this.b]) node.close()
  }
}
