import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CommandLine, jsonOf, type Result, type StartedDatabase } from './command-line.ts'
import { until } from './running-database.ts'

const mail = resolve(import.meta.dirname, '..', 'fixtures', 'cli', 'mail.ts')
let cli: CommandLine
let database: StartedDatabase

beforeAll(async () => {
  cli = new CommandLine()
  database = await cli.start('--data-dir', cli.dataDir, '--app', mail)
})
afterAll(() => cli.remove())

const run = (...args: readonly string[]): Promise<Result> => cli.run(...args, '--data-dir', cli.dataDir)

/** One line on standard error, which holds this. */
function expectError(result: Result, exitCode: number, part: string | RegExp): void {
  expect(result.stderr).toMatch(/^commanderdb: [^\n]+\n$/)
  expect(result.stderr).toMatch(part)
  expect(result.exitCode).toBe(exitCode)
}

const idOf = ({ stdout }: Result): string => /^received {2}id=(\d+) /.exec(stdout)?.[1] as string

describe.each([
  ['--data-dir', () => ['--data-dir', cli.dataDir]],
  ['--url', () => ['--url', database.url]],
] as const)('with %s', (name, reach) => {
  const at = (...args: readonly string[]): Promise<Result> => cli.run(...args, ...reach())

  it('send --delay answers when the command is received, and command get and list say why it waits', async () => {
    const box = `mailbox/delayed${name}`
    const id = idOf(await at('send', box, 'send', '{"n":1}', '--delay', '2h', '--priority', '9'))
    const behind = idOf(await at('send', box, 'note', '{"n":2}', '--wait', 'received'))
    const until = 'delayed until \\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z'
    expect((await at('command', 'get', id)).stdout).toMatch(new RegExp(`^waits for  ${until}$`, 'm'))
    const { stdout } = await at('command', 'list', '--state', 'pending')
    expect(stdout).toMatch(/^ *id +status +aggregate +command +attempts +waits for$/m)
    expect(stdout).toMatch(new RegExp(`^${id} +pending +${box} .*${until}$`, 'm'))
    expect(stdout).toMatch(new RegExp(`^${behind} .*command ${id}, which is before it on ${box}$`, 'm'))
  })

  it('schedule list and queue list say what comes next, and what waits', async () => {
    const schedules = await at('schedule', 'list')
    expect(schedules.stdout).toMatch(/^schedule +cron +time zone +workflow +next +last +running +waiting$/m)
    expect(schedules.stdout).toMatch(/^yearly +0 0 29 2 \* +UTC +job +\d{4}-02-29T00:00:00\.000Z +- +- +0$/m)
    expect(jsonOf(await at('schedule', 'list', '--json'))).toMatchObject([{ name: 'yearly', lastAt: null, waiting: 0 }])
    await at('send', `mailbox/queued${name}`, 'send', '{"n":1}', '--delay', '2h')
    const queues = await at('queue', 'list')
    expect(queues.stdout).toMatch(/^queue +partition +waiting +running +at once +rate limit$/m)
    expect(queues.stdout).toMatch(/^mailbox\/send +- +[1-9] +0 +5 +-$/m)
    expect(jsonOf(await at('queue', 'list', '--json'))).toContainEqual(
      expect.objectContaining({ queue: 'job', waiting: 0, concurrency: 1, rateLimit: null }),
    )
  })

  it('send --delay --wait waits until it was decided', async () => {
    const sent = await at('send', `mailbox/soon${name}`, 'send', '{"n":1}', '--delay', '50ms', '--wait', 'completed')
    expect([sent.exitCode, sent.stdout]).toEqual([0, expect.stringMatching(/^completed /)])
  })

  it('send and workflow start refuse what is no priority and no delay', async () => {
    const priority = await at('send', 'mailbox/a', 'send', '{"n":1}', '--priority', '10')
    expectError(priority, 2, /--priority is "10".*from 0 to 9/)
    const delay = await at('workflow', 'start', 'job/a', '{"n":1}', '--delay', '5')
    expectError(delay, 2, /--delay is "5".*such as 250ms, 5s/)
  })

  it('send refuses a priority where there is no queue', async () => {
    const refused = await at('send', 'mailbox/a', 'note', '{"n":1}', '--priority', '1')
    expectError(refused, 1, 'priority is 1, but note of mailbox has no queue')
  })
})

describe('workflows', () => {
  it('start by their priority, and say what they wait for before and after', async () => {
    expect((await run('workflow', 'start', 'job/first', '{"n":1}')).stdout).toBe('job/first is running\n')
    const low = cli.spawn(['workflow', 'start', 'job/low', '{"n":2}', '--wait', '--data-dir', cli.dataDir])
    await until('low waits', async () => ((await pending()).includes('job/low') ? true : undefined))
    const flags = ['--priority', '5', '--wait', '--data-dir', cli.dataDir]
    const high = cli.spawn(['workflow', 'start', 'job/high', '{"n":3}', ...flags])
    await until('high waits', async () => ((await pending()).includes('job/high') ? true : undefined))
    expect(await pending()).toMatch(/workflow:job\/low .*queue workflow:job\/start: 1 of 1 slots taken$/m)
    expectError(
      await run('workflow', 'get', 'job/low'),
      1,
      /job\/low is not started yet by command \d+, waiting for: queue workflow:job\/start: 1 of 1 slots taken/,
    )
    expect((await run('workflow', 'list', 'job')).stdout).toMatch(
      /^first +running +1 +1 +\S+ +- +signal go until \S+Z$/m,
    )
    expect((await run('workflow', 'get', 'job/first')).stdout).toMatch(/^signal +go +\S+ +\S+Z$/m)
    await run('workflow', 'signal', 'job/first', 'go')
    await until('high is started', async () => ((await listed()).includes('high') ? true : undefined))
    expect(await listed()).not.toContain('low')
    await run('workflow', 'signal', 'job/high', 'go')
    expect((await high.ended).stdout).toMatch(/^result +3$/m)
    await until('low is started', async () => ((await listed()).includes('low') ? true : undefined))
    await run('workflow', 'signal', 'job/low', 'go')
    expect((await low.ended).exitCode).toBe(0)
  })

  it('start later, where that is asked for', async () => {
    const started = await run('workflow', 'start', 'job/later', '{"n":1}', '--delay', '3h')
    expect(started).toMatchObject({ exitCode: 0, stdout: 'job/later is pending\n' })
    expectError(await run('workflow', 'get', 'job/later'), 1, /not started yet .* delayed until/)
    const soon = await run('workflow', 'start', 'job/soon', '{"n":1}', '--delay', '1ms', '--json')
    expect(jsonOf(soon)).toMatchObject({ status: 'pending', alreadyStarted: false })
    await until('soon is started', async () => ((await listed()).includes('soon') ? true : undefined))
  })

  const pending = async (): Promise<string> => (await run('command', 'list', '--state', 'pending')).stdout
  const listed = async (): Promise<string> => (await run('workflow', 'list', 'job')).stdout
})

describe('import', () => {
  const write = (rows: readonly object[]): string => {
    const file = join(cli.directory, 'rows.ndjson')
    writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    return file
  }
  const row = (id: string, more: object): object => ({
    aggregate: 'mailbox',
    id,
    command: 'send',
    data: { n: 1 },
    ...more,
  })

  it('takes priority and delay of a row, and does not wait for what is put off', async () => {
    const file = write([
      row('i1', { priority: 3, idempotencyKey: 'i1' }),
      row('i2', { delayMs: 3_600_000, idempotencyKey: 'i2' }),
      row('i3', { priority: 0, delayMs: 0, idempotencyKey: 'i3' }),
    ])
    expect(jsonOf(await run('import', file, '--json'))).toMatchObject({
      read: 3,
      completed: 2,
      delayed: 1,
      duplicates: 0,
    })
    expect(jsonOf(await run('import', file, '--json'))).toMatchObject({
      read: 3,
      completed: 0,
      delayed: 0,
      duplicates: 3,
    })
    const list = (await run('command', 'list', '--state', 'pending')).stdout
    expect(list).toMatch(/mailbox\/i2 .*delayed until/)
  })

  it.each([
    [{ priority: 10 }, 'priority is 10, but must be a whole number from 0 to 9'],
    [{ delayMs: -1 }, 'delayMs is -1, but must be a whole number from 0 to 31622400000'],
    [{ delayMs: '5s' }, 'delayMs is "5s", but must be'],
  ])('names the line of a row with %o', async (more, message) => {
    const file = write([row('j1', {}), row('j2', more)])
    expectError(await run('import', file), 1, `${file} line 2: ${message}`)
  })
})
