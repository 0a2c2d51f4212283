import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ClientEvent, Database } from '../../src/client.ts'
import { httpTwin, type OpenOptions, socketTwin, type Twin } from './client-twins.ts'
import { faults, openWorld, type World, type WorldOptions } from './http-world.ts'

let world: World
let db: Database

async function begin(of: Twin, options: WorldOptions = {}, client: OpenOptions = {}): Promise<void> {
  world = await openWorld(options)
  db = await (await of.open(world)).connect(client)
}

afterEach(async () => {
  faults.charge = false
  await db.close()
  if (world.pendingCommands() > 0) world.startApplication()
  await world.close()
})

const deposit = (id: string, amountCents = 1, more = {}): Promise<unknown> =>
  db.execute('account', id, 'deposit', { amountCents }, more)
const fails = (promise: Promise<unknown>, code: string): Promise<void> =>
  expect(promise).rejects.toMatchObject({ name: 'CommanderError', code })

async function allEvents(): Promise<ClientEvent[]> {
  const events: ClientEvent[] = []
  for await (const event of db.events()) events.push(event)
  return events
}

describe.each([socketTwin, httpTwin])('a client $name', (of) => {
  beforeEach(() => begin(of))

  it('closes a stream: no further command, and reads as before', async () => {
    await deposit('a', 5)
    expect(await db.streamLife('account', 'a')).toMatchObject({ status: 'open', revision: 1, closedLsn: null })
    const closed = await db.closeStream('account', 'a')
    expect(closed).toMatchObject({ status: 'closed', revision: 1, deletedLsn: null, aggregate: { id: 'a' } })
    await fails(deposit('a'), 'stream_closed')
    expect((await db.read('account', 'a')).revision).toBe(1)
    expect((await db.stream('account', 'a')).events).toHaveLength(1)
    expect(await db.closeStream('account', 'a')).toEqual(closed)
    expect(await deposit('b')).toMatchObject({ outcome: 'completed' })
  })

  it('deletes a stream: its events are left out, its id stays taken, its keys go on answering', async () => {
    await deposit('a', 5, { idempotencyKey: 'k' })
    await deposit('b', 6)
    await deposit('a', 7)
    await deposit('b', 8)
    const view = await db.deleteStream('account', 'a')
    expect(view).toMatchObject({ status: 'deleted', revision: 2 })
    await fails(deposit('a'), 'stream_deleted')
    await fails(db.read('account', 'a'), 'stream_deleted')
    await fails(db.stream('account', 'a'), 'stream_deleted')
    await fails(db.closeStream('account', 'a'), 'stream_deleted')
    expect(await db.deleteStream('account', 'a')).toEqual(view)
    await expect.poll(async () => (await allEvents()).map((event) => event.globalPosition)).toEqual([2, 4])
    expect(await deposit('a', 5, { idempotencyKey: 'k' })).toMatchObject({
      outcome: 'completed',
      duplicate: true,
      events: [],
    })
    await fails(deposit('a', 4, { idempotencyKey: 'k' }), 'idempotency_conflict')
    await deposit('b', 9)
    expect((await allEvents()).map((event) => event.globalPosition)).toEqual([2, 4, 5])
  })

  it('gives the same refusal again under the same key', async () => {
    await deposit('a')
    await db.closeStream('account', 'a')
    await fails(deposit('a', 2, { idempotencyKey: 'late' }), 'stream_closed')
    await db.deleteStream('account', 'a')
    await fails(deposit('a', 2, { idempotencyKey: 'late' }), 'stream_closed')
  })

  it('takes ids with signs that paths use', async () => {
    for (const id of ['a:b/c', 'x:close', '%', 'åö 1?']) {
      await deposit(id)
      expect(await db.closeStream('account', id)).toMatchObject({ status: 'closed', aggregate: { id } })
      expect(await db.deleteStream('account', id)).toMatchObject({ status: 'deleted', aggregate: { id } })
    }
  })

  it('is told of an aggregate that nobody defines, and of an id that was never used', async () => {
    await fails(db.closeStream('nobody', 'a'), 'unknown_aggregate')
    await fails(db.deleteStream('account', 'typo'), 'not_found')
    await fails(db.closeStream('account', 'typo'), 'not_found')
    expect(await db.streamLife('account', 'typo')).toMatchObject({ status: 'open', revision: 0 })
  })
})

describe.each([socketTwin, httpTwin])('a client $name, while no application runs', (of) => {
  it('closes at once, and deletes when the commands from before have ended', async () => {
    await begin(of, { isApplicationStarted: false })
    await deposit('a', 5, { wait: 'received' })
    expect(await db.closeStream('account', 'a')).toMatchObject({ status: 'closed', revision: 0 })
    await deposit('a', 6, { wait: 'received' })
    const deleted = db.deleteStream('account', 'a')
    world.startApplication()
    expect(await deleted).toMatchObject({ status: 'deleted', revision: 1 })
  })
})
