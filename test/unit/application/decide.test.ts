import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { decide } from '../../../src/application/decide.ts'
import { DecideContext } from '../../../src/application/decide-context.ts'
import { CommandRejected, defineAggregate } from '../../../src/index.ts'
import { limits } from '../../../src/kernel/limits.ts'
import type { AnyAggregate } from '../../../src/sdk/aggregate-types.ts'

const odd = defineAggregate({
  name: 'odd',
  initialState: () => ({ log: '' }),
  decide: {
    one: () => ({ type: 'noted', data: { text: 'one' } }),
    many: () => [
      { type: 'noted', data: { text: 'a' } },
      { type: 'noted', data: { text: 'b' } },
    ],
    none: () => [],
    reject: () => {
      throw new CommandRejected('no', 'not today', { until: 'tomorrow' })
    },
    fail: () => {
      throw new Error('broken')
    },
    failOddly: () => {
      throw { message: 'no error at all' } as unknown as Error
    },
    failInEvolve: () => ({ type: 'exploded' }),
    tooMany: (() => new Array(limits.eventsPerCommandMax + 1).fill({ type: 'noted', data: { text: '' } })) as never,
    asynchronous: (() => Promise.resolve({ type: 'noted', data: { text: '' } })) as never,
    nothing: (() => undefined) as never,
    unknownEvent: (() => ({ type: 'unheardOf' })) as never,
    inheritedEvent: (() => ({ type: 'toString' })) as never,
    revisions: (_data, _state, { aggregate }) => [
      { type: 'counted', data: { from: aggregate.revision } },
      { type: 'counted', data: { from: aggregate.revision } },
    ],
  },
  evolve: {
    noted: (state, data: { text: string }) => ({ log: `${state.log}${data.text}` }),
    counted: (state, data: { from: number }, event) => ({ log: `${state.log} ${data.from}:${event.revision}` }),
    exploded: () => {
      throw new Error('in evolve')
    },
  },
})

const context = (lsn = 7, id = 'a', revision = 4): DecideContext =>
  new DecideContext(lsn, 'one', 1_700_000_000_000, null, 'odd', id, revision)

const run = (command: string, definition: AnyAggregate = odd) =>
  decide(definition, command, null, { log: '>' }, context())

describe('what a command decides', () => {
  it('is one event, a list of them, or none, and the state that they lead to', () => {
    expect(run('one')).toEqual({
      outcome: 'completed',
      events: [{ type: 'noted', data: { text: 'one' } }],
      state: { log: '>one' },
    })
    expect(run('many')).toMatchObject({ outcome: 'completed', state: { log: '>ab' } })
    expect(run('none')).toEqual({ outcome: 'completed', events: [], state: { log: '>' } })
  })

  it('is folded with the revisions that its events will have', () => {
    expect(run('revisions')).toMatchObject({ state: { log: '> 4:5 4:6' } })
  })

  it('is a rejection with its code, message and details', () => {
    expect(run('reject')).toEqual({
      outcome: 'rejected',
      code: 'no',
      message: 'not today',
      details: { until: 'tomorrow' },
    })
  })

  it('is a rejection for a command that the aggregate does not have', () => {
    expect(run('unheardOf')).toMatchObject({ outcome: 'rejected', code: 'unknown_command' })
    expect(run('toString')).toMatchObject({ outcome: 'rejected', code: 'unknown_command' })
  })

  it.each([
    ['fail', 'broken'],
    ['failOddly', 'object'],
    ['failInEvolve', 'in evolve'],
    ['tooMany', `at most ${limits.eventsPerCommandMax}`],
    ['asynchronous', 'asynchronous'],
    ['nothing', 'not an event'],
    ['unknownEvent', 'unheardOf'],
    ['inheritedEvent', 'toString'],
  ])('is a failure that says why for "%s"', (command, message) => {
    expect(run(command)).toEqual({ outcome: 'failed', message: expect.stringContaining(message) })
  })

  it('names the place in the application’s code where it failed', () => {
    expect(run('fail')).toMatchObject({ message: expect.stringContaining('decide.test.ts') })
  })

  it('is what the schemas of its events make of them', () => {
    const strict = defineAggregate({
      name: 'strict',
      initialState: () => 0,
      decide: {
        add: (data: { amount: number }) => ({ type: 'added', data }),
      },
      evolve: { added: (state, data: { amount: number }) => state + data.amount },
      schemas: { events: { added: z.object({ amount: z.number().int() }) } },
    })
    expect(decide(strict, 'add', { amount: 2, more: 1 }, 1, context())).toEqual({
      outcome: 'completed',
      events: [{ type: 'added', data: { amount: 2 } }],
      state: 3,
    })
    expect(decide(strict, 'add', { amount: 0.5 }, 1, context())).toMatchObject({ outcome: 'failed' })
  })
})

describe('the context', () => {
  it('is the same whenever the command is decided again', () => {
    const draw = (one: DecideContext): unknown[] => [one.random(), one.uuid(), one.random(), one.command, one.aggregate]
    expect(JSON.stringify(draw(context()))).toBe(JSON.stringify(draw(context())))
  })

  it('is another one for every command and every aggregate', () => {
    const draws = [context(7), context(8), context(7, 'b')].map((one) => one.uuid())
    expect(new Set(draws).size).toBe(3)
  })

  it('gives numbers from 0 to below 1 that do not repeat, and UUIDs of version 4', () => {
    const one = context()
    const numbers = Array.from({ length: 1000 }, () => one.random())
    expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true)
    expect(new Set(numbers).size).toBeGreaterThan(990)
    expect(numbers.reduce((a, b) => a + b) / 1000).toBeCloseTo(0.5, 1)
    expect(one.uuid()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })

  it('says what the command is', () => {
    const { command, aggregate } = new DecideContext(9, 'add', 0, { trace: 't' }, 'odd', 'x', 3)
    expect({
      id: command.id,
      lsn: command.lsn,
      type: command.type,
      receivedAt: command.receivedAt,
      metadata: command.metadata,
    }).toEqual({
      id: '9',
      lsn: 9,
      type: 'add',
      receivedAt: '1970-01-01T00:00:00.000Z',
      metadata: { trace: 't' },
    })
    expect(aggregate).toEqual({ type: 'odd', id: 'x', revision: 3 })
  })

  it('works when its functions are taken out of it', () => {
    const { random, uuid } = context()
    expect(random()).toBe(context().random())
    expect(uuid()).not.toBe('')
  })
})
