import type { ProjectionEvent, ProjectionTable } from 'commanderdb'
import { defineAggregate, defineProjection } from 'commanderdb'
import { expectTypeOf } from 'vitest'

const account = defineAggregate({
  name: 'account',
  initialState: () => 0,
  decide: { deposit: (data: { amountCents: number }) => ({ type: 'deposited', data }) },
  evolve: { deposited: (state, data: { amountCents: number }) => state + data.amountCents, closed: (state) => state },
})
const customer = defineAggregate({
  name: 'customer',
  initialState: () => '',
  decide: { rename: (data: { name: string }) => ({ type: 'renamed', data }) },
  evolve: { renamed: (_state, data: { name: string }) => data.name },
})

// with `aggregates` the events are typed, and with `initialRow` the rows, which are then never missing
defineProjection({
  name: 'typed',
  version: 1,
  aggregates: [account, customer],
  initialRow: () => ({ cents: 0, name: '' }),
  on: {
    account: {
      deposited: (table, event) => {
        expectTypeOf(event.type).toEqualTypeOf<'deposited'>()
        expectTypeOf(event.data).toEqualTypeOf<{ amountCents: number }>()
        const row = table.get(event.aggregate.id)
        expectTypeOf(row).toEqualTypeOf<{ cents: number; name: string }>()
        table.put(event.aggregate.id, { ...row, cents: row.cents + event.data.amountCents })
        // @ts-expect-error: not a row
        table.put(event.aggregate.id, { cents: 1 })
        // @ts-expect-error: keys are texts
        table.delete(1)
      },
    },
    customer: {
      renamed: (table, event) => table.put(event.aggregate.id, { cents: 0, name: event.data.name }),
    },
  },
})

// misspelt names do not compile
defineProjection({
  name: 'misspelt',
  version: 1,
  aggregates: [account],
  on: {
    // @ts-expect-error: no such event
    account: { deposit: () => {} },
  },
})
defineProjection({
  name: 'misspelt',
  version: 1,
  aggregates: [account],
  on: {
    // @ts-expect-error: not one of the aggregates
    customer: { renamed: () => {} },
  },
})

// without them, data and rows are unknown, and parameters may be annotated
defineProjection({
  name: 'loose',
  version: 1,
  on: {
    account: {
      deposited: (table, event) => {
        expectTypeOf(event).toEqualTypeOf<ProjectionEvent<'deposited', unknown>>()
        expectTypeOf(table.get('1')).toEqualTypeOf<unknown>()
        table.put(event.aggregate.id, { at: event.at, position: event.globalPosition })
      },
      closed: (table: ProjectionTable<{ cents: number }>, event: ProjectionEvent<'closed', { reason: string }>) => {
        expectTypeOf(table.get('1')).toEqualTypeOf<{ cents: number } | undefined>()
        table.put(event.data.reason, { cents: 0 })
      },
    },
  },
})

// @ts-expect-error: the version is what tells when to rebuild
defineProjection({ name: 'unversioned', on: { account: { deposited: () => {} } } })
