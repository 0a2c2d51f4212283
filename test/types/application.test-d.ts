import { defineAggregate, defineApplication, defineProjection } from 'commanderdb'
import { expectTypeOf } from 'vitest'

const counter = defineAggregate({
  name: 'counter',
  initialState: () => 0,
  decide: { add: (data: { amount: number }) => ({ type: 'added', data }) },
  evolve: { added: (state, data: { amount: number }) => state + data.amount },
})
const totals = defineProjection({
  name: 'totals',
  version: 1,
  aggregates: [counter],
  initialRow: () => ({ total: 0 }),
  on: { counter: { added: (table, event) => table.put('all', { total: table.get('all').total + event.data.amount }) } },
})

const application = defineApplication({ name: 'tally', aggregates: [counter], projections: [totals], workflows: [] })
expectTypeOf(application.name).toEqualTypeOf<'tally'>()
expectTypeOf(application.aggregates[0]).toEqualTypeOf<typeof counter>()
defineApplication({ name: 'tally', aggregates: [counter] })

// @ts-expect-error: an application has aggregates
defineApplication({ name: 'tally' })
// @ts-expect-error: a definition that did not go through defineAggregate
defineApplication({ name: 'tally', aggregates: [{ name: 'counter' }] })
// @ts-expect-error: a projection is not an aggregate
defineApplication({ name: 'tally', aggregates: [totals] })
// @ts-expect-error: there are no workflows yet
defineApplication({ name: 'tally', aggregates: [counter], workflows: [counter] })
