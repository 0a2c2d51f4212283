import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { type Database, isCommanderError } from '../../src/client.ts'
import { CommandLine, jsonOf, till } from './command-line.ts'
import { fixtureApplication, RunningDatabase } from './running-database.ts'

let database: RunningDatabase | undefined
let cli: CommandLine | undefined
afterEach(async () => {
  await database?.remove()
  await cli?.remove()
  database = undefined
  cli = undefined
})

const streams = Array.from({ length: 12 }, (_, i) => `s${i}`)
const eventsEach = 300

async function fill(db: Database): Promise<void> {
  const calls = Array.from({ length: eventsEach }, () => streams.map((id) => db.execute('thing', id, 'count'))).flat()
  for (const outcome of await Promise.all(calls)) expect(outcome.outcome).toBe('completed')
}

/** Asks again until it is done: what a person would do. */
async function deleteSurely(db: Database, id: string): Promise<void> {
  for (;;) {
    try {
      await db.deleteStream('thing', id)
      return
    } catch (error) {
      if (!isCommanderError(error) || !error.retryable) throw error
      await sleep(20)
    }
  }
}

async function positionsOf(db: Database): Promise<{ readonly ids: Set<string>; readonly positions: number[] }> {
  const ids = new Set<string>()
  const positions: number[] = []
  for await (const event of db.events()) {
    ids.add(event.aggregate.id)
    positions.push(event.globalPosition)
  }
  return { ids, positions }
}

describe('deleting streams while every process is killed', () => {
  it('leaves each stream whole or gone, and every other position where it was', async () => {
    database = await RunningDatabase.start({ applications: [{ module: fixtureApplication('troublesome') }] })
    const db = await database.connect()
    await fill(db)
    const before = await positionsOf(db)
    const kept = streams.filter((_, i) => i % 2 === 0)
    const deleting = Promise.all(streams.filter((id) => !kept.includes(id)).map((id) => deleteSurely(db, id)))
    for (let kill = 0; kill < 3; kill++) {
      await sleep(60 + kill * 70)
      await database.killAll()
      await database.start()
    }
    await deleting
    for (const id of streams) {
      if (kept.includes(id)) {
        const { events } = await db.stream('thing', id)
        expect(events.map(({ revision }) => revision)).toEqual(Array.from({ length: eventsEach }, (_, i) => i + 1))
        expect(await db.execute('thing', id, 'count')).toMatchObject({ outcome: 'completed' })
      } else {
        await expect(db.stream('thing', id)).rejects.toMatchObject({ code: 'stream_deleted' })
        await expect(db.execute('thing', id, 'count')).rejects.toMatchObject({ code: 'stream_deleted' })
      }
    }
    await expect.poll(async () => [...(await positionsOf(db)).ids].sort(), { timeout: 30_000 }).toEqual(kept.sort())
    const after = await positionsOf(db)
    expect(after.positions).toHaveLength(kept.length * (eventsEach + 1))
    const old = after.positions.filter((position) => position <= before.positions.length)
    expect(old).toHaveLength(kept.length * eventsEach)
    expect(new Set(after.positions).size).toBe(after.positions.length)
  })
})

describe('the command line', () => {
  it('shows, closes and deletes a stream, by directory and by URL, with the right exit codes', async () => {
    cli = new CommandLine()
    const { url } = await cli.start('--data-dir', cli.dataDir, '--app', till)
    for (const [id, reach] of [
      ['a', ['--data-dir', cli.dataDir]],
      ['b', ['--url', url]],
    ] as const) {
      const stream = `till/${id}`
      jsonOf(await cli.run('send', stream, 'put', '{"cents":5}', '--json', ...reach))
      expect(jsonOf(await cli.run('stream', 'show', stream, '--json', ...reach))).toMatchObject({ status: 'open' })
      expect((await cli.run('stream', 'close', stream, ...reach)).stdout).toMatch(/^status +closed$/m)
      const refused = await cli.run('send', stream, 'put', '{"cents":5}', ...reach)
      expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/was closed and takes no further/) })
      expect(jsonOf(await cli.run('state', stream, '--json', ...reach))).toMatchObject({ revision: 1 })
      const deleted = jsonOf(await cli.run('stream', 'delete', stream, '--json', ...reach))
      expect(deleted).toMatchObject({ status: 'deleted', revision: 1 })
      const gone = await cli.run('stream', 'read', stream, ...reach)
      expect(gone).toMatchObject({
        exitCode: 1,
        stderr: expect.stringMatching(/^commanderdb: [^\n]* was deleted[^\n]*\n$/),
      })
      expect(await cli.run('stream', 'delete', 'till/typo', ...reach)).toMatchObject({
        exitCode: 1,
        stderr: expect.stringMatching(/has no events/),
      })
      expect((await cli.run('stream', 'close', 'till', ...reach)).exitCode).toBe(2)
    }
  })

  it('says of a skipped command what it was, and pages through many parked ones', async () => {
    cli = new CommandLine()
    const { url } = await cli.start('--data-dir', cli.dataDir, '--app', till)
    for (let i = 0; i < 5; i++) await cli.run('send', `till/${i}`, 'jam', '--url', url)
    for (const reach of [
      ['--data-dir', cli.dataDir],
      ['--url', url],
    ] as const) {
      interface Parked {
        readonly id: string
        readonly attempts: number
        readonly command: string
      }
      const first = jsonOf<Parked[]>(await cli.run('command', 'list', '--limit', '3', '--json', ...reach))
      expect(first).toHaveLength(3)
      expect(first[0]).toMatchObject({ command: 'jam', attempts: 2 })
      const after = first.at(-1)?.id as string
      const rest = jsonOf<Parked[]>(await cli.run('command', 'list', '--after', after, '--json', ...reach))
      expect(rest).toHaveLength(2)
      expect(new Set([...first, ...rest].map(({ id }) => id)).size).toBe(5)
      expect((await cli.run('command', 'list', '--after', 'x', ...reach)).exitCode).toBe(2)
    }
    const [one] = jsonOf<{ readonly id: string }[]>(await cli.run('command', 'list', '--json', '--url', url))
    const id = one?.id as string
    expect((await cli.run('command', 'skip', id, '--reason', 'broken', '--url', url)).exitCode).toBe(0)
    const skipped = { status: 'skipped', command: 'jam', attempts: 2, reason: { message: 'broken' } }
    expect(jsonOf(await cli.run('command', 'get', id, '--json', '--url', url))).toMatchObject(skipped)
    expect(jsonOf(await cli.run('command', 'get', id, '--json', '--data-dir', cli.dataDir))).toMatchObject(skipped)
  })
})
