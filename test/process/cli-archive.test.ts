import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
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
