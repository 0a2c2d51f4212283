import { describe, expect, it } from 'vitest'
import { actionCodes } from '../../../src/actions/action-codes.ts'
import type { CallOutcome } from '../../../src/gateway/call.ts'
import { BodyBudget } from '../../../src/gateway/http-body-budget.ts'
import { CommandWaits } from '../../../src/gateway/http-command-waits.ts'
import { HttpReplier } from '../../../src/gateway/http-replier.ts'
import type { HttpContext } from '../../../src/gateway/http-route.ts'
import type { CommandView } from '../../../src/gateway/queries.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { manualEnvironment, RecordedExchange } from './http-fakes.ts'

const outcome: CallOutcome = {
  commandLsn: lsn(1),
  endLsn: lsn(2),
  code: actionCodes['command/completed'],
  durability: 1,
  isDuplicate: false,
  firstPosition: 1,
  entry: null,
  offset: 0,
}

describe('the replier', () => {
  it('hands each answer to the request that it is for, once', () => {
    const replier = new HttpReplier(manualEnvironment().environment)
    const answered: string[] = []
    const first = replier.expect(new RecordedExchange(), () => answered.push('first'))
    const second = replier.expect(new RecordedExchange(), () => answered.push('second'))
    replier.completed(second, outcome)
    replier.completed(first, outcome)
    replier.completed(first, outcome)
    expect({ answered, size: replier.size }).toEqual({ answered: ['second', 'first'], size: 0 })
  })

  it('answers failures, and what fails in answering', () => {
    const replier = new HttpReplier(manualEnvironment().environment)
    const [refused, broken] = [new RecordedExchange(), new RecordedExchange()]
    replier.failed(
      replier.expect(refused, () => {}),
      new CommanderError('overloaded', ''),
    )
    const bug = new Error('a bug')
    const request = replier.expect(broken, () => {
      throw bug
    })
    replier.completed(request, outcome)
    expect([refused.answers, broken.answers]).toEqual([['overloaded'], [bug]])
  })

  it('answers timeout after 30 s, and then forgets', () => {
    const { environment, scheduler } = manualEnvironment()
    const replier = new HttpReplier(environment)
    const [early, late] = [new RecordedExchange(), new RecordedExchange()]
    const request = replier.expect(early, () => {})
    scheduler.advance(20_000)
    replier.expect(late, () => {})
    scheduler.advance(11_000)
    expect({ early: early.answers, late: late.answers, size: replier.size }).toEqual({
      early: ['timeout'],
      late: [],
      size: 1,
    })
    replier.completed(request, outcome)
    expect(early.answers).toEqual(['timeout'])
    scheduler.advance(60_000)
    expect({ late: late.answers, size: replier.size }).toEqual({ late: ['timeout'], size: 0 })
  })

  it('forgets a request whose client is gone', () => {
    const replier = new HttpReplier(manualEnvironment().environment)
    const exchange = new RecordedExchange()
    replier.expect(exchange, () => {})
    exchange.close()
    expect(replier.size).toBe(0)
  })
})

describe('waiting for a command to end', () => {
  function setUp() {
    const { environment, scheduler } = manualEnvironment()
    const pending = new Set<number>([5])
    const state = { lsn: lsn(5), commands: { byLsn: pending } }
    const marks = { applied: 5 }
    const listeners = new Set<() => void>()
    const later: (() => void)[] = []
    const context = {
      environment,
      gateway: { state, marks, onApplied: (run: () => void) => listeners.add(run) && (() => listeners.delete(run)) },
      queries: {
        command: (id: string): Partial<CommandView> => ({
          id,
          status: pending.has(Number(id)) ? 'pending' : 'completed',
        }),
      },
      waiter: { wait: (_lsn: number, _ms: number, done: (error: null) => void) => later.push(() => done(null)) },
    }
    const waits = new CommandWaits(context as unknown as HttpContext)
    const exchange = new RecordedExchange()
    const wait = (id: string, waitMs: number) =>
      waits.wait(id, waitMs, exchange, ({ status }) => exchange.json(200, status))
    const end = () => {
      pending.delete(5)
      state.lsn = lsn(6)
      marks.applied = 6
      for (const run of listeners) run()
    }
    return { scheduler, waits, exchange, wait, end, pending, state, later, listeners }
  }
  const answered = (status: string) => [{ status: 200, body: status }]

  it('answers at once without a wait', () => {
    const { wait, exchange } = setUp()
    wait('5', 0)
    expect(exchange.answers).toEqual(answered('pending'))
  })

  it('answers when it has ended', () => {
    const { wait, end, exchange, waits } = setUp()
    wait('5', 10_000)
    expect({ answers: exchange.answers, size: waits.size }).toEqual({ answers: [], size: 1 })
    end()
    expect({ answers: exchange.answers, size: waits.size }).toEqual({ answers: answered('completed'), size: 0 })
  })

  it('answers when the time is over', () => {
    const { wait, exchange, scheduler, waits } = setUp()
    wait('5', 10_000)
    scheduler.advance(9999)
    expect(exchange.answers).toEqual([])
    scheduler.advance(1)
    expect({ answers: exchange.answers, size: waits.size }).toEqual({ answers: answered('pending'), size: 0 })
  })

  it('waits for the store when the end is not in it yet', () => {
    const { wait, exchange, pending, state, later } = setUp()
    pending.delete(5)
    state.lsn = lsn(6)
    wait('5', 0)
    expect(exchange.answers).toEqual([])
    for (const run of later) run()
    expect(exchange.answers).toEqual(answered('completed'))
  })

  it('answers everybody when the server closes', () => {
    const { wait, waits, exchange, listeners } = setUp()
    wait('5', 10_000)
    waits.close()
    expect({ answers: exchange.answers, size: waits.size, listeners: listeners.size }).toEqual({
      answers: answered('pending'),
      size: 0,
      listeners: 0,
    })
  })

  it('forgets who is gone', () => {
    const { wait, waits, exchange } = setUp()
    wait('5', 10_000)
    exchange.close()
    expect(waits.size).toBe(0)
  })
})

describe('the budget for bodies', () => {
  it('gives out what there is, and takes each share back once', () => {
    const budget = new BodyBudget(100)
    const first = budget.take(60)
    const second = budget.take(40)
    expect(budget.take(1)).toBeNull()
    first?.()
    first?.()
    expect(budget.bytes).toBe(40)
    expect(budget.take(61)).toBeNull()
    expect(budget.take(60)).not.toBeNull()
    second?.()
    expect(budget.bytes).toBe(60)
  })
})
