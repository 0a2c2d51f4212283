import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { type ClientEvent, type Database, isCommanderError } from '../../src/client.ts'
import { CommandLine, jsonOf, linesOf, till } from './command-line.ts'
import { fixtureApplication, RunningDatabase } from './running-database.ts'

let database: RunningDatabase | undefined
let cli: CommandLine | undefined
let archive: string | undefined
afterEach(async () => {
  await database?.remove()
  await cli?.remove()
  if (archive !== undefined) rmSync(archive, { recursive: true, force: true })
  database = undefined
  cli = undefined
  archive = undefined
})

const streams = ['s0', 's1', 's2', 's3']
const eventsEach = 800

async function fill(db: Database): Promise<void> {
  const calls = Array.from({ length: eventsEach }, () => streams.map((id) => db.execute('thing', id, 'count'))).flat()
  for (const { outcome } of await Promise.all(calls)) expect(outcome).toBe('completed')
}

const revisionsOfStep = 10

/** Some revisions at a time, asked again until it is done: what a person would do. */
async function archiveSurely(db: Database, id: string, done: () => void): Promise<void> {
  for (let upTo = revisionsOfStep; upTo <= eventsEach; ) {
    try {
      const { archivedUpTo } = await db.archiveStream('thing', id, { upTo })
      if (archivedUpTo < upTo) continue
      upTo += revisionsOfStep
      done()
    } catch (error) {
      if (!isCommanderError(error) || !error.retryable) throw error
      await sleep(20)
    }
  }
}

async function allEvents(db: Database): Promise<ClientEvent[]> {
  const events: ClientEvent[] = []
  for await (const event of db.events()) events.push(event)
  return events
}

describe('archiving streams while every process is killed', () => {
  it('loses no event, whoever reads it, and the aggregates go on', async () => {
    archive = mkdtempSync(join(tmpdir(), 'stream-archive-'))
    database = await RunningDatabase.start({
      applications: [{ module: fixtureApplication('troublesome') }],
      archive: { directory: archive },
    })
    const db = await database.connect()
    await fill(db)
    const before = await allEvents(db)
    const archived = streams.slice(0, 3)
    const stepsAll = (archived.length * eventsEach) / revisionsOfStep
    let steps = 0
    let stepDone = (): void => {}
    const more = (count: number): Promise<void> =>
      new Promise((resolve) => {
        const goal = steps + count
        stepDone = () => (steps >= goal ? resolve() : undefined)
      })
    const step = (): void => {
      steps++
      stepDone()
    }
    const archiving = Promise.all(archived.map((id) => archiveSurely(db, id, step)))
    for (let kill = 0; kill < 3; kill++) {
      await more(stepsAll / 12)
      await database.killAll()
      expect(steps).toBeLessThan(stepsAll)
      await database.start()
    }
    await archiving
    expect(await allEvents(db)).toEqual(before)
    for (const id of streams) {
      const { events } = await db.stream('thing', id)
      const own = before.filter((event) => event.aggregate.id === id)
      expect(events).toEqual(own.slice(0, events.length))
      expect(events.length).toBeGreaterThan(0)
      const outcome = await db.execute('thing', id, 'count')
      expect(outcome).toMatchObject({ outcome: 'completed', events: [{ revision: eventsEach + 1 }] })
    }
  })
})

describe('the command line', () => {
  it('archives a stream into a directory and reads it back', async () => {
    cli = new CommandLine()
    const directory = join(cli.directory, 'archive')
    const env = { COMMANDERDB_ARCHIVE_DIRECTORY: directory }
    const { url } = await cli.startWith({ env }, '--data-dir', cli.dataDir, '--app', till)
    for (let cents = 1; cents <= 3; cents++)
      jsonOf(await cli.run('send', 'till/a', 'put', JSON.stringify({ cents }), '--json', '--url', url))
    const archived = jsonOf(await cli.run('stream', 'archive', 'till/a', '--up-to', '2', '--json', '--url', url))
    expect(archived).toMatchObject({ status: 'open', revision: 3, archivedUpTo: 2 })
    expect(readdirSync(join(directory, 'streams', 'till', 'a'))).toHaveLength(1)
    const read = await cli.run('stream', 'read', 'till/a', '--json', '--data-dir', cli.dataDir)
    expect(linesOf<{ revision: number }>(read.stdout).map(({ revision }) => revision)).toEqual([1, 2, 3])
    const shown = await cli.run('stream', 'archive', 'till/a', '--data-dir', cli.dataDir)
    expect(shown).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^archived to +3$/m) })
    expect((await cli.run('stream', 'archive', 'till/a', '--up-to', '0', '--url', url)).exitCode).toBe(2)
    expect((await cli.run('stream', 'archive', 'till/a', '--up-to', '9', '--url', url)).exitCode).toBe(1)
  })

  it('says what to set without an archive, with exit code 2', async () => {
    cli = new CommandLine()
    const { url } = await cli.start('--data-dir', cli.dataDir, '--app', till)
    jsonOf(await cli.run('send', 'till/a', 'put', '{"cents":1}', '--json', '--url', url))
    for (const reach of [
      ['--data-dir', cli.dataDir],
      ['--url', url],
    ] as const) {
      const result = await cli.run('stream', 'archive', 'till/a', ...reach)
      expect(result).toMatchObject({ exitCode: 2, stderr: expect.stringMatching(/set archive\.directory/) })
    }
  })
})
