import { beforeEach, describe, expect, it } from 'vitest'
import { defineAggregate, defineApplication, defineProjection } from '../../../src/index.ts'
import type { Application } from '../../../src/sdk/application.ts'
import { readProgress, readRow, rowKeys } from '../../../src/tables/projection-rows.ts'
import { ApplierWorld, Counters } from './applier-world.ts'

const counter = defineAggregate({
  name: 'counter',
  initialState: () => 0,
  decide: { add: (data: { amount: number }) => ({ type: 'added', data }) },
  evolve: { added: (state, data: { amount: number }) => state + data.amount },
})

/** The sum of each counter, times a factor by which versions are told apart. Throws on an amount of 666. */
const sums = (version: number, factor: number) =>
  defineProjection({
    name: 'sums',
    version,
    aggregates: [counter],
    initialRow: () => ({ sum: 0 }),
    on: {
      counter: {
        added: (table, { aggregate: { id }, data }) => {
          if (data.amount === 666 && version < 9) throw new Error('unlucky')
          table.put(id, { sum: table.get(id).sum + data.amount * factor })
        },
      },
    },
  })

const seen = defineProjection({
  name: 'seen',
  version: 1,
  aggregates: [counter],
  on: {
    counter: {
      added: (table, event) =>
        table.put(`${event.globalPosition}`, `${event.aggregate.id} ${event.revision} ${event.lsn}`),
    },
  },
})

const bank = (...projections: (typeof seen | ReturnType<typeof sums>)[]): Application =>
  defineApplication({ name: 'test', aggregates: [counter], projections: projections as never })

let db: ApplierWorld
let counters: Counters
beforeEach(() => {
  db = new ApplierWorld({ applications: [bank(sums(1, 1), seen)] })
  counters = new Counters(db)
})

const row = (id: string, version = 1): unknown => readRow(db.store, 'sums', version, id)
const progress = (name = 'sums') => readProgress(db.store, name)

/** Long enough for many transactions. */
function rest(): void {
  for (let i = 0; i < 20; i++) db.flush()
}

describe('a projection', () => {
  it('follows what is stored, event by event, with place and time', () => {
    counters.add('a', 1, 2)
    counters.add('b', 5)
    rest()
    expect([row('a'), row('b')]).toEqual([{ sum: 3 }, { sum: 5 }])
    expect(readRow(db.store, 'seen', 1, '2')).toMatch(/^a 2 \d+$/)
    expect(progress()).toEqual({ live: 1, building: null, failed: null })
  })

  it('is not ahead of what is flushed', () => {
    counters.add('a', 1)
    rest()
    counters.add('a', 1)
    expect(row('a')).toEqual({ sum: 1 })
  })

  it('that is new is built from the first event on, and goes on from there', () => {
    db = new ApplierWorld({ applications: [bank()] })
    counters = new Counters(db)
    for (let i = 0; i < 300; i++) counters.add(`${i % 7}`, i)
    rest()
    db.restart({ applications: [bank(sums(1, 1))] })
    counters.add('0', 1000)
    rest()
    const expected = Array.from({ length: 300 }, (_, i) => i).filter((i) => i % 7 === 0)
    expect(row('0')).toEqual({ sum: expected.reduce((a, b) => a + b, 1000) })
    expect(progress()).toMatchObject({ live: 1, building: null })
  })

  it('loses and repeats nothing over crashes, whether live or being built', () => {
    for (let i = 0; i < 60; i++) {
      counters.add('a', 1)
      if (i % 5 === 0) db.flush()
      if (i % 7 === 0) db.restart()
    }
    rest()
    expect(row('a')).toEqual({ sum: 60 })
    db.restart({ applications: [bank(sums(2, 10), seen)] })
    for (let i = 0; i < 30; i++) {
      counters.add('a', 1)
      db.flush()
      db.restart()
    }
    rest()
    expect(row('a', 2)).toEqual({ sum: 900 })
  })
})

describe('a projection of another version', () => {
  it('is built anew, while the rows of the former version answer; then those are deleted', () => {
    for (let i = 0; i < 100; i++) counters.add(`${i}`, i)
    rest()
    db.restart({ applications: [bank(sums(2, 10), seen)] })
    expect(progress()).toMatchObject({ live: 1 })
    expect(row('7', 1)).toEqual({ sum: 7 })
    rest()
    expect(progress()).toEqual({ live: 2, building: null, failed: null })
    expect(row('7', 2)).toEqual({ sum: 70 })
    expect(rowKeys(db.store, 'sums', 1, 1000)).toEqual([])
    expect(rowKeys(db.store, 'sums', 2, 1000)).toHaveLength(100)
  })

  it('may be an older one: it is built as well', () => {
    counters.add('a', 3)
    rest()
    db.restart({ applications: [bank(sums(2, 10), seen)] })
    rest()
    db.restart({ applications: [bank(sums(1, 1), seen)] })
    rest()
    expect(progress()).toEqual({ live: 1, building: null, failed: null })
    expect([row('a', 1), row('a', 2)]).toEqual([{ sum: 3 }, null])
  })

  it('is built although another change of version came before it was done', () => {
    for (let i = 0; i < 50; i++) counters.add(`${i}`, i)
    rest()
    for (const version of [2, 3, 4]) {
      db.restart({ applications: [bank(sums(version, version), seen)] })
      if (version < 4) db.world.scheduler.advance(1)
    }
    rest()
    expect(progress()).toEqual({ live: 4, building: null, failed: null })
    expect(row('7', 4)).toEqual({ sum: 28 })
    for (const version of [1, 2, 3]) expect(rowKeys(db.store, 'sums', version, 100)).toEqual([])
  })
})

describe('a handler that throws', () => {
  it('stops its own projection where it was, says so, and stops nothing else', () => {
    counters.add('a', 1)
    counters.add('a', 666)
    counters.add('a', 2)
    rest()
    expect(progress()).toMatchObject({
      live: 1,
      failed: { version: 1, position: 2, message: expect.stringContaining('unlucky') },
    })
    expect(row('a')).toEqual({ sum: 1 })
    expect(readRow(db.store, 'seen', 1, '3')).not.toBeNull()
    expect(db.position.applied).toBe(db.journal.written)
    expect(db.failures).toEqual([])
    expect(db.world.log.lines.some(({ level, message }) => level === 'error' && message.includes('unlucky'))).toBe(true)
  })

  it('leaves its projection stopped over restarts, until its version is raised', () => {
    counters.add('a', 666)
    counters.add('a', 2)
    rest()
    db.restart()
    counters.add('a', 4)
    rest()
    expect(progress()?.failed).not.toBeNull()
    expect(row('a')).toBeNull()
    db.restart({ applications: [bank(sums(9, 1), seen)] })
    rest()
    expect(progress()).toEqual({ live: 9, building: null, failed: null })
    expect(row('a', 9)).toEqual({ sum: 672 })
  })

  it('while it is built leaves the rows of the former version to answer', () => {
    db.restart({ applications: [bank(sums(9, 1), seen)] })
    counters.add('a', 666)
    counters.add('b', 1)
    rest()
    db.restart({ applications: [bank(sums(1, 1), seen)] })
    rest()
    expect(progress()).toMatchObject({ live: 9, failed: { version: 1, position: 1 } })
    expect(row('a', 9)).toEqual({ sum: 666 })
  })

  it('names the event that it threw on, and leaves the rows as they were before it', () => {
    counters.add('a', 1, 666, 2)
    rest()
    expect(row('a')).toEqual({ sum: 1 })
    expect(progress()?.failed).toMatchObject({ position: 2 })
  })

  it('leaves the applier at rest, also when it was being built', () => {
    db.restart({ applications: [bank(sums(9, 1), seen)] })
    counters.add('a', 666)
    rest()
    db.restart({ applications: [bank(sums(1, 1), seen)] })
    rest()
    let writes = 0
    const { write } = db.store
    db.store.write = (fill, done) => {
      writes++
      write.call(db.store, fill, done)
    }
    rest()
    expect(writes).toBe(0)
  })
})

describe('a rebuild that is asked for', () => {
  it('brings the rows about again, and mends one that was stopped', () => {
    for (let i = 0; i < 20; i++) counters.add('a', 1)
    rest()
    let begun = false
    db.applier.rebuild('sums', () => {
      begun = true
    })
    rest()
    expect(begun).toBe(true)
    expect(row('a')).toEqual({ sum: 20 })
    counters.add('a', 5)
    rest()
    expect(row('a')).toEqual({ sum: 25 })
  })

  it('of a projection that nobody defines is refused', () => {
    expect(() => db.applier.rebuild('nothing', () => {})).toThrow('nothing')
  })

  it('survives a crash in its middle', () => {
    for (let i = 0; i < 200; i++) counters.add(`${i % 3}`, 1)
    rest()
    db.applier.rebuild('sums', () => {})
    db.world.scheduler.advance(1)
    db.restart()
    rest()
    expect([row('0'), row('1'), row('2')]).toEqual([{ sum: 67 }, { sum: 67 }, { sum: 66 }])
  })

  it('that goes on before the state is brought up to the tables is neither short nor in the way of what follows', () => {
    for (let i = 0; i < 200; i++) counters.add(`${i % 3}`, 1)
    db.flush()
    expect(db.hasRoot()).toBe(false)
    db.applier.rebuild('sums', () => {})
    db.world.scheduler.advance(1)
    db.restart({ hands: false })
    for (let i = 0; i < 3; i++) db.flush()
    expect(db.position.globalPosition).toBe(200)
    db.restart()
    counters.add('3', 1)
    rest()
    expect([row('0'), row('1'), row('2'), row('3')]).toEqual([{ sum: 67 }, { sum: 67 }, { sum: 66 }, { sum: 1 }])
    expect(db.position.globalPosition).toBe(201)
  })
})
