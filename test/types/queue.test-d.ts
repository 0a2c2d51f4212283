import { defineAggregate, defineWorkflow, type ImportCommand } from 'commanderdb'
import type { Database } from 'commanderdb/client'
import { expectTypeOf } from 'vitest'

const definition = {
  name: 'account',
  initialState: () => ({ balanceCents: 0 }),
  decide: {
    withdraw: (data: { branch: string; amountCents: number }) => ({ type: 'withdrawn' as const, data }),
    close: () => [],
  },
  evolve: { withdrawn: (state: { balanceCents: number }, _: { amountCents: number }) => state },
}

const account = defineAggregate({
  name: 'account',
  initialState: () => ({ balanceCents: 0 }),
  decide: {
    withdraw: (data: { branch: string; amountCents: number }) => ({ type: 'withdrawn', data }),
    close: () => [],
  },
  evolve: {
    withdrawn: (state, data: { amountCents: number }) => ({ balanceCents: state.balanceCents - data.amountCents }),
  },
  queues: {
    withdraw: {
      concurrency: 10,
      partitionKey: (data, id) => {
        expectTypeOf(data).toEqualTypeOf<{ branch: string; amountCents: number }>()
        expectTypeOf(id).toEqualTypeOf<string>()
        return data.branch
      },
    },
  },
})
expectTypeOf(account.name).toEqualTypeOf<'account'>()

defineWorkflow({
  name: 'job',
  run: async (_, input: { customer: string }) => input.customer,
  queue: {
    rateLimit: { limit: 5, periodMs: 1_000 },
    partitionKey: (input) => {
      expectTypeOf(input).toEqualTypeOf<{ customer: string }>()
      return input.customer
    },
  },
})
// In front of `run` the compiler does not know the input yet.
defineWorkflow({
  name: 'job',
  queue: { concurrency: 1, partitionKey: (input: { customer: string }) => input.customer },
  run: async (_, input: { customer: string }) => input.customer,
})

// @ts-expect-error: there is no such command
defineAggregate({ ...definition, queues: { pay: { concurrency: 1 } } })
// @ts-expect-error: the data of the command has no such field
defineAggregate({ ...definition, queues: { withdraw: { concurrency: 1, partitionKey: (data) => data.customer } } })
// @ts-expect-error: a rate has a period
defineAggregate({ ...definition, queues: { close: { rateLimit: { limit: 1 } } } })
// @ts-expect-error: a key is a text
defineWorkflow({ name: 'job', queue: { concurrency: 1, partitionKey: () => 5 }, run: async () => 1 })

export async function use(db: Database): Promise<void> {
  const data = { branch: 'north', amountCents: 1 }
  await db.execute(account, '1', 'withdraw', data, { priority: 9, delayMs: 60_000 })
  await db.execute('account', '1', 'withdraw', data, { priority: 0, delayMs: 0 })
  // @ts-expect-error a priority is a number
  await db.execute(account, '1', 'withdraw', data, { priority: 'high' })
  // @ts-expect-error the partition follows from the data
  await db.execute(account, '1', 'withdraw', data, { partition: 'north' })
}

const row: ImportCommand = { aggregate: 'account', id: '1', command: 'withdraw', data: {}, priority: 3, delayMs: 5 }
expectTypeOf(row.delayMs).toEqualTypeOf<number | undefined>()
