import { defineAggregate, defineWorkflow } from 'commanderdb'
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
