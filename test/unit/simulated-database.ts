import { expect } from 'vitest'
import type { Action } from '../../src/actions/action.ts'
import { decodeEntry } from '../../src/actions/decode.ts'
import { lengthOf, padded } from '../../src/actions/entry-layout.ts'
import { SocketDatabase } from '../../src/client/socket-database.ts'
import type { MemoryStorageOptions } from '../../src/journal/memory-storage.ts'
import { JournalReader } from '../../src/journal/reader.ts'
import { lsn } from '../../src/kernel/identifiers.ts'
import type { Application } from '../../src/sdk/application.ts'
import { SimulatedHost } from '../../src/testing/simulated-host.ts'
import type { SimulatedProcess } from '../../src/testing/simulated-process.ts'
import { TestCluster } from '../../src/testing/test-cluster.ts'
import { Trace } from '../../src/testing/trace.ts'

/** The whole database in virtual time, with a client: for what takes minutes, or a disk that fails at the right moment. */
export class SimulatedDatabase {
  /** What ended a process by itself. */
  readonly bugs: string[] = []
  readonly host: SimulatedHost
  readonly cluster: TestCluster
  readonly client: SocketDatabase

  constructor(
    application: Application,
    more: { readonly trace?: Trace; readonly diskFault?: NonNullable<MemoryStorageOptions['fault']> } = {},
  ) {
    const bug = (what: string, error: unknown): void => void this.bugs.push(`${what}: ${String(error)}`)
    this.host = new SimulatedHost({
      seed: 1,
      trace: new Trace(),
      bug,
      killed: (process) => this.cluster.ended(process),
      ...more,
    })
    this.cluster = new TestCluster({
      host: this.host,
      applications: [application],
      isolation: null,
      tap: (process) => () => process.isAlive,
      bug,
    })
    const process = this.host.start('client', true)
    const { environment } = process
    this.client = new SocketDatabase({ environment, transport: this.host.transportOf(process), addresses: ['gateway'] })
  }

  async start(): Promise<void> {
    this.cluster.start()
    await this.until(() => this.cluster.isReady)
    await this.settle(this.client.open())
  }

  process(name: string): SimulatedProcess {
    const process = [...this.host.processes].find((one) => one.name === name)
    if (process === undefined) throw new Error(`${name} runs`)
    return process
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

  async until(isOver: () => boolean, withinMs = 60_000): Promise<void> {
    expect(await this.host.time.run(this.host.time.nowMs + withinMs, isOver)).toBe(true)
  }

  async pass(ms: number): Promise<void> {
    await this.host.time.run(this.host.time.nowMs + ms, () => false)
  }

  /** Those of a type that are in the journal. */
  entriesOf<Type extends Action['type']>(type: Type): Extract<Action, { type: Type }>[] {
    const reader = new JournalReader(this.host.disk, lsn(1))
    const batches = reader.read(Number.POSITIVE_INFINITY, this.cluster.journal?.writtenLsn ?? lsn(0))
    reader.close()
    const found: Extract<Action, { type: Type }>[] = []
    for (const { payload: b } of batches) {
      for (let o = 0; o < b.length; o += padded(lengthOf(b, o))) {
        const { action } = decodeEntry(b, o)
        if (action.type === type) found.push(action as Extract<Action, { type: Type }>)
      }
    }
    return found
  }
}
