import { expect, it } from 'vitest'
import type { Action } from '../../../src/actions/action.ts'
import { decodeEntry } from '../../../src/actions/decode.ts'
import { lengthOf, padded } from '../../../src/actions/entry-layout.ts'
import { SocketDatabase } from '../../../src/client/socket-database.ts'
import { JournalReader } from '../../../src/journal/reader.ts'
import { segmentsOf } from '../../../src/journal/segment-name.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { defineAggregate } from '../../../src/sdk/aggregate.ts'
import { defineApplication } from '../../../src/sdk/application.ts'
import { readPosition } from '../../../src/tables/meta.ts'
import { SimulatedHost } from '../../../src/testing/simulated-host.ts'
import type { SimulatedProcess } from '../../../src/testing/simulated-process.ts'
import { TestCluster, type TestRole } from '../../../src/testing/test-cluster.ts'
import { Trace } from '../../../src/testing/trace.ts'

const counter = defineAggregate({
  name: 'counter',
  initialState: () => 0,
  decide: { add: () => ({ type: 'added', data: null }) },
  evolve: { added: (state) => state + 1 },
})

/** A database in virtual time, of which somebody may take away what its journal had flushed. */
class LyingMedium {
  /** Processes that found that their state, or the store, is not of the journal. */
  readonly endings: string[] = []
  readonly host: SimulatedHost
  readonly client: SocketDatabase
  readonly #cluster: TestCluster

  constructor() {
    const bug = (what: string, error: unknown): void => void this.endings.push(`${what}: ${String(error)}`)
    this.host = new SimulatedHost({
      seed: 1,
      trace: new Trace(),
      bug,
      killed: (process) => this.#cluster.ended(process),
    })
    this.#cluster = new TestCluster({
      host: this.host,
      applications: [defineApplication({ name: 'shop', aggregates: [counter] })],
      isolation: null,
      tap: (process) => () => process.isAlive,
      bug,
    })
    const process = this.host.start('client', true)
    const { environment } = process
    this.client = new SocketDatabase({ environment, transport: this.host.transportOf(process), addresses: ['gateway'] })
  }

  async begin(): Promise<void> {
    this.#cluster.start()
    await this.until(() => this.#cluster.isReady)
    void this.client.open()
  }

  process(name: string): SimulatedProcess {
    const process = [...this.host.processes].find((one) => one.name === name)
    if (process === undefined) throw new Error(`${name} runs`)
    return process
  }

  get applied(): number {
    return readPosition(this.host.store.now()).applied
  }

  get flushed(): number {
    return this.#cluster.journal?.flushedLsn ?? 0
  }

  get isReady(): boolean {
    return this.#cluster.isReady
  }

  /** The journal as it is now. */
  copy(): ReadonlyMap<string, Buffer> {
    const names = segmentsOf(this.host.disk.list()).map(({ name }) => name)
    return new Map(names.map((name) => [name, this.host.disk.readWhole(name) as Buffer]))
  }

  /** The writer is killed, and what was flushed since the copy was taken is nowhere any more. */
  loseSince(copy: ReadonlyMap<string, Buffer>): void {
    this.#cluster.crash('journal-writer', false)
    for (const [name, bytes] of copy) this.host.disk.replace(name, bytes)
  }

  crash(role: TestRole): void {
    this.#cluster.crash(role, false)
  }

  async add(): Promise<string> {
    const { outcome } = await this.settle(this.client.execute('counter', 'a', 'add', null))
    return outcome
  }

  async settle<Value>(promise: Promise<Value>): Promise<Value> {
    let isSettled = false
    const settled = (): void => {
      isSettled = true
    }
    promise.then(settled, settled)
    await this.until(() => isSettled)
    return promise
  }

  async until(isOver: () => boolean): Promise<void> {
    expect(await this.host.time.run(this.host.time.nowMs + 60_000, isOver)).toBe(true)
  }

  async pass(ms: number): Promise<void> {
    await this.host.time.run(this.host.time.nowMs + ms, () => false)
  }

  get completions(): Extract<Action, { type: 'command/completed' }>[] {
    const reader = new JournalReader(this.host.disk, lsn(1))
    const batches = reader.read(Number.POSITIVE_INFINITY, this.#cluster.journal?.writtenLsn ?? lsn(0))
    reader.close()
    const found: Extract<Action, { type: 'command/completed' }>[] = []
    for (const { payload: b } of batches) {
      for (let o = 0; o < b.length; o += padded(lengthOf(b, o))) {
        const { action } = decodeEntry(b, o)
        if (action.type === 'command/completed') found.push(action)
      }
    }
    return found
  }
}

it('nobody decides on a store that an applier fills with what the journal has lost while its writer was recovered', async () => {
  const db = new LyingMedium()
  await db.begin()
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
  await db.until(() => db.endings.some((ending) => ending.includes('the store has applied')))
  expect(db.completions.map(({ baseRevision }) => baseRevision)).toEqual([0])
})
