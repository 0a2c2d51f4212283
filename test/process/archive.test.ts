import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import { listArchivedSegments } from '../../src/archive/archived-segments.ts'
import { DirectoryTarget } from '../../src/archive/file-directory-target.ts'
import type { CommanderError, Database } from '../../src/client.ts'
import type { Config } from '../../src/sdk/config.ts'
import { fixtureApplication, RunningDatabase, until } from './running-database.ts'

const mebibyte = 1_048_576

/** One entry of so many bytes. */
const produce = (client: Database, bytes: number): Promise<unknown> =>
  client.execute('thing', 'one', 'produce', { bytes })

let database: RunningDatabase
let archive: string

const configOf = (segmentBytes: number): Omit<Config, 'dataDir' | 'http'> => ({
  applications: [{ module: fixtureApplication('troublesome') }],
  journal: { segmentBytes },
  archive: { directory: 'archive' },
})

async function start(segmentBytes: number): Promise<Database> {
  database = new RunningDatabase(configOf(segmentBytes))
  archive = join(database.directory, 'archive')
  await database.start()
  return database.connect()
}

afterEach(() => database?.remove())

const objects = (): string[] =>
  existsSync(archive)
    ? readdirSync(archive, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && entry.name.endsWith('.segment.zst'))
        .map((entry) => join(entry.parentPath, entry.name))
        .sort()
    : []

const segments = (): string[] =>
  readdirSync(join(database.dataDir, 'journal'))
    .filter((name) => /^\d.*\.segment$/.test(name))
    .sort()

/** Every object under a final name is a whole segment, with the bytes that the journal has. */
function expectWhole(): void {
  for (const object of objects()) {
    const bytes = zstdDecompressSync(readFileSync(object))
    const name = object.slice(object.lastIndexOf('/') + 1, -'.zst'.length)
    const local = join(database.dataDir, 'journal', name)
    if (existsSync(local)) expect(bytes.equals(readFileSync(local)), name).toBe(true)
  }
}

/** Status says that everything before the current segment is archived. */
const archived = (): Promise<unknown> =>
  until('everything sealed to be archived', async () => {
    const current = Number(segments().at(-1)?.slice(11, 27))
    const status = (await database.status())?.archive
    return status?.archivedLsn === current - 1 && status.waitingSegments === 0
  })

describe('the archive of a running database', () => {
  it('gets every sealed segment, and status says so', async () => {
    const client = await start(mebibyte)
    for (let i = 0; i < 12; i++) await produce(client, 400_000)
    await archived()
    expect(objects().length).toBeGreaterThanOrEqual(4)
    expectWhole()
    const status = await database.status()
    expect(status?.archive).toMatchObject({ location: archive, waitingSegments: 0, failures: 0, error: null })
    expect(status?.archive?.archivedLsn).toBeGreaterThan(0)
  })

  it('has no part of an object under its name when its process is killed in the middle, again and again, and goes on', async () => {
    const client = await start(4 * mebibyte)
    const kills = { count: 0 }
    await produce(client, 1000)
    await until('the archive', () => existsSync(join(archive, 'archive.json')))
    for (let round = 0; round < 5; round++) {
      const before = objects().length
      const watcher = watch(archive, { recursive: true })
      const pid = await database.pidOf('projection-applier')
      let isKilled = false
      watcher.on('change', (_kind, name) => {
        if (isKilled || !String(name).includes('.segment.zst.') || !isRunning(pid)) return
        process.kill(pid, 'SIGKILL')
        isKilled = true
        kills.count++
      })
      // The watcher sees a file that is there for some milliseconds, or it does not: then there is a next one.
      while (!isKilled) await produce(client, 1_000_000)
      watcher.close()
      expectWhole()
      await until('an applier', async () => (await database.process('projection-applier')).pid !== pid)
      await until('one more segment', () => objects().length > before)
    }
    await archived()
    expect(kills.count).toBe(5)
    expectWhole()
    expect(leftovers()).toEqual([])
    const listed = await listArchivedSegments(new DirectoryTarget(archive))
    expect(listed.map(({ segNo }) => segNo)).toEqual(listed.map((_, index) => index + 1))
  })

  it('that cannot be written fails without holding up commands, and catches up', async () => {
    const client = await start(mebibyte)
    await until('the archive', () => existsSync(join(archive, 'archive.json')))
    writeFileSync(join(archive, 'segments'), 'a file where a directory must be, which root cannot write below either')
    for (let i = 0; i < 8; i++) await produce(client, 400_000)
    const failing = await until('the failure', async () => {
      const status = (await database.status())?.archive
      return status?.error === null ? undefined : status
    })
    expect(failing).toMatchObject({ archivedLsn: 0, error: { code: 'archive_unavailable' } })
    expect(failing.error?.message).toContain(archive)
    expect(failing.waitingSegments).toBeGreaterThan(0)
    expect(segments()[0]).toMatch(/^0000000001-/)
    rmSync(join(archive, 'segments'))
    await archived()
    expectWhole()
    expect(database.logged('the archive fails')).toHaveLength(1)
  })

  it('that is of another database does not keep this one from starting and working, and is left alone', async () => {
    database = new RunningDatabase(configOf(mebibyte))
    archive = join(database.directory, 'archive')
    mkdirSync(archive)
    const identity = JSON.stringify({ format: 1, journalId: '0'.repeat(32), createdAt: '2026-01-01T00:00:00.000Z' })
    writeFileSync(join(archive, 'archive.json'), identity)
    await database.start()
    const client = await database.connect()
    for (let i = 0; i < 4; i++) await produce(client, 400_000)
    const status = await until('the failure', async () => {
      const found = (await database.status())?.archive
      return found?.error?.code === 'foreign_database' && found.waitingSegments > 0 ? found : null
    })
    expect(status).toMatchObject({ location: archive, archivedLsn: 0 })
    expect(readdirSync(archive)).toEqual(['archive.json'])
    expect(readFileSync(join(archive, 'archive.json'), 'utf8')).toBe(identity)
  })

  it('that fails for good lets the journal grow to its limit and no further, and commands go on when it is back', async () => {
    database = new RunningDatabase({
      ...configOf(mebibyte),
      journal: { segmentBytes: mebibyte, maxJournalBytes: 6 * mebibyte },
    })
    archive = join(database.directory, 'archive')
    await database.start()
    const client = await database.connect({ timeoutMs: 3000 })
    await until('the archive', () => existsSync(join(archive, 'archive.json')))
    writeFileSync(join(archive, 'segments'), 'a file where a directory must be')
    const refused = await until('a refusal', async () => {
      const [outcome] = await Promise.allSettled([produce(client, 200_000)])
      return outcome.status === 'rejected' ? (outcome.reason as CommanderError) : null
    })
    expect(['journal_full', 'overloaded', 'timeout']).toContain(refused.code)
    expect(refused.retryable).toBe(true)
    expect(segments()[0]).toMatch(/^0000000001-/)
    expect(segments().length).toBeLessThanOrEqual(6)
    expect((await database.status())?.journal?.heldBy).toBe('archive')
    rmSync(join(archive, 'segments'))
    await until('room', async () => (await Promise.allSettled([produce(client, 200_000)]))[0].status === 'fulfilled')
    await until('the first segment to be removed', () => !segments()[0]?.startsWith('0000000001-'))
    const listed = await listArchivedSegments(new DirectoryTarget(archive))
    expect(listed[0]?.segNo).toBe(1)
  })
})

const isRunning = (pid: number): boolean => existsSync(`/proc/${pid}`)

const leftovers = (): string[] =>
  readdirSync(archive, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.tmp'))
