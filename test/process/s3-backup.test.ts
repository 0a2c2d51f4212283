import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Database } from '../../src/client.ts'
import { FileStorage } from '../../src/journal/file-storage.ts'
import { type FrameRow, inspectJournal } from '../../src/journal/inspect.ts'
import { bucket, credentials, type Manner, S3World } from '../contract/s3-world.ts'
import { allEvents, BankLoad, type Completed, type Movement, movementsOf, sign } from './bank-load.ts'
import { bank, CommandLine, jsonOf, type Result } from './command-line.ts'
import { contentOf } from './directory-content.ts'
import { RunningDatabase, until } from './running-database.ts'

const cli = new CommandLine()
const databases: RunningDatabase[] = []
let world: S3World
let original: RunningDatabase
let movements: readonly Movement[]
let outcomes: ReadonlyMap<string, Completed>
/** While the backup was taken. */
let answeredDuring: readonly [number, number]
let manifest: { readonly toLsn: number; readonly appliedLsn: number; readonly archive: string }
let archivedLsn: number
let frames: readonly FrameRow[]

const archive = `s3://${bucket}/bank`
const backup = `s3://${bucket}/backups/first`

const envOf = (endpoint: string): Record<string, string> => ({
  ...credentials,
  COMMANDERDB_ARCHIVE_S3_BUCKET: bucket,
  COMMANDERDB_ARCHIVE_S3_PREFIX: 'bank',
  COMMANDERDB_ARCHIVE_S3_ENDPOINT: endpoint,
  COMMANDERDB_ARCHIVE_S3_FORCE_PATH_STYLE: 'true',
})
const run = (...args: readonly string[]): Promise<Result> => cli.runWith({ env: envOf(world.endpoint) }, ...args)

function newDatabase(): RunningDatabase {
  const s3 = { bucket, prefix: 'bank', endpoint: world.endpoint, forcePathStyle: true }
  const journal = { segmentBytes: 1_048_576, checkpointTimeoutMs: 3_600_000 }
  const database = new RunningDatabase({ applications: [{ module: bank }], journal, archive: { s3 } })
  databases.push(database)
  return database
}

/** A load that goes on while the backup is taken, and another one behind it; its journal archived to the end, and the database gone. */
beforeAll(async () => {
  Object.assign(process.env, credentials)
  world = await S3World.start()
  original = newDatabase()
  await original.start()
  const client = await original.connect()
  const during = new BankLoad(client, movementsOf(11, 3000, 30))
  const running = during.run(8)
  await during.answered(500)
  const before = during.outcomes.size
  manifest = jsonOf(await run('backup', backup, '--data-dir', original.dataDir, '--json'))
  answeredDuring = [before, during.outcomes.size]
  await running
  const after = new BankLoad(client, movementsOf(12, 1000, 30))
  await after.run()
  movements = [...during.movements, ...after.movements]
  outcomes = new Map([...during.outcomes, ...after.outcomes])
  // Before its checkpoint lets the journal go.
  const rows = [...inspectJournal(new FileStorage(join(original.dataDir, 'journal')))]
  frames = rows.filter((row): row is FrameRow => row.kind === 'frame' && row.header.entryCount > 0)
  archivedLsn = jsonOf<{ upTo: number }>(await run('archive', '--data-dir', original.dataDir, '--json')).upTo
  await original.killAll()
}, 240_000)
afterAll(async () => {
  for (const database of databases) await database.remove()
  await cli.remove()
  await world.stop()
})
afterEach(() => {
  world.manner = 'sound'
  world.altered = /./
})

interface Restored {
  readonly lsn: number
  readonly timeline: number
  readonly time: string
  readonly hashes: { readonly differing: readonly unknown[] }
}

/** From what was sent and answered, and nothing else. */
function sumsUpTo(lsn: number): Map<string, number> {
  const sums = new Map<string, number>()
  for (const movement of movements) {
    const at = outcomes.get(movement.id)?.events[0]?.lsn as number
    if (at <= lsn) sums.set(movement.account, (sums.get(movement.account) ?? 0) + sign(movement))
  }
  return sums
}

async function restoreAndStart(...args: readonly string[]): Promise<{ outcome: Restored; client: Database }> {
  const database = newDatabase()
  const outcome = jsonOf<Restored>(await run('restore', ...args, '--data-dir', database.dataDir, '--json'))
  expect(outcome.hashes.differing).toEqual([])
  await database.start()
  const client = await database.connect()
  const sums = sumsUpTo(outcome.lsn)
  expect(sums.size).toBeGreaterThan(0)
  for (const [account, balanceCents] of sums)
    expect((await client.read('account', account, { atLsn: outcome.lsn })).state).toMatchObject({ balanceCents })
  await goesOn(database, client, outcome)
  return { outcome, client }
}

/** Commands that were pending there are decided now, new ones are taken, and all of it is archived on a timeline of its own. */
async function goesOn(database: RunningDatabase, client: Database, { lsn, timeline }: Restored): Promise<void> {
  const deposited = await client.execute('account', 'account-new', 'deposit', { amountCents: 7 }, { wait: 'applied' })
  expect(deposited).toMatchObject({ outcome: 'completed' })
  const events = await allEvents(client)
  expect(events.map(({ globalPosition }) => globalPosition)).toEqual(events.map((_, index) => index + 1))
  const known = [...outcomes.values()].map(({ events: [event] }) => event).filter((event) => event !== undefined)
  const wanted = known.filter((event) => event.lsn <= lsn).toSorted((a, b) => a.lsn - b.lsn)
  expect(events.slice(0, wanted.length).map(({ data }) => data)).toEqual(wanted.map(({ data }) => data))
  for (const [account, own] of Map.groupBy(events, ({ aggregate }) => aggregate.id)) {
    const balanceCents = own.reduce((sum, { type, data }) => {
      const { amountCents } = data as { amountCents: number }
      return sum + (type === 'deposited' ? amountCents : -amountCents)
    }, 0)
    const row = (): Promise<{ value: unknown } | null> => client.projection('balances', account).catch(() => null)
    expect((await until(`the row of ${account}`, row)).value).toEqual({ balanceCents, movements: own.length })
  }
  jsonOf(await run('archive', '--data-dir', database.dataDir, '--json'))
  const own = `segments/${String(timeline).padStart(8, '0')}`
  expect(Object.keys(contentOf(join(world.directory, bucket, 'bank', own))).length).toBeGreaterThan(0)
}

describe('a backup to S3 that was taken while commands ran', () => {
  it('did not hold them up, and names the archive', () => {
    expect(answeredDuring[1]).toBeGreaterThan(answeredDuring[0])
    expect(manifest.archive).toBe(archive)
    expect(manifest.toLsn).toBeLessThan(archivedLsn)
  })

  it('is restored to an entry in the middle of a batch', async () => {
    const frame = frames.find(({ header }) => header.firstLsn > manifest.toLsn && header.entryCount >= 4)
    const middle = (frame?.header.firstLsn as number) + 1
    const { outcome } = await restoreAndStart(backup, '--to-lsn', `${middle}`)
    expect(outcome).toMatchObject({ lsn: middle, timeline: 2 })
  })

  it('is restored to a time of the timeline that it was taken on', async () => {
    const behind = frames.filter(({ header }) => header.firstLsn > manifest.toLsn && header.firstLsn <= archivedLsn)
    const { wallMs } = (behind[behind.length >> 1] as FrameRow).header
    const last = behind.findLast(({ header }) => header.wallMs <= wallMs) as FrameRow
    const time = new Date(wallMs).toISOString()
    const { outcome } = await restoreAndStart(backup, '--to-time', time, '--timeline', '1')
    expect(outcome).toMatchObject({ lsn: last.header.firstLsn + last.header.entryCount - 1, time, timeline: 3 })
  })

  it('is restored to the end of a timeline with the archive', async () => {
    const { outcome, client } = await restoreAndStart(backup, '--timeline', '1')
    expect(outcome).toMatchObject({ lsn: archivedLsn, timeline: 4 })
    expect((await allEvents(client)).length).toBe(movements.length + 1)
  })

  it('leaves an archive that is sound on all four timelines', async () => {
    const verified = await run('journal', 'verify', archive, '--json')
    expect(jsonOf(verified)).toMatchObject({ status: 'ok', timelines: [1, 2, 3, 4], faults: [] })
  })
})

/** It fails with one line that says all of this; in S3 and where it would be restored to everything is as it was. */
async function expectRefusal(
  args: readonly string[],
  says: readonly string[],
  endpoint = world.endpoint,
): Promise<void> {
  const before = contentOf(world.directory)
  const names = readdirSync(cli.directory)
  const result = await cli.runWith({ env: envOf(endpoint) }, ...args)
  expect([result.exitCode, result.stdout]).toEqual([1, ''])
  expect(result.stderr).toMatch(/^commanderdb: [^\n]+\n$/)
  for (const part of says) expect(result.stderr).toContain(part)
  expect(contentOf(world.directory)).toEqual(before)
  expect(readdirSync(cli.directory)).toEqual(names)
}

const restoring = (from: string, ...more: readonly string[]): string[] => [
  'restore',
  from,
  '--data-dir',
  cli.dataDir,
  ...more,
]

describe('a service that', () => {
  /** Any database will do to take a backup of. */
  let live: string
  const backing = (to: string): string[] => ['backup', to, '--data-dir', live]
  beforeAll(() => {
    live = databases.at(-1)?.dataDir as string
  })

  const bad: readonly (readonly [Manner, string])[] = [
    ['refuses', 'the service refuses (AccessDenied); check the credentials'],
    ['fails', 'the service fails (SlowDown, status 503)'],
  ]
  it.each(bad)('%s is named by backup and restore, and nothing is made', async (manner, says) => {
    world.manner = manner
    await expectRefusal(backing(`s3://${bucket}/new`), [`s3://${bucket}/new at ${world.endpoint}`, says])
    await expectRefusal(restoring(backup), [`${backup} at ${world.endpoint}`, says])
  })

  it('has no such bucket is named with it', async () => {
    for (const args of [backing('s3://nobodys/new'), restoring('s3://nobodys/new')])
      await expectRefusal(args, ['s3://nobodys/new', 'there is no bucket nobodys; make it'])
  })

  it('is down is named', async () => {
    const gone = await S3World.start()
    const { endpoint } = gone
    await gone.stop()
    const says = [`at ${endpoint}`, 'the service cannot be reached (ECONNREFUSED)']
    await expectRefusal(backing(`s3://${bucket}/new`), says, endpoint)
    await expectRefusal(restoring(backup), says, endpoint)
  })

  it('answers well and keeps nothing is found out by a backup', async () => {
    world.manner = 'keeps-nothing'
    await expectRefusal(backing(`s3://${bucket}/new`), [
      `s3://${bucket}/new said that it has archive.json, and does not`,
    ])
  })

  it('gives other bytes back is found out by restore, whichever object it is', async () => {
    world.manner = 'alters'
    for (const object of ['backup.json', 'store.mdb.zst', '.segment.zst']) {
      world.altered = new RegExp(object.replaceAll('.', '\\.'))
      await expectRefusal(restoring(backup, '--timeline', '1'), [object, 'is damaged'])
    }
  })

  it('breaks off in the middle of an object is told from one that is damaged', async () => {
    world.manner = 'breaks-off'
    await expectRefusal(restoring(backup), ['cannot read backup.json from the archive'])
  })

  it('ignores If-None-Match does not have a backup written over, nor an archive', async () => {
    world.manner = 'ignores'
    await expectRefusal(backing(backup), [`${backup} holds a backup already`])
    await expectRefusal(backing(archive), [`${archive} holds an archive`])
    jsonOf(await run(...backing(`s3://${bucket}/second`), '--json'))
    await expectRefusal(backing(`s3://${bucket}/second`), [`s3://${bucket}/second holds a backup already`])
    jsonOf(await run('restore', `s3://${bucket}/second`, '--drill', '--json'))
  })

  it('refused and lied leaves nothing where nothing was restored', () => {
    expect(existsSync(cli.dataDir)).toBe(false)
  })
})
