import type { Migration } from 'commanderdb'
import { defineAggregate, defineMigration } from 'commanderdb'
import { expectTypeOf } from 'vitest'

const account = defineAggregate({
  name: 'account',
  version: 2,
  initialState: () => 0,
  decide: { deposit: (data: { amountCents: number }) => ({ type: 'deposited', data }) },
  evolve: { deposited: (state, data: { amountCents: number }) => state + data.amountCents, closed: (state) => state },
})
const base = { aggregate: account, fromVersion: 1, toVersion: 2 } as const

// the data of old events and commands is annotated as what it was; what is returned is what the aggregate knows
const migration = defineMigration({
  ...base,
  event: (type, data: { amount: number }, context) => {
    expectTypeOf(type).toEqualTypeOf<string>()
    expectTypeOf(context.version).toEqualTypeOf<number>()
    expectTypeOf(context.aggregate.id).toEqualTypeOf<string>()
    if (type === 'noise') return null
    return type === 'closed' ? { type: 'closed' } : { type: 'deposited', data: { amountCents: data.amount * 100 } }
  },
  command: (_name, data: { amount: number }, { status }) => {
    expectTypeOf(status).toEqualTypeOf<'pending' | 'parked'>()
    return { command: 'deposit', data: { amountCents: data.amount * 100 } }
  },
})
expectTypeOf(migration).toEqualTypeOf<Migration>()

// both may be left out, and without annotation nothing is known of old data
defineMigration(base)
defineMigration({
  ...base,
  event: (_type, data) => {
    expectTypeOf(data).toEqualTypeOf<unknown>()
    return null
  },
})

// @ts-expect-error: an event that the aggregate does not know
defineMigration({ ...base, event: () => ({ type: 'withdrawn', data: { amountCents: 1 } }) })
// @ts-expect-error: an event with other data
defineMigration({ ...base, event: () => ({ type: 'deposited', data: { amount: 1 } }) })
// @ts-expect-error: one event stays one event
defineMigration({ ...base, event: () => [{ type: 'closed' }, { type: 'closed' }] })
// @ts-expect-error: a command that the aggregate does not have
defineMigration({ ...base, command: () => ({ command: 'withdraw', data: { amountCents: 1 } }) })
// @ts-expect-error: a command with other data
defineMigration({ ...base, command: () => ({ command: 'deposit', data: {} }) })
// @ts-expect-error: the versions say what is rewritten to what
defineMigration({ aggregate: account, toVersion: 2 })
