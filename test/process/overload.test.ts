import { afterEach, describe, expect, it } from 'vitest'
import { type ClientOutcome, type CommanderError, type Database, isCommanderError } from '../../src/client.ts'
import { limits } from '../../src/kernel/limits.ts'
import { allEvents } from './bank-load.ts'
import { fixtureApplication, RunningDatabase, residentBytesOf, until } from './running-database.ts'

const mebibyte = 1 << 20
/** What a process that does not take it can make the journal writer hold in memory. */
const heldBytesMax = limits.ipcCreditBytes + limits.bridgeBytesMax
const troublesome = fixtureApplication('troublesome')
const application = 'application-troublesome-1'

let database: RunningDatabase | undefined
afterEach(async () => {
  await database?.remove()
  database = undefined
})

async function start(config: ConstructorParameters<typeof RunningDatabase>[0] = {}): Promise<RunningDatabase> {
  database = await RunningDatabase.start({ applications: [{ module: troublesome }], ...config })
  return database
}

/**
 * What the process has not got is then on the disk alone. On a host so slow that this takes more than ten seconds the
 * supervisor ends it for its silence, which is another way to catch up.
 */
async function untilItLags(db: RunningDatabase, name: string): Promise<void> {
  await until('its lag to show, or its end for its silence', async () => {
    const { lag, restarts } = await db.process(name)
    return restarts > 0 || (lag?.bytes ?? 0) > heldBytesMax
  })
}

const completedOnly = (outcomes: readonly ClientOutcome[]): void =>
  expect(new Set(outcomes.map(({ outcome }) => outcome))).toEqual(new Set(['completed']))

/**
 * Counts on many aggregates; each must be there once in the end. The last one's entry is behind all others, so that a
 * read from a store that has applied it sees them all; the status is up to a second old and says no such thing.
 */
async function verifyCounts(client: Database, count: number): Promise<void> {
  const last = await client.execute('thing', '0', 'count', null, { wait: 'applied' })
  expect(last.outcome).toBe('completed')
  expect((await allEvents(client)).length).toBe(count + 1)
}

describe('100,000 commands at once to an application that is stopped', () => {
  it('wait without using up memory, and are all completed once it goes on', async () => {
    const db = await start()
    const client = await db.connect({ timeoutMs: 900_000 })
    await db.signal(application, 'SIGSTOP')
    const count = 100_000
    const all = Promise.all(Array.from({ length: count }, (_, i) => client.execute('thing', `${i % 1000}`, 'count')))
    await until('the commands to be received', async () => (await client.commands('pending')).length >= 1000)
    expect(await db.residentBytes()).toBeLessThan(1100 * mebibyte)
    await db.signal(application, 'SIGCONT')
    completedOnly(await all)
    expect(await db.residentBytes()).toBeLessThan(1100 * mebibyte)
    await verifyCounts(client, count)
  })

  it('are sent away as overloaded beyond the limit, and none of those received is lost', async () => {
    const db = await start({ limits: { pendingCommands: 500 } })
    const impatient = await db.connect({ timeoutMs: 3000, maxInFlight: 16_384 })
    await db.signal(application, 'SIGSTOP')
    const keys = Array.from({ length: 20_000 }, (_, i) => `key-${i}`)
    const execute = (client: Database, key: string, i: number): Promise<ClientOutcome> =>
      client.execute('thing', `${i % 100}`, 'count', null, { idempotencyKey: key })
    const settled = await Promise.allSettled(keys.slice(0, 10_000).map((key, i) => execute(impatient, key, i)))
    const codes = new Set(
      settled.map((one) => (one.status === 'rejected' ? (one.reason as CommanderError).code : 'none')),
    )
    expect([...codes].sort()).toEqual(expect.arrayContaining(['timeout']))
    for (const one of settled) expect(one.status === 'rejected' && (one.reason as CommanderError).retryable).toBe(true)
    expect((await impatient.commands('pending')).length).toBeLessThanOrEqual(500)
    expect(await db.residentBytes()).toBeLessThan(1100 * mebibyte)
    await db.signal(application, 'SIGCONT')
    const patient = await db.connect({ timeoutMs: 600_000 })
    completedOnly(await Promise.all(keys.map((key, i) => execute(patient, key, i))))
    await verifyCounts(patient, keys.length)
  })
})

describe('a follower that is stopped', () => {
  it.each(['projection-applier', 'dispatcher', application])(
    'like %s does not make the journal writer grow, and catches up when it goes on',
    async (name) => {
      const db = await start({ limits: { pendingCommands: 100_000, pendingBytes: 1 << 30 } })
      const client = await db.connect({ timeoutMs: 900_000, maxInFlight: 256 })
      completedOnly(await Promise.all(Array.from({ length: 2000 }, (_, i) => client.execute('thing', `${i}`, 'count'))))
      const writer = await db.pidOf('journal-writer')
      const before = residentBytesOf(writer)
      await db.signal(name, 'SIGSTOP')
      const text = 'x'.repeat(20_000)
      const count = 8000
      const sent = Promise.all(
        Array.from({ length: count }, (_, i) =>
          client.execute('thing', `${i % 500}`, 'count', { text }, { wait: 'received' }),
        ),
      )
      const lagging = untilItLags(db, name)
      await sent
      expect(residentBytesOf(writer) - before).toBeLessThan(110 * mebibyte)
      await lagging
      expect((await client.read('thing', '0', { minLsn: 0 })).revision).toBeGreaterThan(0)
      if (name === 'projection-applier') completedOnly([await client.execute('thing', '0', 'count')])
      else expect((await client.execute('thing', '0', 'count', null, { wait: 'received' })).outcome).toBe('received')
      await db.signal(name, 'SIGCONT')
      await until('everything to be completed', async () => (await client.commands('pending')).length === 0)
      await until('it to have caught up', async () => (await db.process(name)).lag?.lsns === 0)
      await verifyCounts(client, 2001 + count)
      expect(await db.pidOf('journal-writer')).toBe(writer)
    },
  )
})

describe('a gateway that is stopped', () => {
  it('holds up nobody else, makes nobody grow, and answers everything when it goes on', async () => {
    const db = await start()
    const client = await db.connect({ timeoutMs: 900_000, maxInFlight: 16_384 })
    await client.execute('thing', 'a', 'count')
    const writer = await db.pidOf('journal-writer')
    const before = residentBytesOf(writer)
    const text = 'x'.repeat(5000)
    const count = 8000
    const all = Promise.all(
      Array.from({ length: count }, (_, i) => client.execute('thing', `${i % 500}`, 'count', { text })),
    )
    await until('some to be received', async () => ((await db.status())?.lsn.written ?? 0) > 100)
    await db.signal('gateway', 'SIGSTOP')
    await until('the others to be done with what was received', async () => {
      const status = await db.status()
      const stored = status?.processes.find(({ name }) => name === 'projection-applier')
      const stopped = status?.processes.find(({ name }) => name === 'gateway')
      const isBehind = (stopped?.lag?.lsns ?? 0) > 0 || (stopped?.appliedLsn ?? 0) === status?.lsn.written
      return stored?.appliedLsn === status?.lsn.written && isBehind
    })
    expect(residentBytesOf(writer) - before).toBeLessThan(110 * mebibyte)
    await db.signal('gateway', 'SIGCONT')
    completedOnly(await all)
    await verifyCounts(client, count + 1)
    expect(await db.pidOf('journal-writer')).toBe(writer)
  })

  it('catches up from the disk when more was written meanwhile than its window and the memory of the writer hold', async () => {
    const db = await start()
    const client = await db.connect({ timeoutMs: 900_000 })
    await client.execute('thing', 'a', 'count')
    const writer = await db.pidOf('journal-writer')
    const before = residentBytesOf(writer)
    await db.signal(application, 'SIGSTOP')
    const [bytes, count] = [200_000, 300]
    const all = Promise.all(
      Array.from({ length: count }, (_, i) => client.execute('thing', `${i}`, 'produce', { bytes })),
    )
    await until('them to be received', async () => (await client.commands('pending', 1000)).length === count)
    await db.signal('gateway', 'SIGSTOP')
    await db.signal(application, 'SIGCONT')
    await untilItLags(db, 'gateway')
    expect(residentBytesOf(writer) - before).toBeLessThan(110 * mebibyte)
    await db.signal('gateway', 'SIGCONT')
    completedOnly(await all)
    await until('it to have caught up', async () => (await db.process('gateway')).lag?.lsns === 0)
    await verifyCounts(client, count + 1)
  })
})

describe('one of two instances of an application that is stopped', () => {
  it('holds up its own aggregates only, shows how far it is behind, and ends them when it goes on', async () => {
    const db = await start({ applications: [{ module: troublesome, instances: 2 }] })
    const client = await db.connect({ timeoutMs: 900_000 })
    const count = 400
    const countAll = (): Promise<ClientOutcome>[] =>
      Array.from({ length: count }, (_, i) => client.execute('thing', `${i}`, 'count'))
    completedOnly(await Promise.all(countAll()))
    await db.signal(application, 'SIGSTOP')
    let ended = 0
    const all = countAll().map((one) => one.finally(() => ended++))
    let endedBefore = 0
    const { lag, appliedLsn } = await until('the other instance to be done, and the lag of this one', async () => {
      const one = await db.process(application)
      const { length: pending } = await client.commands('pending', 1000)
      // At any time each is pending or has ended: it is done when none ends any more.
      const isDone = ended > 0 && ended === endedBefore
      endedBefore = ended
      return isDone && pending > 0 && ended + pending === count && (one.lag?.lsns ?? 0) > 0 ? one : null
    })
    expect(ended).toBeGreaterThan(count / 10)
    expect(ended).toBeLessThan(count)
    expect(lag).toMatchObject({ bytes: expect.any(Number), ms: expect.any(Number) })
    const older = await until('the lag to grow older', async () => {
      const now = (await db.process(application)).lag
      return now !== null && lag !== null && now.ms > lag.ms ? now : null
    })
    expect(older.lsns).toBeGreaterThanOrEqual(lag?.lsns ?? 0)
    expect(older.bytes).toBeGreaterThan(0)
    await db.signal(application, 'SIGCONT')
    completedOnly(await Promise.all(all))
    await until('it to have caught up', async () => {
      const now = await db.process(application)
      return now.lag?.lsns === 0 && (now.appliedLsn ?? 0) > (appliedLsn ?? 0)
    })
    await verifyCounts(client, 2 * count)
  })
})

describe('a journal writer that is stopped', () => {
  it('does not make the gateway grow, however much is pushed, and all is completed when it goes on', async () => {
    const db = await start()
    const client = await db.connect({ timeoutMs: 900_000, maxInFlight: 16_384 })
    await client.execute('thing', 'a', 'count')
    const gateway = await db.pidOf('gateway')
    const before = residentBytesOf(gateway)
    await db.signal('journal-writer', 'SIGSTOP')
    const text = 'x'.repeat(50_000)
    const count = 6000
    const all = Promise.all(
      Array.from({ length: count }, (_, i) => client.execute('thing', `${i % 500}`, 'count', { text })),
    )
    for (let look = 0; look < 20; look++) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      expect(residentBytesOf(gateway) - before).toBeLessThan(200 * mebibyte)
    }
    await db.signal('journal-writer', 'SIGCONT')
    completedOnly(await all)
    await verifyCounts(client, count + 1)
  })
})

describe('a client that is closed', () => {
  it('leaves no call without an answer, those that waited in it included', async () => {
    const db = await start()
    const client = await db.connect({ maxInFlight: 10 })
    await db.signal(application, 'SIGSTOP')
    const calls = Array.from({ length: 1000 }, () => client.execute('thing', 'a', 'count'))
    const settled = Promise.allSettled(calls)
    await client.close()
    for (const one of await settled) {
      expect(one.status === 'rejected' && isCommanderError(one.reason) && one.reason.code).toBe('connection_lost')
    }
  })
})
