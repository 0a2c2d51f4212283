import { beforeEach, describe, expect, it } from 'vitest'
import { isRemoved } from '../../../src/actions/entry-layout.ts'
import { type Lsn, lsn, revision } from '../../../src/kernel/identifiers.ts'
import { EventLogReader, eachEntry } from '../../../src/tables/event-log.ts'
import { readLife } from '../../../src/tables/lives.ts'
import { readOutcome } from '../../../src/tables/outcomes.ts'
import { listRemovals } from '../../../src/tables/removals.ts'
import { readSnapshot } from '../../../src/tables/snapshots.ts'
import { readHead, streamPointers } from '../../../src/tables/streams.ts'
import { tableNames } from '../../../src/tables/table-names.ts'
import { mark, received } from '../role-world.ts'
import { ApplierWorld, Counters } from './applier-world.ts'

let db: ApplierWorld
let counters: Counters
beforeEach(() => {
  db = new ApplierWorld()
  counters = new Counters(db)
})

const aggregate = (id: string) => ({ type: 'counter', id })
const close = (id: string): Lsn => db.append({ type: 'stream/closed', aggregate: aggregate(id), atMs: 0 })
const remove = (id: string, closedLsn: Lsn): Lsn =>
  db.append({ type: 'stream/deleted', aggregate: aggregate(id), closedLsn, atMs: 0 })

/** Positions of all events, and of those that were removed. */
function positions(): { readonly there: number[]; readonly removed: number[] } {
  const there: number[] = []
  const removed: number[] = []
  for (const block of new EventLogReader(db.store).blocksFrom(1)) {
    eachEntry(block, (b, o, first) => {
      const list = isRemoved(b, o) ? removed : there
      for (let i = 0; i < b.readUInt16LE(o + 46); i++) list.push(first + i)
    })
  }
  return { there, removed }
}

describe('a closed stream', () => {
  it('is on record with the first entry that closed it', () => {
    counters.add('a', 1)
    const first = close('a')
    close('a')
    db.flush()
    expect(readLife(db.store, 'counter/a')).toEqual({ closedLsn: first, deletedLsn: 0, lastRevision: 0, archives: [] })
    expect(readLife(db.store, 'counter/b').closedLsn).toBe(0)
    expect(readHead(db.store, 'counter/a')?.revision).toBe(1)
  })
})

describe('an archived stream', () => {
  it('has each event in one range: one that begins before or behind the last one’s end is void', () => {
    for (let i = 0; i < 6; i++) counters.add('a', i)
    db.flush()
    const archive = (from: number, upTo: number): Lsn =>
      db.append({
        type: 'stream/archived',
        aggregate: aggregate('a'),
        from: revision(from),
        upTo: revision(upTo),
        lastLsn: lsn(1),
        object: `${from}`,
        digest: '',
        snapshot: null,
        atMs: 0,
      })
    const first = archive(1, 2)
    for (const [from, upTo] of [
      [1, 2],
      [2, 3],
      [4, 5],
      [3, 7],
    ] as const)
      archive(from, upTo)
    const second = archive(3, 5)
    db.flush()
    expect(readLife(db.store, 'counter/a').archives).toMatchObject([
      { lsn: first, from: 1, upTo: 2 },
      { lsn: second, from: 3, upTo: 5 },
    ])
  })
})

describe('a deleted stream', () => {
  it('leaves the store, and the others stay as they were', () => {
    for (let i = 0; i < 40; i++) {
      counters.add('a', i, i)
      counters.add('b', i)
      if (i % 7 === 0) db.flush()
    }
    const deleted = remove('a', close('a'))
    db.flush()
    db.settle()
    expect(readLife(db.store, 'counter/a')).toMatchObject({ deletedLsn: deleted, lastRevision: 80 })
    expect(readHead(db.store, 'counter/a')).toBeNull()
    expect([...streamPointers(db.store, 'counter/a', 1)]).toEqual([])
    expect(db.store.table(tableNames.streams).count()).toBe(1)
    expect(readSnapshot(db.store, 'counter/a')).toBeNull()
    expect(listRemovals(db.store)).toEqual([])
    const { there, removed } = positions()
    expect(there).toEqual(Array.from({ length: 40 }, (_, i) => i * 3 + 3))
    expect(removed).toHaveLength(80)
    const log = new EventLogReader(db.store)
    for (const pointer of streamPointers(db.store, 'counter/b', 1)) {
      const { buffer, offset } = log.entry(pointer)
      expect(isRemoved(buffer, offset)).toBe(false)
    }
  })

  it('keeps the outcomes of its commands, without their events', () => {
    const command = counters.add('a', 1, 2)
    remove('a', close('a'))
    db.flush()
    db.settle()
    const outcome = readOutcome(db.store, new EventLogReader(db.store), command)
    expect(outcome).toMatchObject({ code: 3, firstPosition: 1, endLsn: command + 2 })
    expect(isRemoved(outcome?.entry as Buffer, outcome?.offset as number)).toBe(true)
  })

  it('goes on leaving where it was when the process was killed', () => {
    for (let i = 0; i < 600; i++) counters.add('a', i)
    counters.add('b', 1)
    db.flush()
    const at = remove('a', close('a'))
    db.applier.watermark(mark(db.journal.written))
    let restarts = 0
    for (let left = 1; left > 0; restarts++) {
      db.world.scheduler.advance(1)
      left = listRemovals(db.store).length + (readLife(db.store, 'counter/a').deletedLsn === at ? 0 : 1)
      db.restart()
      db.applier.watermark(mark(db.journal.written))
    }
    expect(restarts).toBeGreaterThan(2)
    expect(positions()).toEqual({ there: [601], removed: Array.from({ length: 600 }, (_, i) => i + 1) })
    expect(db.store.table(tableNames.streams).count()).toBe(0)
  })

  it('stays as it is while a command from before the close is pending, and goes when it has ended', () => {
    counters.add('a', 1)
    const pending = db.append(received('a'))
    const closed = close('a')
    db.append(received('a'))
    remove('a', closed)
    db.flush()
    db.settle()
    expect(readLife(db.store, 'counter/a').deletedLsn).toBe(0)
    expect(positions().removed).toEqual([])
    const release = db.append({ type: 'command/started', instance: 'test-1', commands: [pending] }) as never
    const end = { command: pending, aggregate: aggregate('a'), release, atMs: 0, idempotencyKey: 'none' } as const
    db.append({ type: 'command/rejected', ...end, code: 'no', message: '', details: null })
    const deleted = remove('a', closed)
    db.flush()
    db.settle()
    expect(readLife(db.store, 'counter/a').deletedLsn).toBe(deleted)
    expect(positions()).toEqual({ there: [], removed: [1] })
  })

  it('takes no memory of the state that every process holds', () => {
    counters.add('a', 1)
    db.flush()
    const { byAggregate, byLsn } = db.applier.state.commands
    remove('a', close('a'))
    db.flush()
    expect([byAggregate.size, byLsn.size]).toEqual([0, 0])
  })
})
