import { closeSync, cpSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CommandLine, jsonOf, linesOf, type Result, till } from './command-line.ts'
import { until } from './running-database.ts'

let cli: CommandLine
/** A database with a few commands in it, stopped. */
beforeAll(async () => {
  cli = new CommandLine()
  const { command } = await cli.start('--data-dir', cli.dataDir, '--app', till)
  for (const cents of [1, 2, 3]) {
    await cli.run('send', 'till/1', 'put', JSON.stringify({ cents }), '--idempotency-key', `k${cents}`)
  }
  command.process.kill('SIGTERM')
  await command.ended
})
afterAll(() => cli.remove())

function expectError(result: Result, exitCode: number, ...parts: readonly (string | RegExp)[]): void {
  expect(result.stderr).toMatch(/^commanderdb: [^\n]+\n$/)
  for (const part of parts) expect(result.stderr).toMatch(part)
  expect(result.exitCode).toBe(exitCode)
}

let copies = 0

/** The segments in a directory of their own, as an archive has them. */
function copySegments(): string {
  const directory = join(cli.directory, `archive-${++copies}`)
  mkdirSync(directory)
  for (const name of segmentsOf(join(cli.dataDir, 'journal'))) {
    cpSync(join(cli.dataDir, 'journal', name), join(directory, name))
  }
  return directory
}

const segmentsOf = (directory: string): string[] =>
  readdirSync(directory)
    .filter((name) => name.endsWith('.segment'))
    .sort()

interface Row {
  readonly kind: 'segment' | 'frame' | 'summary'
  readonly offset?: number
  readonly status?: string
  readonly lastLsn?: number
  readonly entries?: readonly { readonly lsn: number; readonly action: { readonly type: string } }[]
}

const inspect = async (directory: string): Promise<Row[]> =>
  linesOf((await cli.run('journal', 'inspect', directory, '--json')).stdout)

describe('journal inspect', () => {
  it('shows segments, frames and decoded entries, in the order of their bytes', async () => {
    const rows = await inspect(cli.dataDir)
    expect(rows[0]?.kind).toBe('segment')
    expect(rows.at(-1)).toMatchObject({ kind: 'summary', status: 'ok' })
    const entries = rows.flatMap(({ entries = [] }) => entries)
    expect(entries.map(({ lsn }) => lsn)).toEqual(entries.map((_, i) => i + 1))
    expect(rows.at(-1)?.lastLsn).toBe(entries.length)
    const received = entries.filter(({ action }) => action.type === 'command/received')
    expect(received.map(({ action }) => action)).toMatchObject(
      [1, 2, 3].map((cents) => ({
        command: 'put',
        data: { cents },
        idempotencyKey: { key: `k${cents}`, digest: expect.stringMatching(/^[0-9a-f]{32}$/) },
      })),
    )
    expect(entries.filter(({ action }) => action.type === 'command/completed')).toHaveLength(3)
  })

  it('is readable', async () => {
    const { stdout, stderr, exitCode } = await cli.run('journal', 'inspect', '--data-dir', cli.dataDir)
    expect([exitCode, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^segment \S+\.segment {2}from LSN 1/m)
    expect(stdout).toMatch(/^ {2}frame at byte \d+/m)
    expect(stdout).toMatch(/command\/completed {2}till\/1 {2}\{.*"type":"put"/)
    expect(stdout).toMatch(/^status +ok$/m)
  })
})

describe('journal tail', () => {
  it('shows the last entries of a stopped database', async () => {
    const all = (await inspect(cli.dataDir)).flatMap(({ entries = [] }) => entries)
    const { stdout } = await cli.run('journal', 'tail', '--entries', '4', '--json', '--data-dir', cli.dataDir)
    expect(linesOf(stdout)).toEqual(all.slice(-4))
    const more = await cli.run('journal', 'tail', '--entries', '10000', '--json', '--data-dir', cli.dataDir)
    expect(linesOf(more.stdout)).toEqual(all)
  })
})

describe('journal verify', () => {
  it('finds nothing wrong with a sound journal, of a database and of an archive', async () => {
    const whole = jsonOf(await cli.run('journal', 'verify', cli.dataDir, '--json'))
    expect(whole).toMatchObject({ status: 'ok', segments: 1, firstLsn: 1, path: join(cli.dataDir, 'journal') })
    expect(await cli.run('journal', 'verify', join(cli.dataDir, 'journal'))).toMatchObject({ exitCode: 0, stderr: '' })
    expect(await cli.run('journal', 'verify', copySegments())).toMatchObject({ exitCode: 0, stderr: '' })
  })

  it('says where a byte is wrong, and exits 1', async () => {
    const directory = copySegments()
    const frames = (await inspect(directory)).filter(({ kind }) => kind === 'frame')
    const offset = frames[3]?.offset as number
    const [name = ''] = segmentsOf(directory)
    const bytes = readFileSync(join(directory, name))
    bytes[offset + 120] = (bytes[offset + 120] as number) ^ 1
    writeFileSync(join(directory, name), bytes)
    const result = await cli.run('journal', 'verify', directory, '--json')
    const message = expect.stringMatching(new RegExp(`damaged.*${name} at byte ${offset}`))
    expect(JSON.parse(result.stderr)).toEqual({ error: { code: 'journal_corrupt', message, retryable: false } })
    expect(result.exitCode).toBe(1)
    expect(JSON.parse(result.stdout)).toMatchObject({ status: 'corrupt', place: { segment: name, offset } })
    expectError(await cli.run('journal', 'inspect', directory), 1, `byte ${offset}`)
  })

  it('misses the end that the store has seen', async () => {
    const dataDir = join(cli.directory, 'shortened')
    cpSync(cli.dataDir, dataDir, { recursive: true })
    const frames = (await inspect(dataDir)).filter(({ kind }) => kind === 'frame')
    const [name = ''] = segmentsOf(join(dataDir, 'journal'))
    const bytes = readFileSync(join(dataDir, 'journal', name))
    bytes.fill(0, frames.at(-2)?.offset)
    writeFileSync(join(dataDir, 'journal', name), bytes)
    expectError(await cli.run('journal', 'verify', dataDir), 1, 'damaged', 'had been flushed')
  })

  it('checks a running database up to what is flushed, while it is written to', async () => {
    const dataDir = join(cli.directory, 'running')
    const { command } = await cli.start('--data-dir', dataDir, '--app', till)
    for (const cents of [1, 2, 3])
      await cli.run('send', 'till/1', 'put', JSON.stringify({ cents }), '--data-dir', dataDir)
    // The status that says how far it is flushed is up to a second old.
    const last = await until('all that was answered', async () => {
      const summary = jsonOf<Row>(await cli.run('journal', 'verify', dataDir, '--json'))
      expect(summary).toMatchObject({ kind: 'summary', status: 'ok' })
      return (summary.lastLsn as number) >= 9 && summary
    })
    expect(last).toMatchObject({ segments: 1 })
    const [name = ''] = segmentsOf(join(dataDir, 'journal'))
    const file = openSync(join(dataDir, 'journal', name), 'r+')
    writeSync(file, Buffer.of(0xee), 0, 1, 4096 + 120)
    closeSync(file)
    expectError(await cli.run('journal', 'verify', dataDir), 1, 'damaged', name, 'byte 4096')
    command.process.kill('SIGTERM')
    await command.ended
  })

  it.each(['absent', '.'])('refuses %s, which has no journal', async (directory) => {
    expectError(await cli.run('journal', 'verify', directory), 2, 'no segments')
  })
})
