import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { defineAggregate, defineMigration, type Migration } from '../../src/index.ts'
import type { MigrationResult } from '../../src/migrator/migrator.ts'
import { tableNames } from '../../src/tables/table-names.ts'
import {
  applicationV1,
  applicationV2,
  applicationV2Alone,
  ledgerV1,
  ledgerV2,
  toCents,
} from '../fixtures/applications/books.ts'
import { MigrationWorld } from './migration-world.ts'

let world: MigrationWorld
beforeEach(() => {
  world = new MigrationWorld()
})
afterEach(() => world.remove())

/** Ledgers of version 1 with some adds each, and one parked command. @returns the parked one's id */
async function fill(ledgers: number, adds: number): Promise<string> {
  await world.start(applicationV1)
  const { db } = world
  const calls: Promise<unknown>[] = []
  for (let i = 0; i < ledgers; i++) {
    calls.push(db.execute(ledgerV1, `${i}`, 'open', { owner: `o${i}` }))
    for (let k = 1; k <= adds; k++) {
      calls.push(db.execute(ledgerV1, `${i}`, 'add', k % 5 === 0 ? { amount: k, note: `n${k}` } : { amount: k }))
    }
  }
  await Promise.all(calls)
  const parked = await db.execute(ledgerV1, '0', 'fail', { amount: 7 })
  expect(parked.outcome).toBe('parked')
  return parked.id
}

const sumTo = (n: number): number => (n * (n + 1)) / 2

describe('a migration', () => {
  it('is planned with counts and samples, and nothing is done', async () => {
    await fill(3, 10)
    const before = world.applier.applier.state.lsn
    const plan = await world.withMigrator(({ migrator }) => migrator.plan(toCents, 1))
    expect(plan).toMatchObject({
      aggregate: 'ledger',
      streams: 3,
      events: { toRewrite: 39, current: 0, unlikeUpcast: 6, dropped: 6 },
      commands: { toRewrite: 1, byName: [{ command: 'fail', status: 'parked', version: 1, count: 1 }] },
      failures: { count: 0 },
    })
    expect(plan.events.byType).toEqual([
      { type: 'added', version: 1, count: 30 },
      { type: 'noted', version: 1, count: 6 },
      { type: 'opened', version: 1, count: 3 },
    ])
    expect(plan.samples).toContainEqual({
      where: 'ledger/0 revision 1',
      before: { type: 'opened', data: { owner: 'o0' } },
      after: { type: 'started', data: { owner: { name: 'o0' } } },
    })
    expect(world.applier.applier.state.lsn).toBe(before)
  })

  it('is refused at its switch while older code runs, and goes on where it was with the new code', async () => {
    await fill(3, 10)
    const refused = world.withMigrator(({ migrator }) => migrator.migrate(toCents, () => {}))
    await expect(refused).rejects.toMatchObject({ code: 'not_ready', message: expect.stringContaining('books-1') })
    const copied = await world.withMigrator(async ({ follow }) => {
      await follow.ready()
      return follow.state.migrations.byType.get('ledger')
    })
    expect(copied).toMatchObject({ switchedLsn: 0, rewritten: 33, copied: 39 })
    await world.stop()
    await world.start(applicationV2)
    const result = await world.withMigrator(({ migrator }) => migrator.migrate(toCents, () => {}))
    expect(result).toMatchObject({ aggregate: 'ledger', toVersion: 2, entriesRewritten: 33 })
  })

  it('gives readers, states, outcomes, projections and parked commands the new form, and new code needs no upcast', async () => {
    const parked = await fill(4, 40)
    await world.stop()
    await world.start(applicationV2)
    const before = await world.db.read(ledgerV2, '1')
    await world.withMigrator(({ migrator }) => migrator.migrate(toCents, () => {}))
    const { events } = await world.db.stream(ledgerV2, '1')
    expect(events.map(({ revision }) => revision)).toEqual(Array.from({ length: 49 }, (_, i) => i + 1))
    expect(events[0]).toMatchObject({ type: 'started', data: { owner: { name: 'o1' } } })
    expect(events.filter(({ type }) => (type as string) === 'stream/dropped')).toHaveLength(8)
    expect(await world.db.read(ledgerV2, '1')).toEqual(before)
    await world.withMigrator(({ migrator }) => migrator.finalise('ledger'))
    await world.stop()
    await world.start(applicationV2Alone)
    expect((await world.db.read(ledgerV2, '2')).state).toEqual({ totalCents: sumTo(40) * 100, owner: { name: 'o2' } })
    await world.db.retryCommand(parked)
    const retried = await world.db.command(parked, { waitMs: 5000 })
    expect(retried).toMatchObject({ status: 'completed', events: [{ type: 'added', data: { amountCents: 700 } }] })
    expect((await world.db.read(ledgerV2, '0')).state.totalCents).toBe(sumTo(40) * 100 + 700)
    expect(await world.db.projection('totals', '3')).toMatchObject({ value: { cents: sumTo(40) * 100 } })
    await world.db.rebuildProjection('totals')
    await world.pause(300)
    expect(await world.db.projection('totals', '3')).toMatchObject({ value: { cents: sumTo(40) * 100 } })
  })
})

const migrateTo2 = (): Promise<MigrationResult> =>
  world.withMigrator(({ migrator }) => migrator.migrate(toCents, () => {}))

const restart = async (application: Parameters<MigrationWorld['start']>[0]): Promise<void> => {
  await world.stop()
  await world.start(application)
}

/** Everything that readers see of all events. */
async function allEvents(): Promise<unknown[]> {
  const events: unknown[] = []
  for await (const batch of world.db.eventBatches({ after: 0, follow: false })) events.push(...batch)
  return events
}

/** Rows of the rewritten copies that the store still has. */
async function rowsLeft(): Promise<number> {
  const store = world.surroundings.openStore('read')
  try {
    return store.table(tableNames.rewritten).count()
  } finally {
    await store.close()
  }
}

async function untilCleared(): Promise<void> {
  while ((await rowsLeft()) > 0) await world.pause(10)
}

describe('a switch', () => {
  it('leaves no event out and repeats none under commands that go on, and each is decided on the state before it', async () => {
    await fill(8, 60)
    await restart(applicationV2)
    let isOver = false
    const acknowledged = new Map<string, number>()
    const load = Array.from({ length: 8 }, async (_, i) => {
      const id = String(i + 1)
      while (!isOver) {
        const outcome = await world.db.execute(ledgerV2, id, 'add', { amountCents: 1 })
        expect(outcome.outcome).toBe('completed')
        acknowledged.set(id, (acknowledged.get(id) ?? 0) + 1)
      }
    })
    await world.pause(50)
    const { switchedLsn } = await migrateTo2()
    await world.pause(50)
    isOver = true
    await Promise.all(load)
    for (const [id, count] of acknowledged) {
      const { state, revision } = await world.db.read(ledgerV2, id)
      const old = Number(id) < 8 ? sumTo(60) * 100 : 0
      expect(state.totalCents).toBe(old + count)
      expect(revision).toBe((Number(id) < 8 ? 73 : 0) + count)
    }
    const after = (await allEvents()) as { lsn: number; globalPosition: number }[]
    expect(after.map(({ globalPosition }) => globalPosition)).toEqual(after.map((_, i) => i + 1))
    expect(after.some(({ lsn }) => lsn > switchedLsn)).toBe(true)
    await world.withMigrator(({ migrator }) => migrator.finalise('ledger'))
    await untilCleared()
    expect(await allEvents()).toEqual(after)
  })

  it('gives commands that were pending and parked before it their new data', async () => {
    const parked = await fill(1, 1)
    const behind = await world.db.execute(ledgerV1, '0', 'add', { amount: 3 }, { wait: 'received' })
    await restart(applicationV2)
    expect(await world.db.command(behind.id)).toMatchObject({ status: 'pending' })
    await migrateTo2()
    await world.db.retryCommand(parked)
    expect(await world.db.command(behind.id, { waitMs: 5000 })).toMatchObject({
      status: 'completed',
      events: [{ data: { amountCents: 300 }, revision: 4 }],
    })
    expect((await world.db.read(ledgerV2, '0')).state.totalCents).toBe(1100)
  })

  it('is the same in a store that is built again from the journal', async () => {
    await fill(5, 30)
    await restart(applicationV2)
    await migrateTo2()
    await world.db.execute(ledgerV2, '4', 'add', { amountCents: 5 })
    await world.withMigrator(({ migrator }) => migrator.finalise('ledger'))
    await untilCleared()
    const before = { events: await allEvents(), state: await world.db.read(ledgerV2, '4') }
    await world.stop()
    rmSync(join(world.dataDir, 'store'), { recursive: true })
    await world.start(applicationV2Alone)
    expect({ events: await allEvents(), state: await world.db.read(ledgerV2, '4') }).toEqual(before)
  })

  it('gives deleted streams nothing back, whether they were deleted before it, after it, or once it was final', async () => {
    await fill(6, 30)
    await restart(applicationV2)
    const remove = async (id: string): Promise<void> => {
      await world.db.closeStream('ledger', id)
      await world.db.deleteStream('ledger', id)
    }
    await remove('1')
    await migrateTo2()
    await remove('2')
    await world.withMigrator(({ migrator }) => migrator.finalise('ledger'))
    await untilCleared()
    await remove('3')
    for (const id of ['1', '2', '3'])
      await expect(world.db.stream(ledgerV2, id)).rejects.toMatchObject({ code: 'stream_deleted' })
    const idsLeft = async (): Promise<string[]> => {
      const left = (await allEvents()) as { aggregate: { id: string } }[]
      return [...new Set(left.map(({ aggregate }) => aggregate.id))].sort()
    }
    while ((await idsLeft()).length > 3) await world.pause(10)
    expect(await idsLeft()).toEqual(['0', '4', '5'])
    expect((await world.db.stream(ledgerV2, '4')).events).toHaveLength(37)
    await restart(applicationV2Alone)
    expect((await world.db.read(ledgerV2, '5')).state.totalCents).toBe(sumTo(30) * 100)
  })
})

describe('an abandoned migration', () => {
  it('leaves nothing behind before its switch, and another one may begin', async () => {
    await fill(3, 20)
    const before = await allEvents()
    await expect(migrateTo2()).rejects.toMatchObject({ code: 'not_ready' })
    while ((await rowsLeft()) === 0) await world.pause(10)
    await world.withMigrator(({ migrator }) => migrator.abandon('ledger'))
    await untilCleared()
    expect(await allEvents()).toEqual(before)
    expect((await world.db.execute(ledgerV1, '2', 'add', { amount: 1 })).outcome).toBe('completed')
    await restart(applicationV2)
    expect(await migrateTo2()).toMatchObject({ toVersion: 2 })
  })

  it('is read as before after its switch, with the code of the new version', async () => {
    await fill(3, 20)
    await restart(applicationV2)
    const before = await allEvents()
    await migrateTo2()
    expect(await allEvents()).not.toEqual(before)
    await world.withMigrator(({ migrator }) => migrator.abandon('ledger'))
    await untilCleared()
    expect(await allEvents()).toEqual(before)
    const added = await world.db.execute(ledgerV2, '2', 'add', { amountCents: 1 })
    expect(added).toMatchObject({ outcome: 'completed', events: [{ revision: 26 }] })
    expect((await world.db.read(ledgerV2, '2')).state.totalCents).toBe(sumTo(20) * 100 + 1)
    expect(await migrateTo2()).toMatchObject({ toVersion: 2 })
  })
})

describe('what cannot be migrated', () => {
  const migrateBy = (migration: Migration): Promise<unknown> =>
    world.withMigrator(({ migrator }) => migrator.migrate(migration, () => {}))
  const base = { aggregate: ledgerV2, fromVersion: 1, toVersion: 2 } as const

  it('is named with its place: what throws, what is split, what evolve does not know', async () => {
    await fill(2, 5)
    const throwing = defineMigration({
      ...base,
      event: (type) => {
        if (type === 'noted') throw new Error('what is a note?')
        return { type: 'started', data: { owner: { name: '' } } }
      },
    })
    const plan = await world.withMigrator(({ migrator }) => migrator.plan(throwing, 0))
    expect(plan.failures).toMatchObject({
      count: 2,
      first: [
        { where: expect.stringMatching(/event "noted" of ledger\/0 at revision 7/), message: 'what is a note?' },
        {},
      ],
    })
    const split = defineMigration({ ...base, event: (() => [{ type: 'noted' }, { type: 'noted' }]) as never })
    await expect(migrateBy(split)).rejects.toThrowError(/returned 2 events; an event stays one event/)
    await world.withMigrator(({ migrator }) => migrator.abandon('ledger'))
    const unknown = defineMigration({ ...base, event: (() => ({ type: 'opened' })) as never })
    await expect(migrateBy(unknown)).rejects.toThrowError(/an event "opened", but must return an event that evolve/)
  })

  it('is a type that nobody has, a version that is there already, and one that others are at', async () => {
    await fill(1, 5)
    const stranger = defineAggregate({ ...strangerDefinition, version: 2 })
    const noSuch = defineMigration({ aggregate: stranger, fromVersion: 1, toVersion: 2 })
    await expect(migrateBy(noSuch)).rejects.toMatchObject({ code: 'unknown_aggregate' })
    await expect(migrateTo2()).rejects.toMatchObject({ code: 'not_ready' })
    const other = defineMigration({ ...base, event: () => null })
    await expect(migrateBy(other)).rejects.toThrowError(/version 2 by other code is under way.*--abandon/)
    await expect(world.withMigrator(({ migrator }) => migrator.finalise('ledger'))).rejects.toThrowError(
      /has not switched/,
    )
    await restart(applicationV2)
    const first = await migrateTo2()
    expect(await migrateTo2()).toEqual(first)
    await world.withMigrator(({ migrator }) => migrator.finalise('ledger'))
    await expect(migrateTo2()).rejects.toThrowError(/are at version 2 already/)
    const gone = world.withMigrator(({ migrator }) => migrator.abandon('ledger'))
    await expect(gone).rejects.toMatchObject({ code: 'not_found' })
  })

  it('is code of before the switch afterwards: it gets no work, and its gateway says what to do', async () => {
    await fill(2, 5)
    await restart(applicationV2)
    await migrateTo2()
    await restart(applicationV1)
    const late = world.db.execute(ledgerV1, '1', 'add', { amount: 1 })
    await expect(late).rejects.toThrowError(
      /migrated to version 2.*runs its version 1.*start it again with the new code/,
    )
  })
})

const strangerDefinition = {
  name: 'stranger',
  initialState: () => 0,
  decide: { come: () => ({ type: 'came' as const }) },
  evolve: { came: (state: number) => state + 1 },
}
