import { describe, expect, it } from 'vitest'
import { defineAggregate } from '../../../src/sdk/aggregate.ts'
import { defineApplication } from '../../../src/sdk/application.ts'
import { Trace } from '../../../src/testing/trace.ts'
import { SimulatedDatabase } from '../simulated-database.ts'

const accounts = 50

/** A disk that is full from the moment when the first command is decided. */
class FullDisk extends SimulatedDatabase {
  readonly warnings: string[] = []
  decisions = 0
  isFull = false
  fillsAtDecision = true

  constructor() {
    const counter = defineAggregate({
      name: 'counter',
      initialState: () => 0,
      decide: {
        add: () => {
          this.decisions++
          if (this.fillsAtDecision) this.isFull = true
          return { type: 'added', data: null }
        },
      },
      evolve: { added: (state) => state + 1 },
    })
    super(defineApplication({ name: 'shop', aggregates: [counter] }), {
      trace: new Trace((line) => {
        if (/ (warn|error): /.test(line)) this.warnings.push(line)
      }),
      diskFault: ({ kind }) => (this.isFull && kind !== 'flush' && kind !== 'remove' ? 'enospc' : null),
    })
  }

  get pending(): number {
    return this.cluster.state?.commands.byLsn.size ?? 0
  }
}

describe('a disk that stays full', () => {
  it('makes no process try again without a pause, and is said once', async () => {
    const db = new FullDisk()
    await db.start()
    const calls = Array.from({ length: accounts }, (_, i) => db.client.execute('counter', String(i), 'add', null))
    const ended = Promise.allSettled(calls)
    await db.until(() => db.isFull)
    await db.pass(120_000)
    expect(db.pending).toBe(accounts)
    expect(db.warnings.length).toBeLessThan(10)
    expect(db.decisions).toBeLessThan(60 * accounts)
    db.isFull = false
    db.fillsAtDecision = false
    await db.until(() => db.pending === 0)
    await db.settle(ended)
    await db.pass(1_000)
    expect(db.bugs).toEqual([])
    const states = await db.settle(Promise.all(calls.map((_, i) => db.client.read('counter', String(i)))))
    expect(states).toEqual(Array(accounts).fill(expect.objectContaining({ revision: 1, state: 1 })))
  })
})
