import { closeSync, cpSync, existsSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FileStorage } from '../../src/journal/file-storage.ts'
import { type FrameRow, inspectJournal } from '../../src/journal/inspect.ts'
import { CommandLine, jsonOf, linesOf, till } from './command-line.ts'
import { until } from './running-database.ts'

const cli = new CommandLine()
let copies = 0
/** LSNs of the commands. */
let received: readonly number[]

/** A database that was stopped well, with a frame for each entry. */
beforeAll(async () => {
  const { command } = await cli.start('--data-dir', cli.dataDir, '--app', till)
  for (let cents = 1; cents <= 6; cents++) await cli.run('send', 'till/1', 'put', JSON.stringify({ cents }))
  command.process.kill('SIGTERM')
  await command.ended
  const { stdout } = await cli.run('journal', 'tail', cli.dataDir, '--entries', '1000', '--json')
  const entries = linesOf<{ readonly lsn: number; readonly action: { readonly type: string } }>(stdout)
  received = entries.filter(({ action }) => action.type === 'command/received').map(({ lsn }) => lsn)
  expect(received).toHaveLength(6)
})
afterAll(() => cli.remove())

function copyOf(): string {
  const dataDir = join(cli.directory, `copy-${++copies}`)
  for (const part of ['identity.json', 'journal', 'store'])
    cpSync(join(cli.dataDir, part), join(dataDir, part), { recursive: true })
  return dataDir
}

const framesOf = (dataDir: string): FrameRow[] =>
  [...inspectJournal(new FileStorage(join(dataDir, 'journal')))].filter((row): row is FrameRow => row.kind === 'frame')

function damage(dataDir: string, { segment, offset }: FrameRow): void {
  const file = openSync(join(dataDir, 'journal', segment), 'r+')
  writeSync(file, Buffer.of(0xee, 0xee, 0xee), 0, 3, offset + 110)
  closeSync(file)
}

interface Balance {
  readonly state: { readonly cents: number }
  readonly revision: number
}

const stateOf = async (dataDir: string): Promise<Balance> =>
  jsonOf(await cli.run('state', 'till/1', '--data-dir', dataDir, '--json'))

describe('start --accept-loss', () => {
  it('is what a damaged journal asks for; it gives up what is damaged, says what that was, and goes on', async () => {
    const dataDir = copyOf()
    const frames = framesOf(dataDir)
    const bad = frames.find(({ header }) => header.firstLsn > (received[3] as number)) as FrameRow
    const endLsn = bad.header.firstLsn - 1
    damage(dataDir, bad)
    const refused = await cli.run('start', '--data-dir', dataDir, '--app', till, '--no-http')
    expect(refused.exitCode).toBe(1)
    expect(refused.stderr).toMatch(/damaged .* --accept-loss/)

    const { command } = await cli.start('--data-dir', dataDir, '--app', till, '--accept-loss')
    expect(command.stderr).toContain(`entries from LSN ${endLsn + 1} to at least LSN`)
    expect(command.stderr).toContain(`behind LSN ${endLsn} on timeline 2`)
    const [name = '', ...others] = readdirSync(join(dataDir, 'losses'))
    expect(others).toEqual([])
    const record = JSON.parse(readFileSync(join(dataDir, 'losses', name), 'utf8')) as Record<string, unknown>
    expect(record).toMatchObject({
      timeline: 2,
      parent: 1,
      endLsn,
      lost: { fromLsn: endLsn + 1 },
      damage: { segment: bad.segment, lsn: bad.header.firstLsn },
      storeIsAhead: true,
      keptAside: [{ name: expect.stringMatching(/^lost-/), bytes: expect.any(Number) }],
    })
    expect(existsSync(join(dataDir, record['store'] as string, 'data.mdb'))).toBe(true)
    expect(JSON.parse(readFileSync(join(dataDir, 'timelines', '00000002.json'), 'utf8'))).toMatchObject({
      timeline: 2,
      parent: 1,
      fromLsn: endLsn + 1,
      reason: 'accept-loss',
    })

    // The store is built again from what is left of the journal: what was received before the damage, and no more.
    const left = received.filter((at) => at <= endLsn).length
    expect(left).toBeLessThan(6)
    await until('the commands that are left', async () => (await stateOf(dataDir)).revision === left)
    expect((await cli.run('send', 'till/1', 'put', '{"cents":1}', '--data-dir', dataDir)).exitCode).toBe(0)
    expect((await stateOf(dataDir)).revision).toBe(left + 1)
    command.process.kill('SIGTERM')
    expect((await command.ended).exitCode).toBe(0)

    // Nothing of it stays on: the next start needs no flag, and finds the journal sound.
    expect(jsonOf(await cli.run('journal', 'verify', dataDir, '--json'))).toMatchObject({ status: 'ok' })
    const again = await cli.start('--data-dir', dataDir, '--app', till)
    again.command.process.kill('SIGTERM')
    expect((await again.command.ended).exitCode).toBe(0)
  })

  it('gives up nothing where nothing is damaged', async () => {
    const dataDir = copyOf()
    const { command } = await cli.start('--data-dir', dataDir, '--app', till, '--accept-loss')
    expect(command.stderr).toContain('nothing of')
    expect(existsSync(join(dataDir, 'losses'))).toBe(false)
    expect((await stateOf(dataDir)).revision).toBe(6)
    command.process.kill('SIGTERM')
    await command.ended
  })

  it('makes no database where there is none', async () => {
    const result = await cli.run(
      'start',
      '--data-dir',
      join(cli.directory, 'none'),
      '--app',
      till,
      '--no-http',
      '--accept-loss',
    )
    expect(result.exitCode).toBe(4)
    expect(result.stderr).toContain('there is no database in')
    expect(existsSync(join(cli.directory, 'none', 'identity.json'))).toBe(false)
  })
})
