import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DirectoryTarget } from '../../src/archive/file-directory-target.ts'
import { sealedSegments } from '../../src/archive/sealed-segments.ts'
import { SegmentVault } from '../../src/archive/segment-vault.ts'
import type { ClientEvent, Database } from '../../src/client.ts'
import { FileStorage } from '../../src/journal/file-storage.ts'
import { type FrameRow, inspectJournal } from '../../src/journal/inspect.ts'
import { lsn, noLsn } from '../../src/kernel/identifiers.ts'
import { systemClock } from '../../src/kernel/system-environment.ts'
import { readIdentity } from '../../src/store/identity-adapter.ts'
import { allEvents, BankLoad, movementsOf } from './bank-load.ts'
import { bank, CommandLine, jsonOf } from './command-line.ts'
import { RunningDatabase, until } from './running-database.ts'

const config = {
  applications: [{ module: bank, instances: 2 }],
  journal: { segmentBytes: 1_048_576, checkpointTimeoutMs: 3_600_000 },
}
const directory = mkdtempSync(join(tmpdir(), 'backup-'))
const backup = join(directory, 'backup')
const archive = join(directory, 'archive')
const cli = new CommandLine()
const restored: RunningDatabase[] = []
let original: RunningDatabase
/** All events of the original, to its end. */
let events: readonly ClientEvent[]
let manifest: {
  readonly toLsn: number
  readonly appliedLsn: number
  readonly fromLsn: number
  readonly stateHash: string
}

interface Restored {
  readonly lsn: number
  readonly timeline: number
  readonly entries: number
  readonly time: string
  readonly hashes: { readonly compared: number; readonly differing: readonly unknown[] }
}

/** A load that goes on while the backup is taken, then kill -9 of everything, then all sealed segments in an archive. */
beforeAll(async () => {
  original = await RunningDatabase.start(config)
  const load = new BankLoad(await original.connect(), movementsOf(5, 12_000))
  const running = load.run()
  await load.answered(4000)
  manifest = jsonOf(await cli.run('backup', backup, '--data-dir', original.dataDir, '--json'))
  expect(load.outcomes.size).toBeLessThan(load.movements.length)
  await running
  await original.killAll()
  await original.start()
  const client = await original.connect()
  events = await allEvents(client)
  expect(events).toHaveLength(load.movements.length)
  await original.stop()
  await archiveAll()
}, 240_000)

afterAll(async () => {
  for (const database of [original, ...restored]) await database.remove()
  await cli.remove()
  rmSync(directory, { recursive: true, force: true })
})

const journalOf = (database: RunningDatabase): FileStorage => new FileStorage(join(database.dataDir, 'journal'))

async function archiveAll(): Promise<void> {
  const { databaseId } = readIdentity(original.dataDir) as { databaseId: string }
  const journalId = Buffer.from(databaseId.replaceAll('-', ''), 'hex')
  const storage = journalOf(original)
  const vault = new SegmentVault({ target: new DirectoryTarget(archive), storage, journalId, clock: systemClock })
  await vault.open(true)
  const sealed = sealedSegments(storage, noLsn, lsn(Number.MAX_SAFE_INTEGER))
  expect(sealed.length).toBeGreaterThan(2)
  for (const segment of sealed) await vault.store(segment)
  await vault.close()
}

const framesOf = (database: RunningDatabase): FrameRow[] =>
  [...inspectJournal(journalOf(database))].filter((row): row is FrameRow => row.kind === 'frame')

/** Restores to a directory of its own, starts what is there, and holds its events to those of the original up to there. */
async function restoreAndCompare(...args: readonly string[]): Promise<{ outcome: Restored; client: Database }> {
  const database = new RunningDatabase(config)
  restored.push(database)
  const outcome = jsonOf<Restored>(await cli.run('restore', ...args, '--data-dir', database.dataDir, '--json'))
  expect(outcome.hashes.differing).toEqual([])
  await database.start()
  const client = await database.connect()
  const wanted = events.filter(({ lsn }) => lsn <= outcome.lsn)
  const found = await allEvents(client)
  expect(found.slice(0, wanted.length)).toEqual(wanted)
  await verifyBalances(client, found)
  return { outcome, client }
}

/** States and rows of the projection are those of the events. */
async function verifyBalances(client: Database, found: readonly ClientEvent[]): Promise<void> {
  const byAccount = Map.groupBy(found, ({ aggregate }) => aggregate.id)
  for (const [account, own] of byAccount) {
    const balanceCents = own.reduce((sum, { type, data }) => {
      const { amountCents } = data as { amountCents: number }
      return sum + (type === 'deposited' ? amountCents : -amountCents)
    }, 0)
    expect((await client.read('account', account)).state).toMatchObject({ balanceCents })
    const { value } = await until(`the row of ${account}`, () =>
      client.projection('balances', account).catch(() => null),
    )
    expect(value).toEqual({ balanceCents, movements: own.length })
  }
}

const deposit = (client: Database): Promise<unknown> =>
  client.execute('account', 'account-1', 'deposit', { amountCents: 1 }, { wait: 'applied' })

describe('a backup that was taken while commands ran', () => {
  it('is restored with everything up to its end, and takes commands', async () => {
    const { outcome, client } = await restoreAndCompare(backup)
    expect(outcome).toMatchObject({ lsn: manifest.toLsn, timeline: 2 })
    expect(outcome.hashes.compared).toBeGreaterThan(0)
    expect(await deposit(client)).toMatchObject({ outcome: 'completed' })
  })

  it('goes on with the archive to the end of that', async () => {
    const { outcome, client } = await restoreAndCompare(backup, '--archive', archive)
    const last = framesOf(original).findLast(({ header }) => header.flags === 2)
    expect(outcome.lsn).toBe((last?.header.firstLsn as number) - 1)
    expect(outcome.lsn).toBeGreaterThan(manifest.toLsn)
    expect(await deposit(client)).toMatchObject({ outcome: 'completed' })
  })

  it('goes on to an entry in the middle of a batch', async () => {
    const frame = framesOf(original).find(({ header }) => header.firstLsn > manifest.toLsn && header.entryCount >= 4)
    const middle = (frame?.header.firstLsn as number) + 1
    const { outcome, client } = await restoreAndCompare(backup, '--archive', archive, '--to-lsn', `${middle}`)
    expect(outcome.lsn).toBe(middle)
    expect(await deposit(client)).toMatchObject({ outcome: 'completed' })
  })
})

describe('an archive from the first entry on', () => {
  it('is restored to a time without a backup', async () => {
    const frames = framesOf(original).filter(({ header }) => header.entryCount > 0)
    const { wallMs } = (frames[Math.floor(frames.length / 3)] as FrameRow).header
    const last = frames.findLast(({ header }) => header.wallMs <= wallMs) as FrameRow
    const time = new Date(wallMs).toISOString()
    const { outcome } = await restoreAndCompare(archive, '--to-time', time)
    expect(outcome).toMatchObject({ lsn: last.header.firstLsn + last.header.entryCount - 1, time })
  })

  it('tells two databases that are restored from it apart by their timelines', async () => {
    const timelines = readdirSync(join(archive, 'timelines'))
    expect(timelines.length).toBeGreaterThan(1)
    expect(new Set(timelines).size).toBe(timelines.length)
  })
})
