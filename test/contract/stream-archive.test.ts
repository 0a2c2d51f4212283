import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MemoryTarget } from '../../src/archive/memory-target.ts'
import type { ClientEvent, Database } from '../../src/client.ts'
import { CommanderError } from '../../src/kernel/errors.ts'
import { httpTwin, socketTwin, type Twin } from './client-twins.ts'
import { openWorld, type World } from './http-world.ts'

let world: World
let db: Database
let target: MemoryTarget

async function begin(of: Twin, hasArchive = true): Promise<void> {
  target = new MemoryTarget()
  world = await openWorld({ vault: hasArchive ? target : null })
  db = await (await of.open(world)).connect({ timeoutMs: 3_000 })
}

afterEach(async () => {
  await db.close()
  await world.close()
})

const deposit = (id: string, amountCents = 1, more = {}): Promise<unknown> =>
  db.execute('account', id, 'deposit', { amountCents }, more)
const fails = (promise: Promise<unknown>, code: string, message = /./): Promise<void> =>
  expect(promise).rejects.toMatchObject({ name: 'CommanderError', code, message: expect.stringMatching(message) })

async function allEvents(after = 0): Promise<ClientEvent[]> {
  const events: ClientEvent[] = []
  for await (const event of db.events({ after })) events.push(event)
  return events
}

/** All events of one stream, page by page. */
async function whole(id: string, from = 1): Promise<ClientEvent[]> {
  const events: ClientEvent[] = []
  for (;;) {
    const page = await db.stream('account', id, { from: from + events.length, limit: 7 })
    if (page.events.length === 0) return events
    events.push(...page.events)
  }
}

const breakDown = (): void => {
  target.fault = () => {
    throw new CommanderError('archive_unavailable', 'the archive is down')
  }
}

describe.each([socketTwin, httpTwin])('a client $name', (of) => {
  it('reads archived events back wherever it reads', async () => {
    await begin(of)
    for (let i = 1; i <= 20; i++) {
      await deposit('a', i)
      await deposit('b', i)
    }
    const before = { stream: await whole('a'), all: await allEvents() }
    const atLsn = before.stream[6]?.lsn as number
    const then = await db.read('account', 'a', { atLsn })
    expect(await db.archiveStream('account', 'a', { upTo: 12 })).toMatchObject({ status: 'open', archivedUpTo: 12 })
    expect(await db.archiveStream('account', 'a', { upTo: 15 })).toMatchObject({ archivedUpTo: 15 })
    expect([...target.objects.keys()].filter((name) => name.startsWith('streams/account/a/'))).toHaveLength(2)
    await expect.poll(() => world.holes()).toBe(15)
    expect(await whole('a')).toEqual(before.stream)
    expect(await whole('a', 11)).toEqual(before.stream.slice(10))
    expect(await allEvents()).toEqual(before.all)
    expect(await allEvents(9)).toEqual(before.all.slice(9))
    expect(await db.read('account', 'a', { atLsn })).toEqual(then)
    await deposit('a', 100)
    expect(await db.read('account', 'a')).toMatchObject({ revision: 21 })
    expect(await db.archiveStream('account', 'a')).toMatchObject({ revision: 21, archivedUpTo: 21 })
    expect((await whole('a')).map(({ revision }) => revision)).toEqual(Array.from({ length: 21 }, (_, i) => i + 1))
    expect(await deposit('a', 5)).toMatchObject({ outcome: 'completed', events: [{ revision: 22 }] })
  })

  it('gets the outcome of a key and of a command whose events are archived', async () => {
    await begin(of)
    const first = (await deposit('a', 5, { idempotencyKey: 'k' })) as { id: string }
    await db.archiveStream('account', 'a')
    await expect.poll(() => world.holes()).toBe(1)
    const again = { outcome: 'completed', id: first.id, duplicate: true, events: [{ data: { amountCents: 5 } }] }
    expect(await deposit('a', 5, { idempotencyKey: 'k' })).toMatchObject(again)
    expect(await db.command(first.id)).toMatchObject({ status: 'completed', events: [{ data: { amountCents: 5 } }] })
  })

  it('builds a projection from archived events too', async () => {
    await begin(of)
    for (let i = 1; i <= 5; i++) await deposit('a', i)
    await db.archiveStream('account', 'a')
    await expect.poll(() => world.holes()).toBe(5)
    await db.rebuildProjection('balances')
    await expect
      .poll(async () => (await db.projections()).find(({ name }) => name === 'balances'), { timeout: 10_000 })
      .toMatchObject({ status: 'live' })
    expect(await db.projection('balances', 'a')).toMatchObject({ value: { balanceCents: 15 } })
  })

  it('is told that the archive is down, and goes on when it is back', async () => {
    await begin(of)
    for (let i = 1; i <= 5; i++) await deposit('a', i)
    await deposit('b', 9)
    await db.archiveStream('account', 'a', { upTo: 3 })
    await expect.poll(() => world.holes()).toBe(3)
    breakDown()
    await fails(db.stream('account', 'a'), 'archive_unavailable', /down/)
    await fails(db.archiveStream('account', 'a'), 'archive_unavailable')
    expect((await db.stream('account', 'a', { from: 4 })).events).toHaveLength(2)
    expect(await db.read('account', 'a')).toMatchObject({ revision: 5 })
    expect(await deposit('a')).toMatchObject({ outcome: 'completed' })
    expect((await db.stream('account', 'b')).events).toHaveLength(1)
    target.fault = () => {}
    expect(await whole('a')).toHaveLength(6)
    expect(await db.archiveStream('account', 'a')).toMatchObject({ archivedUpTo: 6 })
  })

  it('is told of an object that is gone, or is not what the journal says', async () => {
    await begin(of)
    await deposit('a')
    await db.archiveStream('account', 'a')
    await expect.poll(() => world.holes()).toBe(1)
    const [name] = [...target.objects.keys()] as [string]
    const bytes = target.objects.get(name) as Buffer
    target.objects.set(name, Buffer.from(bytes.map((byte, i) => (i === 30 ? byte ^ 1 : byte))))
    await fails(db.stream('account', 'a'), 'archive_corrupt', /digest/)
    target.objects.delete(name)
    await fails(db.stream('account', 'a'), 'archive_corrupt', /no object/)
    target.objects.set(name, bytes)
    expect(await whole('a')).toHaveLength(1)
  })

  it('is told that the archive keeps other bytes than it was given, and then nothing is archived', async () => {
    await begin(of)
    await deposit('a')
    const put = target.putBytes.bind(target)
    target.putBytes = (name, bytes) =>
      put(
        name,
        bytes.map((byte, i) => (i === 30 ? byte ^ 1 : byte)),
      )
    await fails(db.archiveStream('account', 'a'), 'archive_corrupt', /gives back other bytes/)
    expect(world.holes()).toBe(0)
    expect(await whole('a')).toHaveLength(1)
  })

  it('deletes an archived stream, whose events nobody brings back', async () => {
    await begin(of)
    for (let i = 0; i < 4; i++) await deposit('a')
    await deposit('b')
    await db.archiveStream('account', 'a', { upTo: 3 })
    expect(await db.deleteStream('account', 'a')).toMatchObject({ status: 'deleted', archivedUpTo: 0, revision: 4 })
    await expect.poll(async () => (await allEvents()).map((event) => event.globalPosition)).toEqual([5])
    await fails(db.archiveStream('account', 'a'), 'stream_deleted')
  })

  it('is told what is wrong with what it asks', async () => {
    await begin(of)
    await deposit('a')
    await fails(db.archiveStream('account', 'a', { upTo: 2 }), 'invalid_input', /revision 1/)
    await fails(db.archiveStream('account', 'typo'), 'not_found')
    await fails(db.archiveStream('nobody', 'a'), 'unknown_aggregate')
  })

  it('is told what to set when the database has no archive', async () => {
    await begin(of, false)
    await deposit('a')
    await fails(db.archiveStream('account', 'a'), 'invalid_config', /archive\.directory/)
  })
})

describe('two that archive one stream at once', () => {
  beforeEach(() => begin(socketTwin))

  it('archive each event once', async () => {
    for (let i = 0; i < 6; i++) await deposit('a')
    await Promise.all([db.archiveStream('account', 'a', { upTo: 4 }), db.archiveStream('account', 'a')])
    await expect.poll(() => world.holes()).toBe(6)
    expect(await whole('a')).toHaveLength(6)
  })
})
