import { expect, it } from 'vitest'
import type { Action } from '../../../src/actions/action.ts'
import { segmentsOf } from '../../../src/journal/segment-name.ts'
import { defineAggregate } from '../../../src/sdk/aggregate.ts'
import { defineApplication } from '../../../src/sdk/application.ts'
import { readPosition } from '../../../src/tables/meta.ts'
import type { TestRole } from '../../../src/testing/test-cluster.ts'
import { SimulatedDatabase } from '../simulated-database.ts'

const counter = defineAggregate({
  name: 'counter',
  initialState: () => 0,
  decide: { add: () => ({ type: 'added', data: null }) },
  evolve: { added: (state) => state + 1 },
})

/** Somebody may take away what its journal had flushed. */
class LyingMedium extends SimulatedDatabase {
  constructor() {
    super(defineApplication({ name: 'shop', aggregates: [counter] }))
  }

  get applied(): number {
    return readPosition(this.host.store.now()).applied
  }

  get flushed(): number {
    return this.cluster.journal?.flushedLsn ?? 0
  }

  /** The journal as it is now. */
  copy(): ReadonlyMap<string, Buffer> {
    const names = segmentsOf(this.host.disk.list()).map(({ name }) => name)
    return new Map(names.map((name) => [name, this.host.disk.readWhole(name) as Buffer]))
  }

  /** The writer is killed, and what was flushed since the copy was taken is nowhere any more. */
  loseSince(copy: ReadonlyMap<string, Buffer>): void {
    this.cluster.crash('journal-writer', false)
    for (const [name, bytes] of copy) this.host.disk.replace(name, bytes)
  }

  crash(role: TestRole): void {
    this.cluster.crash(role, false)
  }

  async add(): Promise<string> {
    const { outcome } = await this.settle(this.client.execute('counter', 'a', 'add', null))
    return outcome
  }

  get completions(): Extract<Action, { type: 'command/completed' }>[] {
    return this.entriesOf('command/completed')
  }
}

it('nobody decides on a store that an applier fills with what the journal has lost while its writer was recovered', async () => {
  const db = new LyingMedium()
  await db.start()
  expect(await db.add()).toBe('completed')
  await db.until(() => db.applied === db.flushed)
  const before = db.applied
  const copy = db.copy()
  // It has heard of what is lost, and takes it into the store when it goes on.
  db.process('projection-applier').suspend(300)
  expect(await db.add()).toBe('completed')
  db.loseSince(copy)
  await db.until(() => db.applied > before)
  // Before it hears that its writer is gone, another application process opens the store.
  db.process('projection-applier').suspend(2_000)
  db.crash('application')
  await db.pass(100)
  void db.add().catch(() => {})
  await db.pass(1_000)
  expect(db.completions.map(({ baseRevision }) => baseRevision)).toEqual([0])
  // It hears of it, and its successor finds what the store holds.
  await db.until(() => db.bugs.some((ending) => ending.includes('the store has applied')))
  expect(db.completions.map(({ baseRevision }) => baseRevision)).toEqual([0])
})
