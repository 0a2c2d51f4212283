import { CommandRejected, defineAggregate, defineApplication, defineProjection } from '../../src/index.ts'
import type { Application } from '../../src/sdk/application.ts'

/** What the outside world does to a decision; not part of the database's state. */
export interface World {
  /** Called in each decision. */
  deciding(): void
  /** Called in each decision on such a command; throws when this one is to fail, or kills the process. */
  flaky(nonce: string): void
  poison(nonce: string): void
}

export interface Movement {
  readonly amount: number
  readonly nonce: string
  readonly padding?: string
}

export const shortTtlMs = 100

export function bankOf(world: World): Application {
  const decide = {
    deposit: (data: Movement) => {
      world.deciding()
      return { type: 'deposited' as const, data }
    },
    withdraw: (data: Movement, state: { balance: number }) => {
      world.deciding()
      if (state.balance < data.amount) throw new CommandRejected('insufficient_funds', 'too low', state.balance)
      return { type: 'withdrawn' as const, data }
    },
    /** Two events, one of them of no effect. */
    adjust: (data: Movement) => [
      { type: 'deposited' as const, data },
      { type: 'noted' as const, data: { nonce: data.nonce } },
    ],
    /** No event. */
    look: (_data: Movement) => [],
    flaky: (data: Movement) => {
      world.flaky(data.nonce)
      return { type: 'deposited' as const, data }
    },
    poison: (data: Movement) => {
      world.poison(data.nonce)
      return { type: 'deposited' as const, data }
    },
  }
  const evolve = {
    deposited: (state: { balance: number }, data: Movement) => ({ balance: state.balance + data.amount }),
    withdrawn: (state: { balance: number }, data: Movement) => ({ balance: state.balance - data.amount }),
    noted: (state: { balance: number }, _data: { nonce: string }) => state,
  }
  const initialState = (): { balance: number } => ({ balance: 0 })
  const retry = { maxAttempts: 4, initialDelayMs: 20, maxDelayMs: 100 }
  const account = defineAggregate({ name: 'account', initialState, decide, evolve, retry, snapshotEvery: 5 })
  const voucher = defineAggregate({
    name: 'voucher',
    initialState,
    decide,
    evolve,
    retry,
    onExhausted: 'blockAggregate',
    idempotencyTtlMs: shortTtlMs,
    snapshotEvery: 0,
  })
  const balances = defineProjection({
    name: 'balances',
    version: 1,
    aggregates: [account, voucher],
    initialRow: () => ({ balance: 0, movements: 0 }),
    on: {
      account: {
        deposited: (table, { aggregate, data }) => move(table, `account/${aggregate.id}`, data.amount),
        withdrawn: (table, { aggregate, data }) => move(table, `account/${aggregate.id}`, -data.amount),
      },
      voucher: {
        deposited: (table, { aggregate, data }) => move(table, `voucher/${aggregate.id}`, data.amount),
        withdrawn: (table, { aggregate, data }) => move(table, `voucher/${aggregate.id}`, -data.amount),
      },
    },
  })
  return defineApplication({ name: 'bank', aggregates: [account, voucher], projections: [balances], workflows: [] })
}

interface Row {
  balance: number
  movements: number
}

function move(table: { get(key: string): Row; put(key: string, row: Row): void }, key: string, amount: number): void {
  const row = table.get(key)
  table.put(key, { balance: row.balance + amount, movements: row.movements + 1 })
}
