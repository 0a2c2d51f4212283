import { describe, expect, it } from 'vitest'
import { defineAggregate } from '../../../src/sdk/aggregate.ts'
import type { AnyAggregate } from '../../../src/sdk/aggregate-types.ts'
import { defineApplication } from '../../../src/sdk/application.ts'
import { assertApplicationsFit } from '../../../src/sdk/application-set.ts'
import { defineProjection } from '../../../src/sdk/projection.ts'

function aggregate(name: string): AnyAggregate {
  return defineAggregate({
    name,
    initialState: () => 0,
    decide: { add: () => ({ type: 'added' }) },
    evolve: { added: (state) => state + 1 },
  })
}

const follow = (name: string, of: string, type = 'added') =>
  defineProjection({ name, version: 1, on: { [of]: { [type]: () => {} } } })

const bank = defineApplication({
  name: 'bank',
  aggregates: [aggregate('account')],
  projections: [follow('balances', 'account')],
})

describe('the applications of one database', () => {
  it('fit when every name stands for one thing, and may follow each other', () => {
    const shop = defineApplication({
      name: 'shop',
      aggregates: [aggregate('order')],
      projections: [follow('paid', 'account')],
    })
    expect(() => assertApplicationsFit([bank, shop])).not.toThrow()
    expect(() => assertApplicationsFit([])).not.toThrow()
  })

  it.each([
    [
      'an application of the same name',
      { name: 'bank' },
      'the application "bank" is defined twice, by applications "bank" and "bank"; rename one of them',
    ],
    [
      'an aggregate of the same name',
      { aggregates: [aggregate('account')] },
      'the aggregate "account" is defined twice, by applications "bank" and "shop"; leave it out of the aggregates of one of them: to send it commands (context.command) and to follow its events the other one needs its definition only',
    ],
    [
      'a projection of the same name',
      { projections: [follow('balances', 'order')] },
      'the projection "balances" is defined twice, by applications "bank" and "shop"; rename one of them, or leave it out',
    ],
    [
      'a projection of an aggregate that is not there',
      { projections: [follow('x', 'acount')] },
      'application "shop": projection "x" follows aggregate "acount", which no application defines; there are account, order',
    ],
    [
      'a projection of an event that is not there',
      { projections: [follow('x', 'account', 'add')] },
      'application "shop": projection "x" handles "add" of aggregate "account", which has only added',
    ],
  ])('are refused with %s', (_, changes, message) => {
    const shop = defineApplication({ name: 'shop', aggregates: [aggregate('order')], ...changes })
    expect(() => assertApplicationsFit([bank, shop])).toThrow(
      expect.objectContaining({ code: 'invalid_module', message }),
    )
  })
})
