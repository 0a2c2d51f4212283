import { beforeEach, describe, expect, it } from 'vitest'
import type { MigrationStep } from '../../../src/actions/action.ts'
import { defineAggregate, defineApplication } from '../../../src/index.ts'
import { lsn, revision, token } from '../../../src/kernel/identifiers.ts'
import type { AnyAggregate } from '../../../src/sdk/aggregate-types.ts'
import { hostedAggregates } from '../../../src/tables/hosted-aggregates.ts'
import { AggregateRestorer } from '../../../src/tables/restore-aggregate.ts'
import { FilledStore } from '../filled-store.ts'
import { RoleWorld, StubJournal } from '../role-world.ts'

const plain = defineAggregate({
  name: 'counter',
  initialState: () => ({ value: 0, folds: 0 }),
  decide: { add: (data: { amount: number }) => ({ type: 'added', data }) },
  evolve: {
    added: (state, data: { amount: number }) => ({ value: state.value + data.amount, folds: state.folds + 1 }),
  },
})

const hosted = (definition: AnyAggregate) =>
  hostedAggregates(defineApplication({ name: 'test', aggregates: [definition as typeof plain] })).get(
    'counter',
  ) as NonNullable<ReturnType<ReturnType<typeof hostedAggregates>['get']>>

let journal: StubJournal
let filled: FilledStore
let restorer: AggregateRestorer
let revisions = 0
beforeEach(() => {
  const world = new RoleWorld()
  journal = new StubJournal()
  filled = new FilledStore(world.environment, world.scheduler)
  restorer = new AggregateRestorer(filled.store)
  revisions = 0
})

/** One completed command with these amounts as its events. */
function complete(
  amounts: readonly number[],
  more: { version?: number; snapshot?: unknown; type?: string; definition?: string } = {},
): void {
  const { version = 1, snapshot, type = 'added', definition = hosted(plain).fingerprint } = more
  const latest = revisions + amounts.length
  journal.append([
    {
      type: 'command/completed',
      command: lsn(1),
      aggregate: { type: 'counter', id: 'a' },
      release: token(1),
      atMs: 0,
      baseRevision: revision(revisions),
      eventsVersion: version,
      events: amounts.map((amount) => ({ type, data: { amount } })),
      latestEvent: { revision: revision(latest), type },
      idempotencyKey: 'none',
      snapshot: snapshot === undefined ? null : { definition, state: snapshot },
    },
  ])
  revisions = latest
}

const migrate = (step: MigrationStep, migration = lsn(0)): Buffer =>
  journal.append([{ type: 'stream/migrated', aggregateType: 'counter', toVersion: 2, migration, step }])

const restore = (definition: AnyAggregate = plain, upTo?: number) => {
  filled.fill(journal)
  return restorer.restore(hosted(definition), 'counter/a', upTo)
}

describe('an aggregate from the store', () => {
  it('is its initial state when it has no events', () => {
    expect(restore()).toEqual({ revision: 0, state: { value: 0, folds: 0 } })
  })

  it('is the fold of all its events, however they are spread over commands', () => {
    for (let i = 0; i < 50; i++) complete([i, i])
    expect(restore()).toEqual({ revision: 100, state: { value: 2450, folds: 100 } })
  })

  it('is as it was at any revision', () => {
    for (let i = 1; i <= 20; i++) complete([i, i, i])
    for (let upTo = 0; upTo <= 60; upTo++) {
      const { revision: at, state } = restore(plain, upTo)
      expect([at, (state as { folds: number }).folds]).toEqual([upTo, upTo])
    }
    expect(restore(plain, 1000).revision).toBe(60)
  })

  it('begins at its newest snapshot', () => {
    complete([1, 2, 3], { snapshot: { value: 600, folds: 0 } })
    complete([4])
    expect(restore()).toEqual({ revision: 4, state: { value: 604, folds: 1 } })
  })

  it('begins at the first event when the snapshot is of other code', () => {
    complete([1, 2, 3], { snapshot: { value: 600, folds: 0 } })
    complete([4])
    const changed = defineAggregate({
      name: 'counter',
      initialState: () => ({ value: 0, folds: 0 }),
      decide: { add: (data: { amount: number }) => ({ type: 'added', data }) },
      evolve: {
        added: (state, data: { amount: number }) => ({ value: state.value + data.amount * 10, folds: state.folds + 1 }),
      },
    })
    expect(restore(changed)).toEqual({ revision: 4, state: { value: 100, folds: 4 } })
  })

  it('begins at the first event when a migration has switched since the snapshot, and at one of after the switch', () => {
    complete([1, 2, 3], { snapshot: { value: 600, folds: 0 } })
    const of = lsn(journal.written + 1)
    migrate({ phase: 'started', fromVersion: 1, digest: 'd', atMs: 0 })
    migrate({ phase: 'rewritten', after: 0, through: 3, events: [], commands: [] }, of)
    expect(restore()).toEqual({ revision: 3, state: { value: 600, folds: 0 } })
    migrate({ phase: 'switched' }, of)
    expect(restore()).toEqual({ revision: 3, state: { value: 6, folds: 3 } })
    complete([4], { version: 2, snapshot: { value: 1000, folds: 0 } })
    expect(restore()).toEqual({ revision: 4, state: { value: 1000, folds: 0 } })
  })

  it('begins at the first event when it is wanted as it was before the snapshot', () => {
    complete([1, 2, 3], { snapshot: { value: 600, folds: 0 } })
    expect(restore(plain, 2)).toEqual({ revision: 2, state: { value: 3, folds: 2 } })
  })

  it('is folded from events of older versions through their upcast', () => {
    complete([1], { version: 1, type: 'increased' })
    complete([2], { version: 2 })
    const today = defineAggregate({
      name: 'counter',
      version: 2,
      initialState: () => 0,
      decide: { add: (data: { amount: number }) => ({ type: 'added', data }) },
      evolve: { added: (state, data: { amount: number }) => state + data.amount },
      upcast: {
        increased: (data: unknown) => ({ type: 'added', data: { amount: (data as { amount: number }).amount * 100 } }),
      },
    })
    expect(restore(today)).toEqual({ revision: 2, state: 102 })
  })

  it('that has an event of which today’s code knows nothing is an error that names it', () => {
    complete([1])
    complete([1], { type: 'forgotten' })
    expect(() => restore()).toThrow(/counter\/a has an event "forgotten" at revision 2/)
  })

  it('whose events are gone from the store is an error that says what to do', () => {
    complete([1])
    filled.fill(journal)
    filled.store.write(
      (batch) => batch.clear('log'),
      () => {},
    )
    filled.store.flush(() => {})
    for (let i = 0; i < 5; i++) void i
    expect(() => restore()).toThrow(/remove its store directory/)
  })
})
