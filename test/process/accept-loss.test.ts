import { once } from 'node:events'
import { closeSync, cpSync, existsSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FileStorage } from '../../src/journal/file-storage.ts'
import { type FrameRow, inspectJournal } from '../../src/journal/inspect.ts'
import { CommandLine, jsonOf, linesOf, till } from './command-line.ts'
import { contentOf } from './directory-content.ts'
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

/** Somebody put back an old copy of the data directory: sound, and older than what the archive has. */
describe('a journal that ends before its archive does', () => {
  const world = new CommandLine()
  const archive = join(world.directory, 'archive')
  const flags = ['--app', till, '--archive-directory', archive] as const
  const old = join(world.directory, 'old')
  let endLsn: number
  let archivedLsn: number

  const copied = (name: string): string => {
    cpSync(old, join(world.directory, name), { recursive: true })
    return join(world.directory, name)
  }
  const put = async (cents: number): Promise<void> =>
    void jsonOf(
      await world.run('send', 'till/1', 'put', JSON.stringify({ cents }), '--data-dir', world.dataDir, '--json'),
    )

  beforeAll(async () => {
    const first = await world.start('--data-dir', world.dataDir, ...flags)
    await put(1)
    first.command.process.kill('SIGTERM')
    await first.command.ended
    for (const part of ['identity.json', 'journal', 'store'])
      cpSync(join(world.dataDir, part), join(old, part), { recursive: true })
    endLsn = jsonOf<{ lastLsn: number }>(await world.run('journal', 'verify', old, '--json')).lastLsn
    const second = await world.start('--data-dir', world.dataDir, ...flags)
    await put(2)
    archivedLsn = jsonOf<{ upTo: number }>(await world.run('archive', '--data-dir', world.dataDir, '--json')).upTo
    second.command.process.kill('SIGTERM')
    await second.command.ended
  })
  afterAll(() => world.remove())

  it('is refused before anything new is in it, with what to do', async () => {
    const dataDir = copied('refused')
    const before = contentOf(archive)
    const result = await world.run('start', '--no-http', '--data-dir', dataDir, ...flags)
    expect(result.exitCode).toBe(1)
    expect(result.stdout).not.toMatch(/^ready/m)
    const last = result.stderr.trimEnd().split('\n').at(-1) as string
    expect(last).toMatch(/^commanderdb: /)
    expect(last).toContain(
      `the journal ends at LSN ${endLsn} of timeline 1, but the archive ${archive} holds segments/`,
    )
    expect(last).toContain(
      `entries up to LSN ${archivedLsn} at least had been flushed (R7): acknowledged entries are missing`,
    )
    expect(last).toMatch(
      /Put the segments back .*, restore from it .*, or start once with --accept-loss to go on from LSN/,
    )
    expect(contentOf(archive)).toEqual(before)
    expect(jsonOf(await world.run('journal', 'verify', dataDir, '--json'))).toMatchObject({ lastLsn: endLsn })
  })

  it('goes on with --accept-loss on a timeline that nobody else has in that archive, as does another copy of it', async () => {
    for (const timeline of [2, 3]) {
      const dataDir = copied(`accepted-${timeline}`)
      const { command } = await world.start('--data-dir', dataDir, ...flags, '--accept-loss')
      expect(command.stderr).toContain(`entries from LSN ${endLsn + 1} to at least LSN ${archivedLsn} were given up`)
      expect(command.stderr).toContain(`behind LSN ${endLsn} on timeline ${timeline}`)
      const name = `timelines/0000000${timeline}.json`
      const claimed = JSON.parse(readFileSync(join(archive, name), 'utf8')) as object
      expect(claimed).toMatchObject({ timeline, parent: 1, fromLsn: endLsn + 1, reason: 'accept-loss' })
      expect(JSON.parse(readFileSync(join(dataDir, name), 'utf8'))).toEqual(claimed)
      expect((await world.run('send', 'till/1', 'put', '{"cents":7}', '--data-dir', dataDir)).exitCode).toBe(0)
      expect((await world.run('archive', '--data-dir', dataDir)).exitCode).toBe(0)
      expect(jsonOf(await world.run('state', 'till/1', '--data-dir', dataDir, '--json'))).toMatchObject({
        state: { cents: 8 },
      })
      command.process.kill('SIGTERM')
      await command.ended
    }
    const verified = jsonOf(await world.run('journal', 'verify', archive, '--json'))
    expect(verified).toMatchObject({ status: 'ok', timelines: [1, 2, 3], faults: [] })
  })

  it('starts where the archive cannot be asked, and gives up nothing that only that knows of', async () => {
    const dataDir = copied('alone')
    const silent = createServer().listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const env = {
      AWS_ACCESS_KEY_ID: 'nobody',
      AWS_SECRET_ACCESS_KEY: 'nothing',
      COMMANDERDB_ARCHIVE_S3_BUCKET: 'archive',
      COMMANDERDB_ARCHIVE_S3_ENDPOINT: `http://127.0.0.1:${port}`,
    }
    try {
      const { command } = await world.startWith({ env }, '--data-dir', dataDir, '--app', till)
      expect((await world.run('send', 'till/1', 'put', '{"cents":1}', '--data-dir', dataDir)).exitCode).toBe(0)
      command.process.kill('SIGKILL')
      await command.ended
    } finally {
      silent.close()
    }
  })
})
