import { describe, expect, it } from 'vitest'
import { defineAggregate } from '../../../src/sdk/aggregate.ts'
import { defineApplication, isApplication } from '../../../src/sdk/application.ts'
import { defineProjection, isProjection } from '../../../src/sdk/projection.ts'

const counter = defineAggregate({
  name: 'counter',
  initialState: () => 0,
  decide: { add: (data: { amount: number }) => ({ type: 'added', data }) },
  evolve: { added: (state, data: { amount: number }) => state + data.amount },
})
const on = { counter: { added: () => {} } }
const totals = defineProjection({ name: 'totals', version: 1, aggregates: [counter], initialRow: () => 0, on })

describe('defineProjection', () => {
  it('gives a frozen definition without prototypes to fall into', () => {
    expect(isProjection(totals)).toBe(true)
    expect(totals).toMatchObject({ name: 'totals', version: 1 })
    expect(totals.initialRow?.()).toBe(0)
    expect([totals, totals.on, totals.on['counter']].every(Object.isFrozen)).toBe(true)
    expect(totals.on['constructor']).toBeUndefined()
    expect(totals.on['counter']?.['toString']).toBeUndefined()
  })

  it.each([
    [{ name: 'a b' }, /the name of the projection is "a b"/],
    [{ version: undefined }, /version is missing; start with 1/],
    [{ version: 0 }, /version is 0/],
    [{ on: {} }, /on is empty/],
    [{ on: { counter: {} } }, /on\.counter is empty/],
    [{ on: { counter: { added: async () => {} } } }, /on\.counter\.added is of type AsyncFunction/],
    [{ on: { contour: { added: () => {} } } }, /on\.contour is not one of its aggregates/],
    [{ aggregates: ['counter'] }, /aggregates must be a list of what defineAggregate returns/],
    [{ initialRow: {} }, /initialRow is an object, but must be a function/],
    [{ onn: 1 }, /unknown key "onn"/],
  ])('refuses %j and says what is wrong', (changes, message) => {
    const definition = { name: 'totals', version: 1, aggregates: [counter], on, ...changes }
    expect(() => defineProjection(definition as never)).toThrow(
      expect.objectContaining({ code: 'invalid_module', message: expect.stringMatching(message) }),
    )
  })
})

describe('defineApplication', () => {
  it('gives a plain frozen object under the symbol commanderdb.application', () => {
    const application = defineApplication({
      name: 'tally',
      aggregates: [counter],
      projections: [totals],
      workflows: [],
    })
    expect(isApplication(application)).toBe(true)
    expect(application).toEqual({
      [Symbol.for('commanderdb.application')]: true,
      name: 'tally',
      aggregates: [counter],
      projections: [totals],
      workflows: [],
      schedules: [],
    })
    expect([application, application.aggregates, application.projections].every(Object.isFrozen)).toBe(true)
  })

  it('needs neither projections nor workflows', () => {
    expect(defineApplication({ name: 'tally', aggregates: [counter] })).toMatchObject({
      projections: [],
      workflows: [],
    })
  })

  it('lets a projection follow aggregates of other applications', () => {
    const foreign = defineProjection({ name: 'foreign', version: 1, on: { elsewhere: { happened: () => {} } } })
    expect(defineApplication({ name: 'tally', aggregates: [counter], projections: [foreign] }).projections).toEqual([
      foreign,
    ])
  })

  const misspelt = defineProjection({ name: 'misspelt', version: 1, on: { counter: { add: () => {} } } })
  it.each([
    ['a name with a slash', { name: 'a/b' }, /the name of the application is "a\/b"/],
    ['no aggregates', { aggregates: [] }, /aggregates is empty/],
    ['aggregates that are no list', { aggregates: counter }, /aggregates is an object, but must be a list/],
    [
      'a bare definition',
      { aggregates: [{ name: 'x' }] },
      /aggregates\[0\] is an object, but must be what defineAggregate returns/,
    ],
    ['an aggregate twice', { aggregates: [counter, counter] }, /aggregates has "counter" twice/],
    ['a projection twice', { projections: [totals, totals] }, /projections has "totals" twice/],
    [
      'what is no workflow',
      { workflows: [{}] },
      /workflows\[0\] is an object, but must be what defineWorkflow returns/,
    ],
    ['a misspelt key', { projection: [] }, /unknown key "projection"; known are name/],
    [
      'a projection of an event that is not there',
      { projections: [misspelt] },
      /handles "add" of aggregate "counter", which has only added/,
    ],
  ])('refuses %s and says what is wrong', (_, changes, message) => {
    const definition = { name: 'tally', aggregates: [counter], ...changes }
    expect(() => defineApplication(definition as never)).toThrow(
      expect.objectContaining({ code: 'invalid_module', message: expect.stringMatching(message) }),
    )
  })
})
