import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bucket, credentials, S3World } from '../contract/s3-world.ts'
import { CommandLine, jsonOf, type StartedDatabase, till } from './command-line.ts'

let cli: CommandLine
let database: StartedDatabase
let archive: string

beforeAll(async () => {
  cli = new CommandLine()
  archive = join(cli.directory, 'archive')
  database = await cli.start('--data-dir', cli.dataDir, '--app', till, '--archive-directory', archive)
})
afterAll(() => cli.remove())

const put = (cents: number): Promise<unknown> => cli.run('send', 'till/1', 'put', JSON.stringify({ cents }))
const segments = (): string[] => readdirSync(join(archive, 'segments', '00000001')).sort()

describe('commanderdb archive', () => {
  it('brings everything that was answered to the archive, at once', async () => {
    await put(1)
    const result = await cli.run('archive', '--data-dir', cli.dataDir, '--json')
    expect([result.exitCode, result.stderr]).toEqual([0, ''])
    const { upTo, location } = jsonOf(result) as { upTo: number; location: string }
    expect(location).toBe(archive)
    expect(segments()).toHaveLength(1)
    const events = await cli.run('events', '--json', '--data-dir', cli.dataDir)
    const lsns = [...events.stdout.matchAll(/"lsn":(\d+)/g)].map(([, lsn]) => Number(lsn))
    expect(lsns.length).toBeGreaterThan(0)
    expect(upTo).toBeGreaterThanOrEqual(Math.max(...lsns))
  })

  it('is readable, and takes a second time', async () => {
    await put(2)
    const { stdout, exitCode } = await cli.run('archive', '--data-dir', cli.dataDir)
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^archived up to LSN \d+ in \/.*\/archive\n$/)
    expect(segments()).toHaveLength(2)
  })

  it('shows in status', async () => {
    const { stdout } = await cli.run('status', '--data-dir', cli.dataDir)
    expect(stdout).toMatch(/^archive +\/.*\/archive, up to LSN \d+, /m)
  })

  it('can be verified, as a whole and with what is damaged', async () => {
    const sound = await cli.run('journal', 'verify', archive, '--json')
    expect([sound.exitCode, sound.stderr]).toEqual([0, ''])
    expect(jsonOf(sound)).toMatchObject({ kind: 'summary', location: archive, status: 'ok', segments: 2, faults: [] })
    const copy = join(cli.directory, 'copy')
    cpSync(archive, copy, { recursive: true })
    const object = join(copy, 'segments', '00000001', segments()[1] ?? '')
    const bytes = readFileSync(object)
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
    writeFileSync(object, bytes)
    const damaged = await cli.run('journal', 'verify', copy)
    expect(damaged.exitCode).toBe(1)
    expect(damaged.stdout).toMatch(/^status +corrupt$/m)
    expect(damaged.stderr).toMatch(
      /^commanderdb: segments\/00000001\/0000000002-\d+\.segment\.zst in the archive [^\n]+ is damaged[^\n]+\n$/,
    )
  })

  it('says why it fails, in one line, with exit code 1', async () => {
    const identity = join(archive, 'archive.json')
    rmSync(identity)
    await put(3)
    const result = await cli.run('archive', '--data-dir', cli.dataDir)
    expect(result.exitCode).toBe(1)
    expect(result.stderr).toMatch(/^commanderdb: the archive \/.*\/archive is gone: [^\n]+ Is it mounted\?[^\n]+\n$/)
    writeFileSync(
      identity,
      JSON.stringify({ format: 1, journalId: '0'.repeat(32), createdAt: '2026-01-01T00:00:00.000Z' }),
    )
    const foreign = await cli.run('archive', '--data-dir', cli.dataDir)
    expect(foreign.exitCode).toBe(1)
    expect(foreign.stderr).toMatch(/belongs to the database 0{32}/)
    expect((await cli.run('status', '--data-dir', cli.dataDir)).exitCode).toBe(0)
    expect(database.pid).toBeGreaterThan(0)
  })

  it('says what to set where there is no archive, with exit code 2', async () => {
    const other = new CommandLine()
    await other.start('--data-dir', other.dataDir, '--app', till)
    const result = await other.run('archive', '--data-dir', other.dataDir)
    expect(result.exitCode).toBe(2)
    expect(result.stderr).toMatch(
      /^commanderdb: [^\n]*no archive: set archive\.directory or archive\.s3\.bucket[^\n]*\n$/,
    )
    await other.remove()
  })

  it('needs a running database', async () => {
    const { exitCode } = await cli.run('archive', '--data-dir', join(cli.directory, 'nothing'))
    expect(exitCode).toBe(4)
  })
})

describe('an archive in S3', () => {
  let service: S3World
  beforeAll(async () => {
    service = await S3World.start()
  })
  afterAll(() => service.stop())

  it('is filled, verified, and named when it cannot be reached, while commands go on', async () => {
    const other = new CommandLine()
    const env = {
      ...credentials,
      COMMANDERDB_ARCHIVE_S3_BUCKET: bucket,
      COMMANDERDB_ARCHIVE_S3_PREFIX: 'bank',
      COMMANDERDB_ARCHIVE_S3_ENDPOINT: service.endpoint,
      COMMANDERDB_ARCHIVE_S3_FORCE_PATH_STYLE: 'true',
    }
    const run = (...args: string[]): ReturnType<CommandLine['run']> => other.runWith({ env }, ...args)
    try {
      const started = other.spawn(['start', '--no-http', '--data-dir', other.dataDir, '--app', till], { env })
      await started.line(/^ready .*$/m)
      await run('send', 'till/1', 'put', '{"cents":1}')
      const archived = await run('archive', '--data-dir', other.dataDir, '--json')
      expect([archived.exitCode, archived.stderr]).toEqual([0, ''])
      expect(jsonOf(archived)).toMatchObject({ location: `s3://${bucket}/bank` })
      const verified = await run('journal', 'verify', `s3://${bucket}/bank`, '--json')
      expect([verified.exitCode, verified.stderr]).toEqual([0, ''])
      expect(jsonOf(verified)).toMatchObject({ status: 'ok', segments: 1 })
      await service.stopFront()
      expect((await run('send', 'till/1', 'put', '{"cents":2}')).exitCode).toBe(0)
      const failed = await run('archive', '--data-dir', other.dataDir)
      expect(failed.exitCode).toBe(1)
      expect(failed.stderr).toMatch(
        /^commanderdb: [^\n]*s3:\/\/archive\/bank at http[^\n]* cannot be reached \(ECONNREFUSED\)[^\n]*\n$/,
      )
      expect((await run('send', 'till/1', 'put', '{"cents":3}')).exitCode).toBe(0)
    } finally {
      await other.remove()
    }
  })
})
