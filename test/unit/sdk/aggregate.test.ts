import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { isCommanderError } from '../../../src/kernel/errors.ts'
import { defineAggregate, isAggregate } from '../../../src/sdk/aggregate.ts'

const valid = {
  name: 'counter',
  initialState: () => ({ value: 0 }),
  decide: { add: (data: { amount: number }) => ({ type: 'added', data }) as const },
  evolve: {
    added: (state: { value: number }, data: { amount: number }) => ({ value: state.value + data.amount }),
  },
}

/** As a module in plain JavaScript would call it. */
function define(changes: Readonly<Record<string, unknown>>): unknown {
  return defineAggregate({ ...valid, ...changes } as never)
}

function messageFrom(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (!isCommanderError(error)) throw error
    expect(error.code).toBe('invalid_module')
    return error.message
  }
  throw new Error('nothing was thrown')
}

describe('defineAggregate', () => {
  it('fills in every default', () => {
    expect(defineAggregate(valid)).toMatchObject({
      name: 'counter',
      version: 1,
      idempotencyTtlMs: 86_400_000,
      snapshotEvery: 500,
      onExhausted: 'parkCommand',
      retry: { maxAttempts: 5, initialDelayMs: 100, maxDelayMs: 10_000 },
    })
  })

  it('keeps what is given', () => {
    const options = {
      version: 3,
      idempotencyTtlMs: 0,
      snapshotEvery: 0,
      onExhausted: 'blockAggregate',
      retry: { maxAttempts: 1, initialDelayMs: 20_000, maxDelayMs: 30_000 },
    }
    expect(define(options)).toMatchObject(options)
  })

  it('raises the longest retry delay to the first one where only that is given', () => {
    expect(define({ retry: { initialDelayMs: 60_000 } })).toMatchObject({ retry: { maxDelayMs: 60_000 } })
  })

  it('freezes the result, so that a module cannot change it while it runs', () => {
    const aggregate = defineAggregate(valid)
    for (const part of [aggregate, aggregate.decide, aggregate.evolve, aggregate.retry])
      expect(Object.isFrozen(part)).toBe(true)
  })

  it('finds no handler under a name that every object has', () => {
    const { decide, evolve } = defineAggregate(valid)
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
      expect((decide as Record<string, unknown>)[name]).toBeUndefined()
      expect((evolve as Record<string, unknown>)[name]).toBeUndefined()
    }
  })

  it('is recognised by its symbol, also from another copy of the package', () => {
    expect(isAggregate(defineAggregate(valid))).toBe(true)
    expect(isAggregate({ [Symbol.for('commanderdb.aggregate')]: true })).toBe(true)
    expect(isAggregate(valid)).toBe(false)
    expect(isAggregate(null)).toBe(false)
  })

  it('takes schemas of any library that speaks Standard Schema', () => {
    const aggregate = defineAggregate({
      ...valid,
      schemas: { commands: { add: z.object({ amount: z.number() }) } },
    })
    expect(Object.keys(aggregate.schemas?.commands ?? {})).toEqual(['add'])
    expect(Object.keys(aggregate.schemas?.events ?? {})).toEqual([])
  })

  it.each(['a', 'Account', 'bank-account.v2_x', 'x'.repeat(128)])('accepts the name %s', (name) => {
    expect(define({ name })).toMatchObject({ name })
  })

  it.each([
    ['', '""'],
    ['x'.repeat(129), 'xxx'],
    ['a/b', '"a/b"'],
    ['1a', '"1a"'],
    ['a b', '"a b"'],
    ['ä', '"ä"'],
    [undefined, 'undefined'],
    [5, 'number'],
  ])('refuses the name %j and shows it', (name, shown) => {
    const message = messageFrom(() => define({ name }))
    expect(message).toContain('the name of the aggregate is')
    expect(message).toContain(shown)
  })

  it.each([
    [{ initialState: {} }, /aggregate "counter": initialState/],
    [{ decide: undefined }, /decide is missing, but must be an object/],
    [{ decide: {} }, /decide is empty/],
    [{ decide: { add: 5 } }, /decide\.add is 5, but must be a function/],
    [{ decide: { 'a/b': () => [] } }, /decide: a key is "a\/b"/],
    [{ decide: { add: async () => [] } }, /decide\.add is of type AsyncFunction, but must be a plain synchronous/],
    [{ evolve: { *added() {} } }, /evolve\.added is of type GeneratorFunction/],
    [{ evolve: [] }, /evolve is an array, but must be an object/],
    [{ version: 0 }, /version is 0, but must be an integer from 1 to 65535/],
    [{ idempotencyTtlMs: 1.5 }, /idempotencyTtlMs is 1\.5/],
    [{ snapshotEvery: -1 }, /snapshotEvery is -1/],
    [{ onExhausted: 'retry' }, /onExhausted is "retry", but must be "blockAggregate" or "parkCommand"/],
    [{ retry: { maxAttempts: 101 } }, /retry\.maxAttempts is 101, but must be an integer from 1 to 100/],
    [{ retry: { attempts: 3 } }, /retry has the unknown key "attempts"; known are maxAttempts/],
    [{ retry: { initialDelayMs: 50, maxDelayMs: 20 } }, /retry\.maxDelayMs is 20.*retry\.initialDelayMs, 50/],
    [{ upcast: { added: 1 } }, /upcast\.added is 1/],
    [{ schemas: { commands: { added: z.string() } } }, /schemas\.commands has the unknown key "added"; known are add/],
    [{ schemas: { events: { added: {} } } }, /schemas\.events\.added is an object, but must be a Standard Schema/],
    [{ snapshotevery: 5 }, /has the unknown key "snapshotevery"/],
  ])('refuses %j and says what is wrong', (changes, message) => {
    expect(messageFrom(() => define(changes))).toMatch(message)
  })

  it('refuses what is no object at all', () => {
    expect(messageFrom(() => defineAggregate(undefined as never))).toContain(
      'the argument of defineAggregate is missing',
    )
  })
})
