import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ClientOutcome, Database } from '../../src/client.ts'
import { fixtureApplication, RunningDatabase, until } from './running-database.ts'

let database: RunningDatabase
let client: Database
beforeEach(async () => {
  database = await RunningDatabase.start({
    applications: [{ module: fixtureApplication('troublesome'), resources: { maxOldSpaceMb: 128 } }],
  })
  client = await database.connect()
})
afterEach(() => database.remove())

const application = 'application-troublesome-1'
const restarts = async (): Promise<number> => (await database.process(application)).restarts

/** Good commands on other aggregates, which must all be completed. */
function others(count: number, prefix: string): Promise<ClientOutcome[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => client.execute('thing', `${prefix}-${i % 50}`, 'count')))
}

async function expectAllCompleted(outcomes: Promise<ClientOutcome[]>): Promise<void> {
  expect(new Set((await outcomes).map(({ outcome }) => outcome))).toEqual(new Set(['completed']))
}

describe('a command that throws', () => {
  it('is parked after its attempts, with the error and the number of attempts to be seen', async () => {
    const outcome = await client.execute('thing', 'a', 'fail')
    expect(outcome).toMatchObject({ outcome: 'parked', message: expect.stringContaining('this always fails') })
    const view = await client.command(outcome.id)
    expect(view).toMatchObject({
      status: 'parked',
      attempts: 3,
      command: 'fail',
      aggregate: { type: 'thing', id: 'a' },
    })
    expect((await client.commands('parked')).map(({ id }) => id)).toEqual([outcome.id])
    expect(await restarts()).toBe(0)
    expect(await client.execute('thing', 'a', 'count')).toMatchObject({ outcome: 'completed' })
  })

  it('blocks its aggregate where that is asked for, until it is skipped', async () => {
    const outcome = await client.execute('guarded', 'a', 'fail')
    const behind = client.execute('guarded', 'a', 'count')
    expect(await client.execute('guarded', 'b', 'count')).toMatchObject({ outcome: 'completed' })
    expect((await client.commands('pending')).length).toBe(1)
    await until('the parked command', async () => (await client.commands('parked')).length === 1)
    await client.skipCommand(outcome.id)
    expect(await behind).toMatchObject({ outcome: 'completed' })
    await until('the skipped command', async () => (await client.command(outcome.id)).status === 'skipped')
  })

  it('fails again when it is retried, and counts its attempts anew', async () => {
    const { id } = await client.execute('thing', 'a', 'fail')
    const first = await until('the parked command', async () => (await client.commands('parked'))[0])
    await client.retryCommand(id)
    const again = await until('the end of the retry', async () => {
      const view = await client.command(id)
      return view.status === 'parked' && view.endLsn !== first.endLsn ? view : null
    })
    expect(again).toMatchObject({ attempts: 3 })
  })
})

describe('a command that takes its process down', () => {
  const cases: [string, string, unknown][] = [
    ['ends it with an error code', 'exit', { code: 7 }],
    ['ends it as if all were well', 'exit', { code: 0 }],
    ['uses up its memory', 'exhaustMemory', null],
  ]

  it.each(cases)(
    'because it %s is parked after two crashes, and all others are completed',
    async (_what, command, data) => {
      const before = others(200, 'before')
      const bad = client.execute('thing', 'bad', command, data)
      const after = others(200, 'after')
      expect(await bad).toMatchObject({ outcome: 'parked', message: expect.stringContaining('crashed 2 times') })
      await expectAllCompleted(before)
      await expectAllCompleted(after)
      expect(await client.execute('thing', 'bad', 'count')).toMatchObject({ outcome: 'completed' })
      expect(await restarts()).toBe(2)
    },
  )

  it('because it never returns is parked after the watchdog has killed it twice', async () => {
    const before = others(200, 'before')
    const bad = client.execute('thing', 'bad', 'loop')
    const after = others(200, 'after')
    expect(await bad).toMatchObject({ outcome: 'parked', message: expect.stringContaining('crashed 2 times') })
    await expectAllCompleted(before)
    await expectAllCompleted(after)
    expect(database.logged('child does not report').length).toBe(2)
  })

  it('while several do so are all parked, and nothing else is', async () => {
    const bad = Promise.all(
      Array.from({ length: 4 }, (_, i) => client.execute('thing', `bad-${i}`, 'exit', { code: 1 })),
    )
    await expectAllCompleted(others(300, 'good'))
    expect((await bad).map(({ outcome }) => outcome)).toEqual(['parked', 'parked', 'parked', 'parked'])
    expect((await client.commands('parked')).length).toBe(4)
  })
})

describe('two instances', () => {
  it('share the aggregates, and one takes over what the other had when it is killed, without a gap', async () => {
    await database.remove()
    database = await RunningDatabase.start({
      applications: [{ module: fixtureApplication('troublesome'), instances: 2 }],
    })
    client = await database.connect()
    const ids = Array.from({ length: 40 }, (_, i) => `shared-${i}`)
    let stop = false
    let done = 0
    const work = ids.map(async (id) => {
      let count = 0
      while (!stop) {
        const outcome = await client.execute('thing', id, 'count')
        expect(outcome).toMatchObject({ outcome: 'completed' })
        count++
        done++
      }
      return count
    })
    for (const name of ['application-troublesome-1', 'application-troublesome-2', 'application-troublesome-1']) {
      const before = done
      await until('some work', () => done > before + 400)
      const killed = await database.signal(name, 'SIGKILL')
      await until(`another ${name}`, async () => (await database.process(name)).pid !== killed)
    }
    const before = done
    await until('some work', () => done > before + 400)
    stop = true
    const counts = await Promise.all(work)
    // Not with the flushed LSN of the status, which is up to a second old: by itself a read waits for what was answered.
    for (const [i, id] of ids.entries()) {
      const { revision, state } = await client.read('thing', id)
      expect([revision, state]).toEqual([counts[i], { count: counts[i] }])
    }
  })
})

describe('events of all sizes', () => {
  it('are written up to the bound; a command that produces more is parked and says why', async () => {
    const sizes = [1, 70_000, 1_000_000, 3_000_000]
    for (const bytes of sizes) {
      expect(await client.execute('thing', 'big', 'produce', { bytes })).toMatchObject({ outcome: 'completed' })
    }
    for (const bytes of [5_000_000, 20_000_000]) {
      expect(await client.execute('thing', 'big', 'produce', { bytes })).toMatchObject({
        outcome: 'parked',
        message: expect.stringContaining('bytes'),
      })
    }
    const { events } = await client.stream('thing', 'big')
    expect(events.map(({ data }) => (data as { text: string }).text.length)).toEqual(sizes)
    expect(await restarts()).toBe(0)
  })

  it('are written when many large ones are decided at once', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 400 }, (_, i) => client.execute('thing', `big-${i}`, 'produce', { bytes: 100_000 })),
    )
    expect(outcomes.every(({ outcome }) => outcome === 'completed')).toBe(true)
    expect(await restarts()).toBe(0)
  })
})
