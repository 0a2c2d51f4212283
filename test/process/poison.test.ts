import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CommandLine, jsonOf, linesOf, type StartedDatabase } from './command-line.ts'
import { fixtureApplication, until } from './running-database.ts'

interface View {
  readonly id: string
  readonly status: string
  readonly attempts?: number
  readonly endLsn?: number
  readonly reason?: { readonly code: string; readonly message: string }
}

interface JournalLine {
  readonly action: { readonly type: string; readonly command?: number; readonly retryDelayMs?: number }
}

let cli: CommandLine
let database: StartedDatabase
beforeAll(async () => {
  cli = new CommandLine()
  database = await cli.start('--data-dir', cli.dataDir, '--app', fixtureApplication('troublesome'))
})
afterAll(() => cli.remove())

const reach = (): string[] => ['--data-dir', cli.dataDir]
const command = (...args: readonly string[]) => cli.run('command', ...args, ...reach())
const listed = async (state: string): Promise<View[]> => jsonOf(await command('list', '--state', state, '--json'))
const viewOf = async (id: string): Promise<View> => jsonOf(await command('get', id, '--wait', '60', '--json'))

/** Resolves with its id once it is received. */
async function begin(aggregate: string, name: string, data = '{}'): Promise<string> {
  const sent = await cli.run('send', aggregate, name, data, '--wait', 'received', '--json', ...reach())
  return jsonOf<{ id: string }>(sent).id
}

async function send(aggregate: string, name: string, data = '{}'): Promise<void> {
  const sent = await cli.run('send', aggregate, name, data, '--json', ...reach())
  expect(jsonOf(sent)).toMatchObject({ outcome: 'completed' })
}

/** Of each attempt that failed. The journal is shown up to the status, which is up to a second old. */
async function pausesOf(id: string): Promise<(number | undefined)[]> {
  const entries = await until('the end of the command', async () => {
    const { stdout } = await cli.run('journal', 'tail', '--entries', '200', '--json', ...reach())
    const own = linesOf<JournalLine>(stdout).filter(({ action }) => String(action.command) === id)
    return own.at(-1)?.action.type === 'command/parked' && own
  })
  return entries.flatMap(({ action }) => (action.type === 'command/failed' ? [action.retryDelayMs] : []))
}

async function overHttp(path: string): Promise<View[]> {
  const answer = await fetch(new URL(path, database.url))
  expect(answer.status).toBe(200)
  return ((await answer.json()) as { commands: View[] }).commands
}

describe('a command that takes its process down', () => {
  it('is parked after the second crash, while others are completed, and shows why and how often it was tried', async () => {
    const id = await begin('thing/deadly', 'exit', '{"code":7}')
    const behind = await begin('thing/deadly', 'count')
    for (let i = 0; i < 3; i++) await send(`thing/other-${i}`, 'count')
    expect(await viewOf(id)).toMatchObject({
      status: 'parked',
      attempts: 2,
      reason: { code: 'command_parked', message: expect.stringContaining('crashed 2 times') },
    })
    expect(await viewOf(behind)).toMatchObject({ status: 'completed' })
    const { stdout } = await command('list', '--state', 'parked')
    expect(stdout).toMatch(/^id +status +aggregate +command +attempts +reason$/m)
    expect(stdout).toMatch(
      new RegExp(`^ *${id} +parked +thing/deadly +exit +2 +command_parked: .*crashed 2 times`, 'm'),
    )
    expect(await overHttp('/v1/commands?state=parked')).toMatchObject([
      { id, status: 'parked', attempts: 2, reason: { message: expect.stringContaining('crashed 2 times') } },
    ])
    expect(await command('skip', id, '--reason', 'it is deadly')).toMatchObject({ exitCode: 0 })
    expect(await viewOf(id)).toMatchObject({ status: 'skipped', attempts: 2 })
  })

  it('may be retried, and is parked again after two more crashes', async () => {
    const id = await begin('thing/stubborn', 'exit', '{"code":7}')
    const first = await viewOf(id)
    expect(await command('retry', id)).toMatchObject({ exitCode: 0 })
    await send('thing/other-0', 'count')
    const again = await viewOf(id)
    expect(again).toMatchObject({ status: 'parked', reason: first.reason })
    expect(again.endLsn).toBeGreaterThan(first.endLsn as number)
    expect(await command('skip', id)).toMatchObject({ exitCode: 0 })
  })
})

describe('a command that fails again and again', () => {
  it('is tried with a pause that doubles, and then parked, so that the next one goes on', async () => {
    const id = await begin('thing/failing', 'fail')
    await send('thing/failing', 'count')
    expect(await viewOf(id)).toMatchObject({
      status: 'parked',
      attempts: 3,
      reason: { message: expect.stringContaining('this always fails') },
    })
    expect(await pausesOf(id)).toEqual([10, 20])
    expect(await command('skip', id)).toMatchObject({ exitCode: 0 })
  })

  it('holds its aggregate where that is asked for, through a retry, until it is skipped, and no other', async () => {
    const id = await begin('guarded/a', 'fail')
    const behind = await begin('guarded/a', 'count')
    const first = await viewOf(id)
    expect(first).toMatchObject({ status: 'parked', attempts: 2 })
    await send('guarded/b', 'count')
    expect(await listed('pending')).toMatchObject([{ id: behind, status: 'pending', attempts: 0 }])
    expect(await command('retry', id)).toMatchObject({ exitCode: 0 })
    const again = await viewOf(id)
    expect(again).toMatchObject({ status: 'parked', attempts: 2 })
    expect(again.endLsn).toBeGreaterThan(first.endLsn as number)
    await send('guarded/b', 'count')
    expect(await listed('pending')).toMatchObject([{ id: behind, status: 'pending' }])
    expect(await overHttp('/v1/commands?state=pending')).toMatchObject([{ id: behind, status: 'pending' }])
    expect(await command('skip', id, '--reason', 'by hand')).toMatchObject({ exitCode: 0 })
    expect(await viewOf(behind)).toMatchObject({ status: 'completed' })
    expect(await listed('parked')).toEqual([])
  })
})
