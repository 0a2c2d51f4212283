import { afterEach, describe, expect, it } from 'vitest'
import { type CrashPoint, type TestDatabase, type TestRole, testDatabase } from '../../../src/testing.ts'
import { PaymentService, shopOf, stock } from './shop.ts'

let payments: PaymentService
let db: TestDatabase
const start = async (seed = 1): Promise<void> => {
  payments = new PaymentService()
  db = await testDatabase({ applications: [shopOf(payments).application], seed })
  await db.execute(stock, 'apples', 'deliver', { count: 1 })
}
afterEach(() => db.close())

const statusOf = async (id: string): Promise<unknown> => (await db.read('workflow:order', id)).state

describe('the database of a test', () => {
  it('takes commands, reads and lists events', async () => {
    await start()
    expect(await db.execute(stock, 'apples', 'take', { count: 2 })).toMatchObject({ outcome: 'rejected' })
    expect(await db.read(stock, 'apples')).toMatchObject({ revision: 1, state: { left: 1 } })
    const seen: string[] = []
    for await (const { type } of db.events()) seen.push(type)
    expect(seen).toEqual(['delivered'])
  })

  it('runs a workflow that sleeps for a month within a moment', async () => {
    await start()
    const beganAtMs = db.clock.now()
    await db.execute('workflow:order', '17', 'start', { input: { amountCents: 500 } })
    await db.settle()
    expect(await statusOf('17')).toMatchObject({ status: 'running', completedRequests: 1 })
    await db.clock.advance('30d')
    expect(await statusOf('17')).toMatchObject({
      status: 'completed',
      result: { status: 'done', receipt: 'receipt 1' },
    })
    expect(db.clock.now() - beganAtMs).toBeGreaterThanOrEqual(30 * 86_400_000)
    expect(db.effects).toMatchObject([{ workflow: 'order/17', operation: 'request/charge#1', outcome: 'completed' }])
  })

  it('does the same again with the same seed', async () => {
    const histories: unknown[] = []
    for (const seed of [7, 7, 8]) {
      await start(seed)
      await db.execute('workflow:order', '17', 'start', { input: { amountCents: 500 } })
      await db.clock.advance('1d')
      const { events } = await db.stream('workflow:order', '17')
      histories.push(events)
      if (seed === 7 && histories.length === 1) await db.close()
    }
    expect(histories[1]).toEqual(histories[0])
  })

  it('tells a subscriber of what comes while something else is asked', async () => {
    await start()
    const seen: string[] = []
    const reading = (async () => {
      for await (const { type } of db.subscribe()) {
        seen.push(type)
        if (seen.length === 3) return
      }
    })()
    await db.execute(stock, 'apples', 'deliver', { count: 1 })
    await db.execute(stock, 'apples', 'take', { count: 2 })
    await db.settle()
    await reading
    expect(seen).toEqual(['delivered', 'delivered', 'taken'])
  })

  const roles: readonly TestRole[] = ['journal-writer', 'dispatcher', 'projection-applier', 'gateway', 'application']
  it.each([...roles, 'all'] as const)('goes on by itself after %s was killed', async (role) => {
    await start()
    await db.execute('workflow:order', '17', 'start', { input: { amountCents: 500 } })
    await db.settle()
    db.crash(role)
    await db.execute(stock, 'apples', 'deliver', { count: 1 })
    await db.clock.advance('30d')
    expect(await statusOf('17')).toMatchObject({ status: 'completed' })
    expect(await db.read(stock, 'apples')).toMatchObject({ state: { left: 1 } })
    expect(db.effects).toHaveLength(1)
  })

  it('refuses a crash point that there is not', async () => {
    await start()
    expect(() => db.crashAt('effect charge: flushed')).toThrow(/no crash point "effect charge: flushed"/)
  })
})

/** How often the effect is called when the application's process dies there, and when the power fails. */
const points: readonly (readonly [point: CrashPoint, calls: number, callsAfterPowerFailure: number, seed?: number])[] =
  [
    ['workflow/started: written', 1, 1],
    ['workflow/started: flushed', 1, 1],
    ['command/requested: drafted', 1, 1],
    ['command/ended: drafted', 1, 1],
    ['request/started charge: drafted', 1, 1],
    ['request/started charge: written', 1, 1],
    ['request/started request/charge#1: flushed', 1, 1],
    ['effect charge: before', 1, 1],
    ['effect charge: during', 2, 2],
    ['effect charge: after', 2, 2],
    ['request/completed charge: drafted', 2, 2],
    // By this seed the power failure takes what is not flushed.
    ['request/completed charge: written', 1, 2, 3],
    ['request/completed charge: flushed', 1, 1],
    ['timer/started: flushed', 1, 1],
    ['timer/fired: written', 1, 1],
    ['workflow/completed: drafted', 1, 1],
  ]

describe('a crash', () => {
  for (const role of ['application', 'all'] as const) {
    it.each(points.map(([point, calls, after, seed = 1]) => [point, calls, after, seed] as const))(
      `of ${role} at "%s" leaves one charge`,
      async (point, calls, callsAfterPowerFailure, seed) => {
        await start(seed)
        const crash = db.crashAt(point, { role })
        await db.execute('workflow:order', '17', 'start', { input: { amountCents: 500 } })
        await db.clock.advance('31d')
        expect(crash.hasHappened).toBe(true)
        expect(await statusOf('17')).toMatchObject({ status: 'completed', result: { status: 'done' } })
        expect(db.effects).toHaveLength(role === 'all' ? callsAfterPowerFailure : calls)
        expect([...payments.charges]).toEqual([['636f6d6d616e6465/order/17/1/request/charge#1', 500]])
      },
    )
  }

  it('of all behind a result that is not flushed keeps it, or has the effect once more, as the disk has it', async () => {
    const calls = new Set<number>()
    for (let seed = 1; seed <= 16; seed++) {
      await start(seed)
      db.crashAt('request/completed charge: written', { role: 'all' })
      await db.execute('workflow:order', '17', 'start', { input: { amountCents: 500 } })
      await db.clock.advance('31d')
      expect(await statusOf('17')).toMatchObject({ status: 'completed', result: { status: 'done' } })
      expect(payments.charges.size).toBe(1)
      calls.add(db.effects.length)
      if (seed < 16) await db.close()
    }
    expect([...calls].sort()).toEqual([1, 2])
  })

  it.each(['application', 'dispatcher', 'gateway', 'all'] as const)(
    'of %s at any entry leaves one charge',
    async (role) => {
      await start()
      await db.execute('workflow:order', '17', 'start', { input: { amountCents: 500 } })
      await db.clock.advance('31d')
      const { events } = await db.stream('workflow:order', '17')
      const [first, last] = [events[0]?.lsn ?? 0, events.at(-1)?.lsn ?? 0]
      expect(last - first).toBeGreaterThan(8)
      await db.close()
      for (let lsn = first; lsn <= last; lsn++) {
        await start(lsn)
        const crash = db.crashAt(`lsn ${lsn}: ${lsn % 2 === 0 ? 'written' : 'flushed'}`, { role })
        await db.execute('workflow:order', '17', 'start', { input: { amountCents: 500 } })
        await db.clock.advance('31d')
        expect(crash.hasHappened).toBe(true)
        expect(await statusOf('17')).toMatchObject({ status: 'completed', result: { status: 'done' } })
        expect([...payments.charges]).toEqual([['636f6d6d616e6465/order/17/1/request/charge#1', 500]])
        if (lsn < last) await db.close()
      }
    },
  )
})
