import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect, type Database } from '../../src/client.ts'
import { bucket, credentials, S3World } from '../contract/s3-world.ts'
import { ClusterWorld } from './cluster-world.ts'
import { CommandLine, jsonOf } from './command-line.ts'
import { fixtureApplication, type RunningDatabase, until } from './running-database.ts'
import { countOf, produce, small, untilTrimmed } from './trimmed-cluster.ts'

let world: ClusterWorld
const cli = new CommandLine()
afterAll(() => cli.remove())

describe('the archive of a replicated journal', () => {
  let client: Database
  let early: { readonly toLsn: number }
  let trimLsn: number

  /** Two nodes lead one after the other, and a backup is taken in between. */
  beforeAll(async () => {
    world = new ClusterWorld({}, { ...small, archive: { directory: 'archive' } })
    await world.start()
    client = await world.connect()
    const first = await untilTrimmed(world, client, 0)
    const { leader } = await world.leader()
    early = await backedUp(leader, 'early')
    await leader.killAll()
    ;({ trimLsn } = await untilTrimmed(world, client, Math.max(first.trimLsn + 20, early.toLsn)))
  }, 240_000)
  afterAll(() => world.remove())

  it('gets what is sealed from whichever node leads, before it is trimmed', async () => {
    expectWhole(trimLsn)
    // The status may be a second old.
    const archive = await until('the archive to have what was given up', async () => {
      const now = (await (await world.leader()).leader.status())?.archive
      return (now?.archivedLsn ?? 0) >= trimLsn && now
    })
    expect(archive).toMatchObject({ location: place(), failures: 0, error: null })
  })

  it('is that of one database to whoever verifies it or restores from it', async () => {
    const verified = jsonOf<{ lastLsn: number }>(await cli.run('journal', 'verify', place(), '--json'))
    expect(verified).toMatchObject({ status: 'ok', firstLsn: 1 })
    // All of it out of the archive, and the same behind the store of a backup.
    const fromArchive = await restored(place(), 'from-archive')
    expect(fromArchive.hashes.compared).toBeGreaterThan(0)
    expect(fromArchive.lsn).toBeGreaterThanOrEqual(verified.lastLsn)
    const fromEarly = await restored(join(world.directory, 'early'), 'from-early')
    expect([fromEarly.lsn, fromEarly.stateHash]).toEqual([fromArchive.lsn, fromArchive.stateHash])
  })

  it('is not needed for the backup of a node, whose end it does not have', async () => {
    const count = await countOf(client)
    await backedUp((await world.leader()).leader, 'late')
    await restored(join(world.directory, 'late'), 'from-late')
    await goesOn('from-late', count)
  })
})

describe('a node that was away', () => {
  it('reads what the journal servers no longer have out of a bucket', async () => {
    const s3 = await S3World.start()
    try {
      Object.assign(process.env, credentials)
      world = new ClusterWorld(
        {},
        { ...small, archive: { s3: { bucket, endpoint: s3.endpoint, forcePathStyle: true } } },
      )
      await world.start()
      const client = await world.connect()
      await untilTrimmed(world, client, 0)
      const { leader, follower } = await world.leader()
      await follower.killAll()
      const had = (await leader.status())?.lsn?.written ?? 0
      const { trimLsn } = await untilTrimmed(world, client, had)
      expect(trimLsn).toBeGreaterThan(had)
      await follower.start()
      const count = await countOf(client)
      const own = await follower.connect()
      await until('the node to have everything', async () => (await countOf(own)) === count)
      expect(follower.logged('this node takes the store of another one')).toEqual([])
      expect((await leader.status())?.archive).toMatchObject({ location: `s3://${bucket}`, error: null })
    } finally {
      await world.remove()
      await s3.stop()
    }
  })
})

const place = (): string => join(world.directory, 'archive')
/** One object behind the other, from the first entry to the mark at least, each once. */
function expectWhole(trimLsn: number): void {
  const names = readdirSync(join(place(), 'database', '00000001')).sort()
  let end = 0
  for (const name of names) {
    const [base, tail] = name.split('-').map(Number) as [number, number]
    expect(base).toBe(end + 1)
    end = tail
  }
  expect(end).toBeGreaterThanOrEqual(trimLsn)
}

async function backedUp({ dataDir }: RunningDatabase, name: string): Promise<{ toLsn: number }> {
  return jsonOf(await cli.run('backup', join(world.directory, name), '--data-dir', dataDir, '--json'))
}

interface Facts {
  readonly lsn: number
  readonly stateHash: string
  readonly hashes: { readonly compared: number; readonly differing: readonly unknown[] }
}

async function restored(from: string, to: string): Promise<Facts> {
  const { exitCode, stdout, stderr } = await cli.run('restore', from, '--data-dir', join(cli.directory, to), '--json')
  expect(exitCode, stderr).toBe(0)
  const facts = JSON.parse(stdout) as Facts
  expect(facts.hashes.differing).toEqual([])
  return facts
}

/** With a journal of its own. */
async function goesOn(name: string, count: number): Promise<void> {
  const dataDir = join(cli.directory, name)
  const database = await cli.start('--data-dir', dataDir, '--app', fixtureApplication('troublesome'))
  const client = await connect({ dataDir })
  expect(await countOf(client)).toBe(count)
  await produce(client)
  expect(await countOf(client)).toBe(count + 1)
  await client.close()
  database.command.process.kill('SIGTERM')
  await database.command.ended
}
