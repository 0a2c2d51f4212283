import { afterEach, describe, expect, it } from 'vitest'
import { defaultJournalOptions } from '../../../src/journal/options.ts'
import { simulateStandby } from './standby-history.ts'
import type { StandbyNode } from './standby-node.ts'
import { TwoNodes, type WorldOptions } from './two-nodes.ts'

const restMs = 3_600_000

const worlds: TwoNodes[] = []
afterEach(() => {
  for (const world of worlds.splice(0)) world.close()
})

async function started(options: WorldOptions = {}): Promise<TwoNodes> {
  const world = await TwoNodes.started(options)
  worlds.push(world)
  return world
}

describe('a standby', () => {
  it('answers reads from what the leader has committed, and refuses writes, naming the leader', async () => {
    const db = await started()
    const { endLsn } = (await db.deposit(db.a, '1', 5)) as unknown as { endLsn: number }
    await db.agree()
    expect(await db.accountOf(db.b, '1', endLsn)).toEqual({ balance: 5, deposits: 1 })
    const refused = db.call(db.b.client.execute('account', '1', 'deposit', { amount: 1, mark: '' }, { timeoutMs: 500 }))
    await expect(refused).rejects.toMatchObject({ code: 'not_leader', details: { leader: { id: 'a' }, epoch: 1 } })
    expect(await db.accountOf(db.a, '1')).toEqual({ balance: 5, deposits: 1 })
  })

  it('keeps no more segments than its journal may take, by checkpoints of its own, and follows to the end', async () => {
    const journal = { ...defaultJournalOptions, segmentBytes: 1 << 20, maxBytes: 4 << 20 }
    const db = await started({ journal })
    let most = 0
    for (let i = 0; i < 40; i++) {
      await db.call(db.a.client.execute('account', '2', 'deposit', { amount: 1, mark: 'z'.repeat(300_000) }))
      most = Math.max(most, db.b.segments)
    }
    await db.agree()
    expect(db.stream.log.reduce((sum, { payload }) => sum + payload.length, 0)).toBeGreaterThan(20 << 20)
    expect([most, db.b.segments].every((count) => count <= 5)).toBe(true)
    db.a.losePower()
    await db.lead(db.b)
    expect(await db.accountOf(db.b, '2')).toEqual({ balance: 40, deposits: 40 })
    await db.agree()
  })

  it('that leads goes on where the former leader was, with the processes that it had', async () => {
    const db = await started()
    for (let i = 1; i <= 20; i++) await db.deposit(db.a, `${i % 3}`, i)
    const processes = [...db.b.host.processes].map(({ name }) => name)
    db.a.losePower()
    const before = new Set(db.b.host.processes)
    await db.lead(db.b)
    expect(await db.deposit(db.b, '0', 100)).toMatchObject({ outcome: 'completed' })
    expect([...db.b.host.processes].filter((process) => !before.has(process))).toEqual([])
    expect([...db.b.host.processes].map(({ name }) => name)).toEqual(processes)
    const states: unknown[] = []
    for (const id of ['0', '1', '2']) states.push(await db.accountOf(db.b, id))
    expect(states).toEqual([
      { balance: 163, deposits: 7 },
      { balance: 70, deposits: 7 },
      { balance: 77, deposits: 7 },
    ])
    await db.agree()
  })

  it('resumes the workflows of the former leader, repeats what has no result, and fires their timers', async () => {
    const db = await started()
    const handle = (node: StandbyNode) => node.client.workflow('order')
    await db.call(handle(db.a).start('sleeping', { amount: 7, restMs }))
    await db.until(() => db.payments.charges.size === 1)
    await db.pass(1_000)
    db.payments.isHeld = true
    await db.call(handle(db.a).start('charging', { amount: 9, restMs }))
    await db.until(() => db.payments.charges.size === 2)
    await db.pass(1_000)
    db.a.losePower()
    db.payments.isHeld = false
    await db.lead(db.b)
    await db.pass(restMs + 10_000)
    expect(await db.call(Promise.all(['sleeping', 'charging'].map((id) => handle(db.b).result(id))))).toEqual([
      { receipt: 'receipt 7', outcome: 'completed' },
      { receipt: 'receipt 9', outcome: 'completed' },
    ])
    expect([...db.payments.charges.values()]).toEqual([7, 9])
    expect(await db.accountOf(db.b, 'shop')).toEqual({ balance: 16, deposits: 2 })
    await db.agree()
  })
})

describe('a node that is elected', () => {
  it('and deposed before it leads goes on following, with the journal writer that it has', async () => {
    const db = await started()
    await db.deposit(db.a, '1', 5)
    const { writer } = db.b
    const port = db.stream.elect({ soon: (run) => run(), after: () => ({ cancel: () => {} }) })
    db.stream.elect({ soon: () => {}, after: () => ({ cancel: () => {} }) })
    expect(port.failed?.code).toBe('fenced')
    expect(await db.call(writer?.lead(port, 2, db.b.address) as Promise<boolean>)).toBe(false)
    await db.until(() => db.a.isReady && !db.a.leads)
    await db.lead(db.a)
    await db.deposit(db.a, '1', 6)
    await db.agree()
    expect([db.b.writer === writer, db.b.leads]).toEqual([true, false])
  })

  it('does not lead a stream that ends before what its store has applied', async () => {
    const db = await started()
    await db.deposit(db.a, '1', 5)
    await db.agree()
    // What its store has applied the writer hears by a message.
    await db.until(() => db.b.writer?.writer.applied === db.stream.tail)
    const port = db.stream.elect({ soon: () => {}, after: () => ({ cancel: () => {} }) })
    Object.assign(port, { committed: port.committed - 1 })
    const leading = db.call(db.b.writer?.lead(port, 2, db.b.address) as Promise<boolean>)
    await expect(leading).rejects.toMatchObject({ code: 'journal_corrupt', details: { rule: 'R7' } })
  })
})

describe('a history of failovers', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'loses nothing that was acknowledged and does nothing twice, from seed %d',
    async (seed) => {
      const { violations, reads } = await simulateStandby(seed)
      expect(violations).toEqual([])
      expect([reads.leading, reads.following].every((count) => count > 5)).toBe(true)
    },
  )

  it('finds that a linearizable read is stale where nobody is asked whether the leader leads', async () => {
    const violations: string[] = []
    for (let seed = 1; seed <= 8 && violations.length === 0; seed++)
      violations.push(...(await simulateStandby(seed, { isUnconfirmed: true })).violations)
    expect(violations).toContainEqual(expect.stringMatching(/^a linearizable read on . sees \d+ deposits, and/))
  })
})
