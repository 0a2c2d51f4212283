import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Action } from '../../src/actions/action.ts'
import { eventsOf } from '../../src/actions/decode.ts'
import { eventCountOf, lsnOf, revisionOf } from '../../src/actions/entry-layout.ts'
import { type Lsn, lsn, revision, token } from '../../src/kernel/identifiers.ts'
import type { WriteBatch } from '../../src/store/key-value-store.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import { EventLogAppender, EventLogReader, eachEntry, lastPosition } from '../../src/tables/event-log.ts'
import { putOutcome, readOutcome } from '../../src/tables/outcomes.ts'
import { readHead, StreamAppender, streamPointers } from '../../src/tables/streams.ts'
import { allTables } from '../../src/tables/table-names.ts'
import { RoleWorld, StubJournal } from '../unit/role-world.ts'

/** An event as the naive model keeps it: everything of every stream, in lists. */
interface ModelEvent {
  readonly id: string
  readonly revision: number
  readonly position: number
  readonly lsn: number
  readonly data: unknown
}

interface Completion {
  readonly id: string
  readonly events: number
  readonly bytes: number
}

const anyCompletion: fc.Arbitrary<Completion> = fc.record({
  id: fc.constantFrom('a', 'b', 'c/d', 'åö', 'a/1', ''),
  events: fc.oneof({ weight: 6, arbitrary: fc.integer({ min: 0, max: 3 }) }, fc.integer({ min: 30, max: 70 })),
  bytes: fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 0, max: 60 }) }, fc.integer({ min: 5000, max: 40_000 })),
})

/** Transactions, each of some completions; now and then the process starts anew after one. */
const anyHistory = fc.array(
  fc.record({ completions: fc.array(anyCompletion, { maxLength: 12 }), restarts: fc.boolean() }),
  { maxLength: 12 },
)

type History = typeof anyHistory extends fc.Arbitrary<infer Value> ? Value : never

class Tables {
  readonly #world = new RoleWorld()
  readonly #journal = new StubJournal()
  readonly store = openMemoryStore({ tables: allTables, environment: this.#world.environment })
  readonly events: ModelEvent[] = []
  /** By command: the LSN of its end, and how many of `events` came before its own. */
  readonly ends = new Map<Lsn, { readonly endLsn: number; readonly before: number; readonly count: number }>()
  #log = new EventLogAppender(1)
  #streams = new StreamAppender()

  constructor(history: History) {
    for (const { completions, restarts } of history) {
      this.store.write(
        (batch) => {
          for (const completion of completions) this.#complete(batch, completion)
          this.#log.finish(batch)
          this.#streams.finish(batch)
        },
        () => {},
      )
      this.#world.scheduler.settle()
      if (!restarts) continue
      this.#log = new EventLogAppender(this.events.length + 1)
      this.#streams = new StreamAppender()
    }
  }

  stream(id: string): ModelEvent[] {
    return this.events.filter((event) => event.id === id)
  }

  #complete(batch: WriteBatch, { id, events, bytes }: Completion): void {
    const command = lsn(this.#journal.written + 1)
    const base = this.stream(id).length
    const data = (i: number): unknown => ({ i: base + i, text: 'x'.repeat(i === 0 ? bytes : 0) })
    const entry = this.#journal.append([completed(id, command, base, events, data)])
    const before = this.events.length
    for (let i = 0; i < events; i++) {
      const position = before + i + 1
      this.events.push({ id, revision: base + i + 1, position, lsn: this.#journal.written, data: data(i) })
    }
    this.ends.set(command, { endLsn: this.#journal.written, before, count: events })
    const place = events === 0 ? null : this.#log.add(batch, entry, 0)
    if (place !== null) {
      expect(place.block + place.delta).toBe(before + 1)
      expect(this.#streams.append(batch, `counter/${id}`, this.#journal.written, events, place)).toBe(base)
    }
    putOutcome(batch, command, entry, 0, place)
  }
}

function completed(id: string, command: Lsn, base: number, count: number, data: (i: number) => unknown): Action {
  const events = Array.from({ length: count }, (_, i) => ({ type: 'added', data: data(i) }))
  const latest = base + count
  return {
    type: 'command/completed',
    command,
    aggregate: { type: 'counter', id },
    release: token(1),
    atMs: 0,
    baseRevision: revision(base),
    eventsVersion: 1,
    events,
    latestEvent: latest === 0 ? null : { revision: revision(latest), type: count === 0 ? null : 'added' },
    idempotencyKey: 'none',
    snapshot: null,
  }
}

function readStream(tables: Tables, id: string, from: number): ModelEvent[] {
  const log = new EventLogReader(tables.store)
  const events: ModelEvent[] = []
  let next = Math.max(1, from)
  for (const pointer of streamPointers(tables.store, `counter/${id}`, from)) {
    const { buffer, offset } = log.entry(pointer)
    const index = next - revisionOf(buffer, offset) - 1
    const { data } = eventsOf(buffer, offset)[index] as { data: unknown }
    events.push({ id, revision: next, position: pointer.block + pointer.delta, lsn: lsnOf(buffer, offset), data })
    next++
  }
  return events
}

function readLog(tables: Tables, from: number): number[] {
  const positions: number[] = []
  for (const block of new EventLogReader(tables.store).blocksFrom(from)) {
    expect(lastPosition(block)).toBeGreaterThanOrEqual(block.firstPosition)
    eachEntry(block, (b, o, first) => {
      for (let i = 0; i < eventCountOf(b, o); i++) positions.push(first + i)
    })
  }
  return positions
}

describe('the tables of the store', () => {
  it('give back every stream from any revision on, as a list of events would', () => {
    fc.assert(
      fc.property(anyHistory, fc.nat(100), (history, from) => {
        const tables = new Tables(history)
        for (const id of ['a', 'b', 'c/d', 'åö', 'a/1', '', 'never']) {
          const expected = tables.stream(id)
          expect(readStream(tables, id, 1)).toEqual(expected)
          expect(readStream(tables, id, from)).toEqual(expected.slice(Math.max(0, from - 1)))
          expect(readHead(tables.store, `counter/${id}`)?.revision ?? 0).toBe(expected.length)
          expect(readHead(tables.store, `counter/${id}`)?.lastLsn).toBe(expected.at(-1)?.lsn)
        }
      }),
      { numRuns: 150 },
    )
  })

  it('give back all events in order, from the block of any position on', () => {
    fc.assert(
      fc.property(anyHistory, fc.nat(300), (history, from) => {
        const tables = new Tables(history)
        const all = tables.events.map(({ position }) => position)
        expect(readLog(tables, 1)).toEqual(all)
        const some = readLog(tables, from + 1)
        expect(some).toEqual(all.slice(all.length - some.length))
        expect(some.length === 0 || (some[0] as number) <= from + 1 || from + 1 > all.length).toBe(true)
        if (from + 1 <= all.length) expect(some).toContain(from + 1)
      }),
      { numRuns: 150 },
    )
  })

  it('give back how every command ended, with its events', () => {
    fc.assert(
      fc.property(anyHistory, (history) => {
        const tables = new Tables(history)
        const log = new EventLogReader(tables.store)
        for (const [command, { endLsn, before, count }] of tables.ends) {
          const outcome = readOutcome(tables.store, log, command)
          expect(outcome?.endLsn).toBe(endLsn)
          expect(outcome?.firstPosition).toBe(count === 0 ? 0 : before + 1)
          if (outcome === null) continue
          const own = tables.events.slice(before, before + count)
          expect(eventsOf(outcome.entry, outcome.offset).map(({ data }) => data)).toEqual(own.map(({ data }) => data))
        }
        expect(readOutcome(tables.store, log, lsn(1_000_000))).toBeNull()
      }),
      { numRuns: 150 },
    )
  })
})
