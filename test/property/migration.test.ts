import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Action, MigrationStep, RewrittenEvents } from '../../src/actions/action.ts'
import { eventsOf } from '../../src/actions/decode.ts'
import { keyOf, revisionOf, variantOf } from '../../src/actions/entry-layout.ts'
import { defineAggregate, defineApplication, defineMigration } from '../../src/index.ts'
import { type Lsn, lsn, revision, token } from '../../src/kernel/identifiers.ts'
import { packRewritten } from '../../src/migrator/rewriting.ts'
import { readSlice } from '../../src/migrator/sources.ts'
import { decodeRoot, encodeRoot, stateHash } from '../../src/state/snapshot.ts'
import { EventLogReader, eachEntry } from '../../src/tables/event-log.ts'
import { hostedAggregates } from '../../src/tables/hosted-aggregates.ts'
import { AggregateRestorer } from '../../src/tables/restore-aggregate.ts'
import { streamPointers } from '../../src/tables/streams.ts'
import { tableNames } from '../../src/tables/table-names.ts'
import { FilledStore } from '../unit/filled-store.ts'
import { RoleWorld, StubJournal } from '../unit/role-world.ts'

const counter = defineAggregate({
  name: 'counter',
  version: 2,
  initialState: (): readonly number[] => [],
  decide: { add: (data: { doubled: number }) => ({ type: 'raised', data }) },
  evolve: { raised: (state, data: { doubled: number }) => [...state, data.doubled] },
  upcast: { added: (data) => ({ type: 'raised', data: { doubled: (data as { n: number }).n * 2 } }) },
})
const application = defineApplication({ name: 'test', aggregates: [counter] })
const hosted = hostedAggregates(application).get('counter') as NonNullable<
  ReturnType<ReturnType<typeof hostedAggregates>['get']>
>

/** Doubles every number under another name, and empties multiples of 5. */
const migration = defineMigration({
  aggregate: counter,
  fromVersion: 1,
  toVersion: 2,
  event: (_type, data: { n: number }) =>
    data.n % 5 === 0
      ? null
      : { type: 'raised', data: { doubled: data.n * 2, ...padding(data.n) } as { doubled: number } },
})
const padding = (n: number): object => (n % 7 === 0 ? { text: 'x'.repeat(n * 100) } : {})

interface ModelEvent {
  readonly key: string
  readonly revision: number
  readonly position: number
  /** What it was written as, and under which version. */
  readonly n: number
  readonly version: number
}

/** What may happen, in any order; each is void where it makes no sense. */
const anyStep = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('complete' as const),
      id: fc.nat(3),
      isOther: fc.boolean(),
      version: fc.integer({ min: 1, max: 2 }),
      events: fc.oneof(fc.nat(4), fc.integer({ min: 30, max: 40 })),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('fill' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('start' as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('copy' as const), cut: fc.nat(3), isLate: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('switch' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('finalise' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('abandon' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('clear' as const) }) },
)
type Step = typeof anyStep extends fc.Arbitrary<infer Value> ? Value : never

const some = (maxLength: number): fc.Arbitrary<Step[]> => fc.array(anyStep, { maxLength })
const copies = fc.array(
  fc.record({ do: fc.constant('copy' as const), cut: fc.constantFrom(0, 1, 1, 2), isLate: fc.constant(false) }),
  { minLength: 1, maxLength: 12 },
)
const ending = fc.constantFrom<Step>({ do: 'finalise' }, { do: 'abandon' })

/** Anything at all; and, so that most come to a switch, anything between the steps of a whole migration. */
const anyHistory: fc.Arbitrary<Step[]> = fc.oneof(
  { weight: 1, arbitrary: some(60) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(some(15), some(6), copies, some(4), copies, some(10), ending, some(12))
      .map(([before, during, first, between, last, after, end, rest]): Step[] => {
        const whole: Step[] = [...before, { do: 'start' }, ...during, ...first, ...between, ...last]
        return [...whole, { do: 'switch' }, ...after, end, ...rest]
      }),
  },
)

class World {
  readonly journal = new StubJournal()
  readonly filled: FilledStore
  readonly events: ModelEvent[] = []
  #n = 0
  readonly #roleWorld = new RoleWorld()

  constructor() {
    this.filled = this.fresh()
  }

  fresh(): FilledStore {
    return new FilledStore(this.#roleWorld.environment, this.#roleWorld.scheduler, [application])
  }

  /** Old events count as new ones from the switch on; what was written under version 2 always did. */
  shown({ n, version, key }: ModelEvent, isSwitched: boolean): unknown {
    if (version === 2) return { type: 'raised', data: { doubled: n * 2 } }
    if (!isSwitched || !key.startsWith('counter/')) return { type: 'added', data: { n } }
    return n % 5 === 0
      ? { type: 'stream/dropped', data: null }
      : { type: 'raised', data: { doubled: n * 2, ...padding(n) } }
  }

  get migration() {
    return this.filled.state.migrations.byType.get('counter')
  }

  get isSwitched(): boolean {
    return this.filled.state.migrations.versions.has('counter')
  }

  take(step: Step): void {
    switch (step.do) {
      case 'complete':
        return this.#complete(step)
      case 'fill':
        return this.filled.fill(this.journal)
      case 'copy':
        return this.#copy(step)
      case 'clear':
        void this.filled.clear()
        return
      default:
        this.filled.fill(this.journal)
        this.journal.append([this.#action(step.do)])
        this.filled.fill(this.journal)
    }
  }

  #action(what: 'start' | 'switch' | 'finalise' | 'abandon'): Action {
    const started = this.migration?.startedLsn ?? lsn(0)
    const over = { aggregateType: 'counter', migration: started }
    switch (what) {
      case 'finalise':
        return { type: 'stream/migration-finalised', ...over }
      case 'abandon':
        return { type: 'stream/migration-abandoned', ...over }
      default: {
        const isStart = what === 'start'
        const step: MigrationStep = isStart
          ? { phase: 'started', fromVersion: 1, digest: 'd', atMs: 0 }
          : { phase: 'switched' }
        return {
          type: 'stream/migrated',
          aggregateType: 'counter',
          toVersion: 2,
          migration: isStart ? lsn(0) : started,
          step,
        }
      }
    }
  }

  #complete({ id, isOther, version, events }: Extract<Step, { do: 'complete' }>): void {
    const key = `${isOther ? 'other' : 'counter'}/${id}`
    // After its switch nobody writes the type's events under the old version: older code gets no work.
    const as = this.isSwitched && !isOther ? 2 : version
    const base = this.events.filter((event) => event.key === key).length
    const decided: { type: string; data: unknown }[] = []
    for (let i = 0; i < events; i++) {
      this.#n++
      this.events.push({ key, revision: base + i + 1, position: this.events.length + 1, n: this.#n, version: as })
      decided.push(this.shown(this.events.at(-1) as ModelEvent, false) as { type: string; data: unknown })
    }
    const latest = base + events
    this.journal.append([
      {
        type: 'command/completed',
        command: lsn(this.journal.written + 1),
        aggregate: { type: isOther ? 'other' : 'counter', id: String(id) },
        release: token(1),
        atMs: 0,
        baseRevision: revision(base),
        eventsVersion: as,
        events: decided,
        latestEvent: latest === 0 ? null : { revision: revision(latest), type: decided.at(-1)?.type ?? null },
        idempotencyKey: 'none',
        snapshot: null,
      },
    ])
  }

  /** A batch of some entries; a late one follows on what was copied a while ago, and must be void. */
  #copy({ cut, isLate }: { readonly cut: number; readonly isLate: boolean }): void {
    this.filled.fill(this.journal)
    const { migration: state } = this
    if (state === undefined) return
    const after = isLate ? Math.max(0, state.copied - 1) : state.copied
    const { entries, through } = readSlice(new EventLogReader(this.filled.store), 'counter', after, 1 + cut)
    const old = entries.filter(({ buffer, offset }) => variantOf(buffer, offset) < 2)
    const taken = cut === 0 ? old.slice(0, 1) : old
    const events = taken.map(
      ({ buffer, offset, firstPosition }): RewrittenEvents => [
        firstPosition,
        packRewritten(migration, buffer, offset, firstPosition),
      ],
    )
    const next = old[taken.length]
    const step: MigrationStep = {
      phase: 'rewritten',
      after,
      through: next === undefined ? through : next.firstPosition - 1,
      events,
      commands: [],
    }
    const before = state.copied
    this.journal.append([
      { type: 'stream/migrated', aggregateType: 'counter', toVersion: 2, migration: state.startedLsn, step },
    ])
    this.filled.fill(this.journal)
    if (after !== before || state.switchedLsn !== 0) expect(state.copied).toBe(before)
  }
}

function shownBy({ store }: FilledStore): unknown[] {
  const events: unknown[] = []
  for (const block of new EventLogReader(store).blocksFrom(1)) {
    eachEntry(block, (b, o, first) => {
      for (const [i, event] of eventsOf(b, o).entries())
        events.push({ key: keyOf(b, o), revision: revisionOf(b, o) + i + 1, position: first + i, ...event })
    })
  }
  return events
}

function streamBy({ store }: FilledStore, key: string): unknown[] {
  const log = new EventLogReader(store)
  const events: unknown[] = []
  let next = 1
  for (const pointer of streamPointers(store, key, 1)) {
    const { buffer, offset } = log.entry(pointer)
    events.push({
      position: pointer.block + pointer.delta,
      ...eventsOf(buffer, offset)[next - revisionOf(buffer, offset) - 1],
    })
    next++
  }
  return events
}

function check(world: World): void {
  const { filled, events, isSwitched } = world
  filled.fill(world.journal)
  const model = events.map((event) => {
    const { key, revision: at, position } = event
    return { key, revision: at, position, ...(world.shown(event, isSwitched) as object) }
  })
  expect(shownBy(filled)).toEqual(model)
  for (const key of ['counter/0', 'counter/1', 'other/0']) {
    const own = model.filter((event) => event.key === key)
    expect(streamBy(filled, key)).toEqual(own.map(({ key: _, revision: __, ...rest }) => rest))
  }
  const own = events.filter(({ key }) => key === 'counter/1')
  const kept = own.filter(({ n, version }) => !isSwitched || version === 2 || n % 5 !== 0)
  const { state, revision: at } = new AggregateRestorer(filled.store).restore(hosted, 'counter/1')
  expect({ state, at }).toEqual({ state: kept.map(({ n }) => n * 2), at: own.length })
}

describe('a migration of any history, cut into any batches', () => {
  it('shows every reader all old events before its switch and all new ones after it, and folds to their states', () => {
    fc.assert(
      fc.property(anyHistory, (steps) => {
        const world = new World()
        for (const step of steps) {
          world.take(step)
          if (step.do !== 'complete') check(world)
        }
        check(world)
        while (world.filled.clear()) check(world)
        const underWay = world.migration === undefined ? 0 : 1
        const copies = [...world.filled.store.table(tableNames.rewritten).range({})]
        expect(new Set(copies.map(({ key }) => key.subarray(0, 8).toString('hex'))).size).toBeLessThanOrEqual(underWay)
      }),
      { numRuns: 200 },
    )
  })

  it('is the same in a store that takes the journal in one go, and in a state that was saved on the way', () => {
    fc.assert(
      fc.property(anyHistory, fc.nat(50), (steps, savedAfter) => {
        const world = new World()
        let saved: { readonly root: Buffer; readonly at: Lsn } | null = null
        for (const [i, step] of steps.entries()) {
          world.take(step)
          if (i !== savedAfter) continue
          world.filled.fill(world.journal)
          saved = { root: encodeRoot(world.filled.state), at: world.journal.written }
        }
        world.filled.fill(world.journal)
        const again = world.fresh()
        again.fill(world.journal)
        expect(shownBy(again)).toEqual(shownBy(world.filled))
        expect(stateHash(again.state)).toBe(stateHash(world.filled.state))
        while (again.clear()) expect(shownBy(again)).toEqual(shownBy(world.filled))
        if (saved === null || saved.at !== world.journal.written) return
        const decoded = decodeRoot(saved.root, { lookup: () => undefined, keepsPayloads: true })
        expect(stateHash(decoded)).toBe(stateHash(world.filled.state))
      }),
      { numRuns: 100 },
    )
  })
})
