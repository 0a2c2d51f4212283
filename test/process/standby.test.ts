import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import type { Database } from '../../src/client.ts'
import { RunningDatabase, until } from './running-database.ts'

const bank = join(import.meta.dirname, '..', '..', 'src', 'examples', 'bank', 'bank.ts')
const databases: RunningDatabase[] = []
afterEach(async () => {
  for (const database of databases.splice(0)) await database.remove()
})

const accounts = 5
const deposits = 60

it('a standby of real processes answers reads, refuses writes, and leads with the processes that it has', async () => {
  const applications = [{ module: bank }]
  const leader = new RunningDatabase({ applications })
  const standby = new RunningDatabase({ applications }, 'test/fixtures/standby/supervisor.ts', {
    STANDBY_OF: leader.dataDir,
  })
  databases.push(standby, leader)
  await leader.start()
  await standby.start()
  const writer = await leader.connect()
  const reader = await standby.connect({ timeoutMs: 10_000 })
  /** LSN of the event. */
  const deposit = async (client: Database, i: number): Promise<number> => {
    const key = { idempotencyKey: `deposit-${i}` }
    const outcome = await client.execute('account', `${i % accounts}`, 'deposit', { amountCents: i }, key)
    return outcome.outcome === 'completed' ? (outcome.events[0]?.lsn ?? 0) : 0
  }

  const lsns = await Promise.all(Array.from({ length: deposits }, (_, i) => deposit(writer, i + 1)))
  const { state } = await reader.read('account', '0', { minLsn: Math.max(...lsns) })
  expect(state).toMatchObject({ balanceCents: 390 })
  await expect(reader.execute('account', '0', 'deposit', { amountCents: 1 }, { timeoutMs: 300 })).rejects.toMatchObject(
    {
      code: 'not_leader',
      details: { leader: { id: 'a', url: 'http://a:7400' }, epoch: 1 },
    },
  )
  const before = await until('a status', () => standby.status())
  expect(before).toMatchObject({ ready: true, role: 'follower', replication: { epoch: 1, leader: { id: 'a' } } })

  await leader.killAll()
  writeFileSync(join(standby.dataDir, 'lead'), '')
  const after = await until('the standby to lead', async () => {
    const status = await standby.status()
    return status?.role === 'leader' && status.ready ? status : null
  })
  const pids = ({ processes }: typeof after): unknown => processes.map(({ name, pid }) => [name, pid])
  expect(pids(after)).toEqual(pids(before))
  expect(after.replication).toMatchObject({ epoch: 2, leader: { id: 'b' } })

  // Asked for again under their keys, as by a client that had no answer: they take effect once.
  await Promise.all(Array.from({ length: deposits + accounts }, (_, i) => deposit(reader, i + 1)))
  const balances = await Promise.all(Array.from({ length: accounts }, (_, i) => reader.read('account', `${i}`)))
  const sum = balances.reduce((total, one) => total + (one.state as { balanceCents: number }).balanceCents, 0)
  expect(sum).toBe(((deposits + accounts) * (deposits + accounts + 1)) / 2)
  expect(await standby.stop()).toBe(0)
})
