import { afterEach, describe, expect, it } from 'vitest'
import type { AnyWorkflow, WorkflowContext } from '../../../src/index.ts'
import { defineApplication, defineWorkflow } from '../../../src/index.ts'
import {
  NonDeterminismError,
  type RecordedEvent,
  replay,
  type TestDatabase,
  testDatabase,
} from '../../../src/testing.ts'

type Run = (context: WorkflowContext, input: number) => Promise<unknown>
const trip = (run: Run, version = 1): AnyWorkflow => defineWorkflow({ name: 'trip', version, run })

let db: TestDatabase | null = null
afterEach(() => db?.close())

/** What the database records of it, once nothing happens any more for a day. */
async function historyOf(run: Run): Promise<readonly RecordedEvent[]> {
  db = await testDatabase({
    applications: [defineApplication({ name: 'travel', aggregates: [], workflows: [trip(run)] })],
  })
  await db.execute('workflow:trip', '1', 'start', { input: 3 })
  await db.clock.advance('1d')
  return (await db.stream('workflow:trip', '1')).events
}

const hotelThenCar: Run = async (context) => {
  const hotel = await context.request('hotel', () => 'room 3')
  const car = await context.request('car', () => 'red')
  return { hotel, car }
}

const failureOf = async (history: readonly RecordedEvent[], run: Run): Promise<NonDeterminismError> => {
  const error: unknown = await replay(history, trip(run)).then(
    () => null,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(NonDeterminismError)
  return error as NonDeterminismError
}

describe('replay', () => {
  it('comes to the same end with the same code, from events and from JSON lines', async () => {
    const history = await historyOf(hotelThenCar)
    const end = { outcome: { kind: 'completed', result: { hotel: 'room 3', car: 'red' } }, waiting: [], runs: 1 }
    expect(await replay(history, trip(hotelThenCar))).toEqual(end)
    expect(await replay(history.map((event) => `${JSON.stringify(event)}\n`).join(''), trip(hotelThenCar))).toEqual(end)
  })

  it('carries nothing out', async () => {
    const history = await historyOf(hotelThenCar)
    const calls: string[] = []
    const run: Run = async (context) => {
      await context.request('hotel', () => calls.push('hotel'))
      await context.request('car', () => calls.push('car'))
    }
    await replay(history, trip(run))
    expect(calls).toEqual([])
  })

  it('says what code waits for that has gone on beyond the history', async () => {
    const history = await historyOf(async (context) => {
      await context.request('hotel', () => 'room 3')
      await context.sleep(2 * 86_400_000)
    })
    const run: Run = async (context) => {
      await context.request('hotel', () => '')
      await context.all([context.sleep(2 * 86_400_000), context.request('insurance', () => '')])
    }
    expect(await replay(history, trip(run))).toMatchObject({
      outcome: null,
      waiting: ['timer/sleep#1', 'request/insurance#1'],
    })
  })

  it('goes through all runs', async () => {
    const run: Run = async (context, left) => {
      await context.request('step', () => left)
      return left > 1 ? context.continueAsNew(left - 1) : 'done'
    }
    const history = await historyOf(run)
    expect(await replay(history, trip(run))).toMatchObject({ outcome: { result: 'done' }, runs: 3 })
  })

  it.each<[string, Run, string, unknown]>([
    ['renamed', async (context) => context.request('motel', () => ''), 'request/hotel#1', ['request/motel#1']],
    ['removed', async (context) => context.request('car', () => ''), 'request/hotel#1', ['request/car#1']],
    [
      'put before another',
      async (context) => {
        await context.sleep(1)
        await hotelThenCar(context, 0)
      },
      'request/hotel#1',
      ['timer/sleep#1'],
    ],
    [
      'put in another order',
      async (context) => {
        await context.request('car', () => '')
        await context.request('hotel', () => '')
      },
      'request/hotel#1',
      ['request/car#1'],
    ],
    [
      'given up early',
      async (context) => context.request('hotel', () => ''),
      'request/car#1',
      'the code has ended: completed',
    ],
    [
      'added at the end of what has ended',
      async (context, input) => {
        await hotelThenCar(context, input)
        await context.request('train', () => '')
      },
      'workflow/completed',
      ['request/train#1'],
    ],
    ['awaited beside the context', () => new Promise(() => {}), 'request/hotel#1', []],
  ])('shows expected beside actual when something was %s', async (_, run, expected, actual) => {
    const error = await failureOf(await historyOf(hotelThenCar), run)
    expect(error).toMatchObject({ code: 'non_determinism', expected, actual, details: { expected, actual } })
    expect(error.message).toContain(`expected ${expected}, but the code`)
  })

  it('lets a change pass that is guarded', async () => {
    const history = await historyOf(hotelThenCar)
    const run: Run = async (context, input) => {
      if (context.patched('insured')) await context.request('insurance', () => '')
      return hotelThenCar(context, input)
    }
    expect(await replay(history, trip(run))).toMatchObject({ outcome: { kind: 'completed' } })
    expect(await replay(history.slice(0, 1), trip(run))).toMatchObject({ waiting: ['request/insurance#1'] })
  })

  it('refuses what is no whole history of this workflow and version', async () => {
    const history = await historyOf(hotelThenCar)
    await expect(replay([], trip(hotelThenCar))).rejects.toThrow(/it is empty/)
    await expect(replay('{"type":', trip(hotelThenCar))).rejects.toThrow(/no list of JSON lines/)
    await expect(replay(history.slice(1), trip(hotelThenCar))).rejects.toThrow(/begins with request\/started/)
    await expect(replay(history, trip(hotelThenCar, 2))).rejects.toThrow(/of version 1 of "trip"/)
    const other = defineWorkflow({ name: 'other', run: async () => null })
    await expect(replay(history, other)).rejects.toThrow(/it is of workflow:trip\/1/)
  })
})
