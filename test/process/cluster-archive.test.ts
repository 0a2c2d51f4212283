import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { connect } from '../../src/client.ts'
import { bucket, credentials, S3World } from '../contract/s3-world.ts'
import { ClusterWorld } from './cluster-world.ts'
import { CommandLine, jsonOf } from './command-line.ts'
import { fixtureApplication, type RunningDatabase, until } from './running-database.ts'
import { countOf, produce, small, untilTrimmed } from './trimmed-cluster.ts'

let world: ClusterWorld
afterEach(() => world?.remove())

describe('the archive of a replicated journal', () => {
  it('gets what is sealed from whichever node leads, before it is trimmed, and one database is restored from it', async () => {
    world = new ClusterWorld({}, { ...small, archive: { directory: 'archive' } })
    await world.start()
    const client = await world.connect()
    const { trimLsn } = await untilTrimmed(world, client, 0)
    const { leader } = await world.leader()
    const early = await backedUp(leader, 'early')
    await leader.killAll()
    const later = await untilTrimmed(world, client, Math.max(trimLsn + 20, early.toLsn))
    expectWhole(later.trimLsn)
    const { leader: next } = await world.leader()
    const { archive } = (await next.status()) ?? {}
    expect(archive).toMatchObject({ location: place(), failures: 0, error: null })
    expect(archive?.archivedLsn).toBeGreaterThanOrEqual(trimLsn)
    const verified = jsonOf<{ lastLsn: number }>(await cli.run('journal', 'verify', place(), '--json'))
    expect(verified).toMatchObject({ status: 'ok', firstLsn: 1 })
    const count = await countOf(client)
    await backedUp(next, 'late')
    // All of it out of the archive, the same behind the store of a backup, and a backup that no archive has the end of.
    const fromArchive = await restored(place(), 'from-archive')
    expect(fromArchive.hashes.compared).toBeGreaterThan(0)
    expect(fromArchive.lsn).toBeGreaterThanOrEqual(verified.lastLsn)
    const fromEarly = await restored(join(world.directory, 'early'), 'from-early')
    expect([fromEarly.lsn, fromEarly.stateHash]).toEqual([fromArchive.lsn, fromArchive.stateHash])
    await restored(join(world.directory, 'late'), 'from-late')
    await goesOn('from-late', count)
  })

  it('gives a node that was away what the journal servers no longer have, out of a bucket', async () => {
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

const cli = new CommandLine()
afterAll(() => cli.remove())

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
