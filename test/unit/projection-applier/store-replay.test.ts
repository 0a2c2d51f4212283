import { beforeEach, describe, expect, it } from 'vitest'
import { lengthOf, padded } from '../../../src/actions/entry-layout.ts'
import { defineAggregate, defineApplication, defineProjection } from '../../../src/index.ts'
import { type Lsn, lsn } from '../../../src/kernel/identifiers.ts'
import { StoreReplay } from '../../../src/projection-applier/store-replay.ts'
import { stateHash } from '../../../src/state/snapshot.ts'
import { openMemoryStore } from '../../../src/store/memory-store.ts'
import { readPosition } from '../../../src/tables/meta.ts'
import { readProgress, readRow } from '../../../src/tables/projection-rows.ts'
import { readHead } from '../../../src/tables/streams.ts'
import { allTables, tableNames } from '../../../src/tables/table-names.ts'
import { received } from '../role-world.ts'
import { ApplierWorld, Counters } from './applier-world.ts'

const counter = defineAggregate({
  name: 'counter',
  initialState: () => 0,
  decide: { add: (data: { amount: number }) => ({ type: 'added', data }) },
  evolve: { added: (state, data: { amount: number }) => state + data.amount },
})
const sums = defineProjection({
  name: 'sums',
  version: 1,
  aggregates: [counter],
  initialRow: () => ({ sum: 0 }),
  on: {
    counter: {
      added: (table, { aggregate: { id }, data }) => table.put(id, { sum: table.get(id).sum + data.amount }),
    },
  },
})
const application = defineApplication({ name: 'test', aggregates: [counter], projections: [sums] as never })

let db: ApplierWorld
let counters: Counters
beforeEach(() => {
  db = new ApplierWorld({ applications: [application] })
  counters = new Counters(db)
})

/** Lets a promise that waits for the store finish. */
async function drive<Value>(promise: Promise<Value>, { world } = db): Promise<Value> {
  let isOver = false
  promise.then(
    () => {
      isOver = true
    },
    () => {
      isOver = true
    },
  )
  for (let turns = 0; !isOver && turns < 1000; turns++) {
    world.scheduler.settle()
    await Promise.resolve()
  }
  return promise
}

/** Gives a replay what it has not yet, up to an entry that ends a batch. */
async function feed(replay: StoreReplay, upTo: Lsn = db.journal.written): Promise<string> {
  for (const { payload, firstLsn, lastLsn } of db.journal.batches) {
    if (firstLsn < replay.next || lastLsn > upTo) continue
    await drive(replay.apply({ payload, end: payload.length, entries: lastLsn - firstLsn + 1 }))
  }
  return drive(replay.finish())
}

function someCommands(): void {
  counters.add('a', 1, 2)
  counters.add('b', 5)
  const command = db.append(
    received('c', 'add', null, { idempotencyKey: { key: 'k', digest: Buffer.alloc(16, 7), ttlMs: 1000 } }),
  )
  db.append({ type: 'command/started', instance: 'test-1', commands: [command] })
  db.append({ type: 'idempotency-key/expired', untilMs: 1_700_000_002_000 })
  db.append({ type: 'idempotency-key/deleted', untilMs: 1_700_000_002_000 })
  counters.add('a', 7)
}

describe('a replay into a store', () => {
  it('fills an empty one as the applier does, and says the hash of its state', async () => {
    someCommands()
    db.flush()
    const store = openMemoryStore({ tables: allTables, environment: db.world.environment })
    const hash = await feed(new StoreReplay(store))
    expect(hash).toBe(stateHash(db.applier.state))
    expect(readPosition(store)).toEqual(db.position)
    expect([readHead(store, 'counter/a'), readHead(store, 'counter/b')]).toEqual([
      { revision: 3, lastLsn: db.journal.written },
      readHead(db.store, 'counter/b'),
    ])
    expect(store.table(tableNames.outcomes).count()).toBe(3)
    expect(store.table(tableNames.keys).count()).toBe(0)
    expect(store.table(tableNames.expiries).count()).toBe(0)
  })

  it('leaves a state that a process starts from without reading the journal', async () => {
    someCommands()
    db.flush()
    const replayed = new ApplierWorld()
    const replay = new StoreReplay(replayed.store)
    for (const { payload, firstLsn, lastLsn } of db.journal.batches) {
      await drive(replay.apply({ payload, end: payload.length, entries: lastLsn - firstLsn + 1 }), replayed)
    }
    await drive(replay.finish(), replayed)
    expect(stateHash(replayed.root())).toBe(stateHash(db.applier.state))
  })

  it('goes on with one whose tables are ahead of its root', async () => {
    counters.add('a', 1, 2)
    db.flush()
    expect(db.hasRoot()).toBe(false)
    const { applied } = db.position
    db.applier.stop()
    counters.add('a', 4)
    counters.add('b', 8)
    const replay = new StoreReplay(db.store)
    expect([replay.next, replay.tablesAt]).toEqual([1, applied])
    await feed(replay)
    expect(db.position).toEqual({ applied: db.journal.written, globalPosition: 4 })
    expect(db.root().lsn).toBe(db.journal.written)
  })

  it('stops in the middle of a batch when it is told to', async () => {
    counters.add('a', 1)
    db.append(received('x'), received('y'), received('z'))
    const last = db.journal.batches.at(-1)
    const store = openMemoryStore({ tables: allTables, environment: db.world.environment })
    const replay = new StoreReplay(store)
    for (const { payload, firstLsn, lastLsn } of db.journal.batches.slice(0, -1)) {
      await drive(replay.apply({ payload, end: payload.length, entries: lastLsn - firstLsn + 1 }))
    }
    const payload = last?.payload as Buffer
    const second = padded(lengthOf(payload, 0))
    await drive(replay.apply({ payload, end: second + padded(lengthOf(payload, second)), entries: 2 }))
    await drive(replay.finish())
    expect(readPosition(store).applied).toBe(db.journal.written - 1)
    expect(replay.state.commands.byLsn.size).toBe(2)
  })

  it('says the hash of the state that it starts from, and none of an entry that it has passed', async () => {
    counters.add('a', 1)
    db.flush()
    db.applier.stop()
    await feed(new StoreReplay(db.store))
    const replay = new StoreReplay(db.store)
    const at = db.journal.written
    replay.wantHash(at)
    replay.wantHash(lsn(at - 1))
    expect([replay.hashAt(at), replay.hashAt(lsn(at - 1))]).toEqual([stateHash(replay.state), undefined])
  })

  it('says the hash of the state at entries that were asked for', async () => {
    counters.add('a', 1)
    db.flush()
    const at = db.journal.written
    const hash = stateHash(db.applier.state)
    counters.add('a', 1)
    const replay = new StoreReplay(openMemoryStore({ tables: allTables, environment: db.world.environment }))
    replay.wantHash(at)
    await feed(replay)
    expect(replay.hashAt(at)).toBe(hash)
    replay.wantHash(at)
    expect(replay.hashAt(db.journal.written)).toBeUndefined()
  })

  it('has projections go on from where they were, once their code is there', async () => {
    counters.add('a', 1, 2)
    for (let i = 0; i < 5; i++) db.flush()
    expect(readProgress(db.store, 'sums')).toEqual({ live: 1, building: null, failed: null })
    db.applier.stop()
    counters.add('a', 4)
    counters.add('b', 8)
    await feed(new StoreReplay(db.store))
    expect(readProgress(db.store, 'sums')).toEqual({ live: null, building: { version: 1, position: 2 }, failed: null })
    db.restart()
    for (let i = 0; i < 5; i++) db.flush()
    expect(readProgress(db.store, 'sums')).toEqual({ live: 1, building: null, failed: null })
    expect(readRow(db.store, 'sums', 1, 'a')).toEqual({ sum: 7 })
    expect(readRow(db.store, 'sums', 1, 'b')).toEqual({ sum: 8 })
  })

  it('leaves projections alone when there is no event for them', async () => {
    counters.add('a', 1)
    for (let i = 0; i < 5; i++) db.flush()
    db.applier.stop()
    db.append(received('x'))
    await feed(new StoreReplay(db.store))
    expect(readProgress(db.store, 'sums')).toEqual({ live: 1, building: null, failed: null })
  })
})
