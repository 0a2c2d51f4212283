import { expect } from 'vitest'
import { type ClientEvent, type ClientOutcome, type Database, isCommanderError } from '../../src/client.ts'
import type { RunningDatabase } from './running-database.ts'

/** One movement of an account; its id is the idempotency key. */
export interface Movement {
  readonly id: string
  readonly account: string
  readonly command: 'deposit' | 'withdraw'
  readonly amountCents: number
}

/** Movements with the shape of a bank's: many accounts, some of them busy, amounts of all sizes, the same for a seed. */
export function movementsOf(seed: number, count: number, accounts = 150): readonly Movement[] {
  const random = randomOf(seed)
  return Array.from({ length: count }, (_, i) => {
    const busy = random() < 0.3
    const account = Math.floor(random() * (busy ? 5 : accounts))
    return {
      id: `movement-${seed}-${i}`,
      account: `account-${account}`,
      command: random() < 0.6 ? 'deposit' : 'withdraw',
      amountCents: 1 + Math.floor(random() ** 3 * 5_000_000),
    }
  })
}

/** mulberry32, public domain: a test that fails fails again with the same seed. */
export function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

export const sign = ({ command, amountCents }: Movement): number => (command === 'deposit' ? amountCents : -amountCents)

/** The sums as they must be, from what was sent and nothing else. */
export function sumsOf(movements: readonly Movement[]): Map<string, number> {
  const sums = new Map<string, number>()
  for (const movement of movements) sums.set(movement.account, (sums.get(movement.account) ?? 0) + sign(movement))
  return sums
}

export type Completed = Extract<ClientOutcome, { outcome: 'completed' }>

/** Sends movements over one connection and keeps what was answered. */
export class BankLoad {
  readonly client: Database
  readonly movements: readonly Movement[]
  /** By movement id. */
  readonly outcomes = new Map<string, Completed>()
  /** Errors that a client may see while processes die: all of them say that the call may be made again. */
  retried = 0
  #next = 0
  #watchers: { readonly count: number; readonly resolve: () => void }[] = []

  constructor(client: Database, movements: readonly Movement[]) {
    this.client = client
    this.movements = movements
  }

  /** Resolves when every movement has been answered. */
  async run(concurrency = 64): Promise<void> {
    await Promise.all(Array.from({ length: concurrency }, () => this.#worker()))
  }

  /** Resolves once so many movements have been answered. */
  answered(count: number): Promise<void> {
    if (this.outcomes.size >= count) return Promise.resolve()
    return new Promise((resolve) => this.#watchers.push({ count, resolve }))
  }

  async #worker(): Promise<void> {
    for (let movement = this.movements[this.#next++]; movement !== undefined; movement = this.movements[this.#next++]) {
      const outcome = await this.#execute(movement)
      expect(outcome.outcome).toBe('completed')
      this.outcomes.set(movement.id, outcome as Completed)
      for (const watcher of this.#watchers) if (this.outcomes.size >= watcher.count) watcher.resolve()
      this.#watchers = this.#watchers.filter(({ count }) => this.outcomes.size < count)
    }
  }

  async #execute({ id, account, command, amountCents }: Movement): Promise<ClientOutcome> {
    const data = command === 'withdraw' ? { amountCents, overdraft: true } : { amountCents }
    for (;;) {
      try {
        return await this.client.execute('account', account, command, data, { idempotencyKey: id })
      } catch (error) {
        if (!isCommanderError(error) || !error.retryable) throw error
        this.retried++
      }
    }
  }
}

export async function allEvents(client: Database): Promise<ClientEvent[]> {
  const events: ClientEvent[] = []
  for await (const batch of client.eventBatches()) events.push(...batch)
  return events
}

const eventTypes = { deposit: 'deposited', withdraw: 'withdrawn' } as const

/**
 * Everything that was acknowledged is there exactly once, and nothing else: positions and revisions without gaps, each
 * outcome's event in the log where the outcome says it is, streams, states and the projection in agreement with it.
 */
export async function verifyBank(database: RunningDatabase, load: BankLoad): Promise<void> {
  const { client, movements, outcomes } = load
  expect(outcomes.size).toBe(movements.length)
  const lastLsn = Math.max(...[...outcomes.values()].map(({ events }) => events[0]?.lsn ?? 0))
  const someAccount = movements[0]?.account as string
  await client.read('account', someAccount, { minLsn: lastLsn })
  const events = await allEvents(client)
  expect(events.length).toBe(movements.length)
  verifyOrder(events)
  const byPosition = new Map(events.map((event) => [event.globalPosition, event]))
  const used = new Set<number>()
  for (const movement of movements) {
    const [event, ...more] = (outcomes.get(movement.id) as Completed).events
    expect(more).toEqual([])
    expect(event).toMatchObject({
      type: eventTypes[movement.command],
      data: { amountCents: movement.amountCents },
      aggregate: { type: 'account', id: movement.account },
    })
    expect(byPosition.get(event?.globalPosition as number)).toEqual(event)
    used.add(event?.globalPosition as number)
  }
  expect(used.size).toBe(movements.length)
  await verifySums(client, movements, events)
  await verifyKeys(load)
  const status = await database.status()
  expect(status?.degraded).toBe(false)
}

function verifyOrder(events: readonly ClientEvent[]): void {
  const revisions = new Map<string, number>()
  let lastLsn = 0
  events.forEach(({ globalPosition, aggregate, revision, lsn }, i) => {
    expect(globalPosition).toBe(i + 1)
    expect(revision).toBe((revisions.get(aggregate.id) ?? 0) + 1)
    expect(lsn).toBeGreaterThan(lastLsn)
    revisions.set(aggregate.id, revision)
    lastLsn = lsn
  })
}

async function verifySums(
  client: Database,
  movements: readonly Movement[],
  events: readonly ClientEvent[],
): Promise<void> {
  const byAccount = Map.groupBy(events, ({ aggregate }) => aggregate.id)
  for (const [account, balanceCents] of sumsOf(movements)) {
    const stream = byAccount.get(account) as ClientEvent[]
    expect((await client.stream('account', account)).events).toEqual(stream)
    const { revision, state } = await client.read('account', account)
    expect([revision, (state as { balanceCents: number }).balanceCents]).toEqual([stream.length, balanceCents])
    const { value } = await client.projection('balances', account)
    expect(value).toEqual({ balanceCents, movements: stream.length })
  }
}

/** The same keys again change nothing and answer as at the first time. */
async function verifyKeys({ client, movements, outcomes }: BankLoad): Promise<void> {
  const again = new BankLoad(client, movements.slice(-100))
  await again.run(32)
  for (const [id, outcome] of again.outcomes) {
    const first = outcomes.get(id) as Completed
    expect(outcome).toEqual({ ...first, duplicate: true, durability: outcome.durability })
  }
  expect((await allEvents(client)).length).toBe(movements.length)
}
