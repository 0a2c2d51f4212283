import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bank, CommandLine, jsonOf, linesOf, type Result, type StartedDatabase, till } from './command-line.ts'
import { until } from './running-database.ts'

let cli: CommandLine
let database: StartedDatabase
/** Every verb below is asked at the data directory, and again by URL. */
beforeAll(async () => {
  cli = new CommandLine()
  database = await cli.start('--data-dir', cli.dataDir, '--app', till, '--app', bank)
})
afterAll(() => cli.remove())

const reaches = [
  ['--data-dir', () => ['--data-dir', cli.dataDir]],
  ['--url', () => ['--url', database.url]],
] as const

/** Exactly one line on standard error, which holds all of these; nothing was done. */
function expectError(result: Result, exitCode: number, ...parts: readonly (string | RegExp)[]): void {
  expect(result.stderr).toMatch(/^commanderdb: [^\n]+\n$/)
  for (const part of parts) expect(result.stderr).toMatch(part)
  expect(result.exitCode).toBe(exitCode)
}

interface Outcome {
  readonly id: string
  readonly lsn: number
  readonly outcome: string
  readonly duplicate: boolean
  readonly code?: string
  readonly events: readonly { readonly revision: number; readonly lsn: number; readonly globalPosition: number }[]
}

describe('start', () => {
  it('prints one ready line with the URL, its own pid and the directory', () => {
    expect(database.line).toMatch(/^ready url=http:\/\/127\.0\.0\.1:\d+ pid=\d+ dataDir=\/\S+$/)
    expect(database.pid).toBe(database.command.process.pid)
    expect(database.dataDir).toBe(cli.dataDir)
    expect(database.command.stdout.match(/^ready /gm)).toHaveLength(1)
  })

  it('refuses a second database in the directory and names the pid of the first', async () => {
    const second = await cli.run('start', '--data-dir', cli.dataDir, '--app', till, '--http-port', '0')
    expectError(second, 1, `process ${database.pid} `, cli.dataDir)
    expect(jsonOf<{ ready: boolean }>(await cli.run('status', '--json', '--data-dir', cli.dataDir)).ready).toBe(true)
  })
})

describe.each(reaches)('with %s', (name, reach) => {
  const send = (...args: readonly string[]): Promise<Result> => cli.run('send', ...args, ...reach())
  const sendJson = async (...args: readonly string[]): Promise<Outcome> => jsonOf(await send(...args, '--json'))
  const key = (text: string): string => `${text}${name}`

  it('status tells of every process', async () => {
    const status = jsonOf<Record<string, unknown>>(await cli.run('status', '--json', ...reach()))
    expect(status).toMatchObject({
      ready: true,
      role: 'leader',
      dataDir: cli.dataDir,
      url: database.url,
      lsn: { written: expect.any(Number), flushed: expect.any(Number), checkpoint: expect.any(Number) },
    })
    const processes = status['processes'] as readonly { readonly name: string }[]
    expect(processes.map((one) => one.name).sort()).toEqual([
      'application-bank-1',
      'application-shop-1',
      'dispatcher',
      'gateway',
      'journal-writer',
      'projection-applier',
      'supervisor',
    ])
    for (const one of processes) {
      expect(one).toMatchObject({
        role: expect.any(String),
        pid: expect.any(Number),
        state: 'ready',
        restarts: 0,
        rssBytes: expect.any(Number),
        eventLoopLagMs: expect.any(Number),
      })
    }
    const { stdout } = await cli.run('status', ...reach())
    expect(stdout).toMatch(/^ready +yes$/m)
    expect(stdout).toMatch(/^gateway +\d+ +ready/m)
  })

  it('send prints the outcome, for people and for programs', async () => {
    const id = key('outcome')
    expect(await sendJson(`till/${id}`, 'put', '{"cents":5}')).toMatchObject({
      outcome: 'completed',
      durability: 'flushed',
      duplicate: false,
      events: [{ type: 'put', data: { cents: 5 }, revision: 1 }],
    })
    const { exitCode, stdout, stderr } = await send(`till/${id}`, 'put', '{"cents":6}')
    expect([exitCode, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^completed {2}id=\d+ lsn=\d+ durability=flushed\n/)
    expect(stdout).toMatch(/^ +\d+ +2 +put +\{"cents":6\}$/m)
  })

  it('send takes its data from standard input', async () => {
    const result = await cli.runWith(
      { input: '{"cents":\n7}' },
      'send',
      `till/${key('stdin')}`,
      'put',
      '-',
      '--json',
      ...reach(),
    )
    expect(jsonOf<Outcome>(result)).toMatchObject({ events: [{ data: { cents: 7 } }] })
  })

  it('send exits 3 when the application rejects, with its code, message and details on one line', async () => {
    const rejected = await send(`till/${key('empty')}`, 'take', '{"cents":5}')
    expectError(rejected, 3, 'take', `till/${key('empty')}`, 'too_little', 'there is too little', '{"cents":0}')
    const { exitCode, stdout, stderr } = await send(`till/${key('empty')}`, 'take', '{"cents":5}', '--json')
    expect(exitCode).toBe(3)
    const { error } = JSON.parse(stderr) as { readonly error: Record<string, unknown> }
    expect(error).toMatchObject({
      code: 'command_rejected',
      retryable: false,
      message: expect.stringContaining('take'),
    })
    expect(error['details']).toEqual({ id: expect.any(String), code: 'too_little', details: { cents: 0 } })
    expect(JSON.parse(stdout)).toMatchObject({ outcome: 'rejected', code: 'too_little', details: { cents: 0 } })
  })

  it('send with a used key prints the first outcome, and refuses other data', async () => {
    const flags = ['--idempotency-key', key('k')]
    const first = await sendJson(`till/${key('key')}`, 'put', '{"cents":5}', ...flags)
    const again = await sendJson(`till/${key('key')}`, 'put', '{"cents":5}', ...flags)
    expect(again).toMatchObject({ id: first.id, duplicate: true, events: [{ revision: 1 }] })
    expectError(await send(`till/${key('key')}`, 'put', '{"cents":6}', ...flags), 1, key('k'), 'other data')
  })

  it('send waits as long as it is told to', async () => {
    expect(await sendJson(`till/${key('wait')}`, 'put', '{"cents":5}', '--wait', 'received')).toMatchObject({
      outcome: 'received',
    })
    expect(await sendJson(`till/${key('wait')}`, 'put', '{"cents":5}', '--wait', 'applied')).toMatchObject({
      durability: 'applied',
    })
  })

  it('send asks for a durability, and says which it got; what cannot be promised, or is none, is refused', async () => {
    const [id, put] = [`till/${key('durability')}`, '{"cents":5}']
    expect(await sendJson(id, 'put', put, '--durability', 'written')).toMatchObject({ durability: 'written' })
    expect(await sendJson(id, 'put', put, '--durability', 'applied')).toMatchObject({ durability: 'applied' })
    expectError(await send(id, 'put', put, '--durability', 'replicated'), 1, 'keeps this journal alone')
    expectError(await send(id, 'put', put, '--durability', 'eventually'), 2, 'written, flushed, replicated, applied')
    const read = await cli.run('state', id, '--consistency', 'linearizable', '--json', ...reach())
    expect(jsonOf<object>(read)).toMatchObject({ revision: 2 })
    const events = await cli.run('stream', 'read', id, '--consistency', 'linearizable', '--json', ...reach())
    expect(events.stdout.trim().split('\n')).toHaveLength(2)
    expectError(await cli.run('state', id, '--consistency', 'eventual', ...reach()), 2, 'known, linearizable')
  })

  it('send decides at the expected revision only', async () => {
    await sendJson(`till/${key('revision')}`, 'put', '{"cents":5}', '--expect-revision', '0')
    const late = await send(`till/${key('revision')}`, 'put', '{"cents":5}', '--expected-revision', '0')
    expectError(late, 1, 'revision 1, not 0')
  })

  it.each([
    ['malformed JSON', ['till/1', 'put', '{"cents":'], 2, ['JSON', '{\\\\"cents\\\\":']],
    ['something that is no aggregate and id', ['till', 'put', '{}'], 2, ['"till"', 'AGGREGATE/ID']],
    ['an empty id', ['till/', 'put', '{}'], 2, ['"till/"']],
    ['an unknown aggregate', ['teller/1', 'put', '{}'], 1, ['"teller"', 'till']],
    ['an unknown command', ['till/1', 'steal', '{}'], 1, ['"steal"', 'put, take, jam']],
    ['data that breaks its schema', ['till/1', 'put', '{"cents":"many"}'], 1, ['cents', 'till/1']],
    [
      'a wrong revision',
      ['till/1', 'put', '{"cents":1}', '--expected-revision', 'x'],
      2,
      ['--expected-revision', '"x"'],
    ],
    ['a wrong wait', ['till/1', 'put', '{"cents":1}', '--wait', 'long'], 2, ['long', 'received, completed, applied;']],
    ['too many words', ['till/1', 'put', '{"cents":1}', 'more'], 2, ['too many arguments']],
  ])('send refuses %s and names it', async (_, args, exitCode, parts) => {
    expectError(await send(...args), exitCode, ...parts.map((part) => (part.startsWith('{') ? new RegExp(part) : part)))
  })

  it('send refuses a payload over the limit and names both sizes', async () => {
    const input = JSON.stringify({ cents: 1, note: 'x'.repeat(1_048_577) })
    const result = await cli.runWith({ input }, 'send', 'till/1', 'put', '-', ...reach())
    expectError(result, 1, /104\d{4} bytes|1048\d{3}/, '1048576')
  })

  it('state prints the state, now and as it was', async () => {
    const { events } = await sendJson(`till/${key('state')}`, 'put', '{"cents":5}', '--wait', 'applied')
    await sendJson(`till/${key('state')}`, 'put', '{"cents":6}', '--wait', 'applied')
    const now = await cli.run('state', `till/${key('state')}`, '--json', ...reach())
    expect(jsonOf(now)).toMatchObject({ revision: 2, state: { cents: 11 } })
    const then = await cli.run('state', `till/${key('state')}`, '--json', '--at', String(events[0]?.lsn), ...reach())
    expect(jsonOf(then)).toMatchObject({ revision: 1, state: { cents: 5 } })
    expectError(await cli.run('state', 'teller/1', ...reach()), 1, '"teller"')
  })

  it('stream read and events print one event a line', async () => {
    const sent: Outcome[] = []
    for (const cents of [1, 2, 3])
      sent.push(await sendJson(`till/${key('read')}`, 'put', `{"cents":${cents}}`, '--wait', 'applied'))
    const stream = await cli.run('stream', 'read', `till/${key('read')}`, '--from', '2', '--json', ...reach())
    expect(linesOf(stream.stdout)).toMatchObject([
      { type: 'put', data: { cents: 2 }, revision: 2 },
      { type: 'put', data: { cents: 3 }, revision: 3 },
    ])
    const after = String((sent[0]?.events[0]?.globalPosition as number) - 1)
    const events = await cli.run('events', '--after', after, '--json', ...reach())
    expect(linesOf(events.stdout)).toMatchObject([{ revision: 1 }, { revision: 2 }, { revision: 3 }])
    const taken = await cli.run('events', '--after', after, '--types', 'taken', ...reach())
    expect(taken).toMatchObject({ exitCode: 0, stdout: '' })
    const limited = await cli.run('events', '--after', after, '--limit', '1', ...reach())
    expect(limited.stdout).toMatch(/^ *\d+ {2}\S+Z {2}till\/\S+ {2}1 {2}put {2}\{"cents":1\}\n$/)
  })

  it('stream read says it when there is nothing to print', async () => {
    const nobody = await cli.run('stream', 'read', `till/${key('nobody')}`, ...reach())
    expect(nobody).toMatchObject({
      exitCode: 0,
      stdout: '',
      stderr: `commanderdb: till/${key('nobody')} has no events\n`,
    })
    await sendJson(`till/${key('one')}`, 'put', '{"cents":1}', '--wait', 'applied')
    const beyond = await cli.run('stream', 'read', `till/${key('one')}`, '--from', '2', ...reach())
    expect(beyond.stderr).toContain('has no events from revision 2 on')
    const forPrograms = await cli.run('stream', 'read', `till/${key('nobody')}`, '--json', ...reach())
    expect(forPrograms).toMatchObject({ exitCode: 0, stdout: '', stderr: '' })
  })

  it('with --json an error is one object on standard error, with its code, and nothing on standard output', async () => {
    const errorOf = async (...args: readonly string[]): Promise<unknown> => {
      const { stdout, stderr } = await cli.run(...args, '--json', ...reach())
      expect(stdout).toBe('')
      return (JSON.parse(stderr) as { readonly error: unknown }).error
    }
    expect(await errorOf('state', 'teller/1')).toEqual({
      code: 'unknown_aggregate',
      message: expect.stringMatching(/"teller".*till/),
      retryable: false,
    })
    await sendJson(`till/${key('codes')}`, 'put', '{"cents":5}')
    expect(
      await errorOf('send', `till/${key('codes')}`, 'put', '{"cents":5}', '--expected-revision', '0'),
    ).toMatchObject({
      code: 'revision_mismatch',
      retryable: false,
    })
    expect(await errorOf('send', 'till/1', 'put', '{')).toMatchObject({ code: 'invalid_input', retryable: false })
    expect(await errorOf('status', '--verbose')).toMatchObject({ code: 'invalid_input' })
  })

  it('events --follow goes on until it is interrupted', async () => {
    const following = cli.spawn(['events', '--follow', '--types', 'put', '--json', ...reach()])
    await sendJson(`till/${key('follow')}`, 'put', '{"cents":41}')
    await following.line(/"cents":41.*\n/)
    await sendJson(`till/${key('follow')}`, 'put', '{"cents":42}')
    await following.line(/"cents":42.*\n/)
    following.process.kill('SIGINT')
    expect(await following.ended).toMatchObject({ exitCode: 0, stderr: '' })
  })

  it('projections are listed, read and rebuilt', async () => {
    await sendJson(`till/${key('row')}`, 'put', '{"cents":9}', '--wait', 'applied')
    const list = await cli.run('projection', 'list', '--json', ...reach())
    expect(jsonOf<{ name: string }[]>(list).map((one) => one.name)).toEqual(['balances', 'contents'])
    const row = await cli.run('projection', 'get', 'contents', key('row'), '--json', ...reach())
    expect(jsonOf(row)).toMatchObject({ version: 1, value: { cents: 9 } })
    expect(await cli.run('projection', 'rebuild', 'contents', ...reach())).toMatchObject({ exitCode: 0, stderr: '' })
    expectError(await cli.run('projection', 'get', 'contents', 'nobody', ...reach()), 1, '"nobody"')
    for (const verb of [
      ['get', 'content', 'x'],
      ['rebuild', 'content'],
    ])
      expectError(await cli.run('projection', ...verb, ...reach()), 1, '"content"', /there are: balances, contents/)
  })

  it('parked commands are listed, retried and skipped', async () => {
    const jammed = await send(`till/${key('jam')}`, 'jam', '{}')
    expectError(jammed, 1, 'parked', 'the drawer is jammed')
    const listed = async (): Promise<{ id: string; reason: { message: string } }[]> =>
      jsonOf(await cli.run('command', 'list', '--state', 'parked', '--json', ...reach()))
    const [parked] = await listed()
    expect(parked?.reason.message).toContain('the drawer is jammed')
    const id = parked?.id as string
    const logged = linesOf<Record<string, unknown>>(
      database.command.stdout
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .join('\n'),
    ).filter(({ code, command }) => code === 'command_parked' && command === id)
    expect(logged).toMatchObject([{ level: 'warn', aggregate: `till/${key('jam')}`, name: 'jam', attempts: 2 }])
    await until('a status that counts it', async () => {
      const { stdout } = await cli.run('status', ...reach())
      return /^parked +1 command \(commanderdb command list\)$/m.test(stdout)
    })
    await until('metrics that count it', async () => {
      const metrics = await (await fetch(`${database.url}/metrics`)).text()
      return /^commanderdb_parked_commands\{.*\} 1$/m.test(metrics)
    })
    expect(jsonOf(await cli.run('command', 'get', id, '--json', ...reach()))).toMatchObject({ id, status: 'parked' })
    expect((await cli.run('command', 'get', id, ...reach())).stdout).toMatch(/^parked at +LSN \d+$/m)
    expect(await cli.run('command', 'retry', id, ...reach())).toMatchObject({ exitCode: 0 })
    const again = await cli.run('command', 'get', id, '--wait', '20', '--json', ...reach())
    expect(jsonOf(again)).toMatchObject({ id, status: 'parked' })
    expect(await cli.run('command', 'skip', id, '--reason', 'mended by hand', ...reach())).toMatchObject({
      exitCode: 0,
    })
    const skipped = await cli.run('command', 'get', id, '--wait', '20', ...reach())
    expect(skipped.stdout).toMatch(/^status +skipped$/m)
    expect(skipped.stdout).toMatch(/^ended at +LSN \d+$/m)
    expect(skipped.stdout).toContain('mended by hand')
    expect(await listed()).toEqual([])
    expectError(await cli.run('command', 'retry', id, ...reach()), 1, 'skipped')
    expectError(await cli.run('command', 'get', '99999999', ...reach()), 1, '99999999')
  })
})

describe('verbs for the host of the database', () => {
  it('checkpoint says up to where the store is flushed', async () => {
    const { upTo } = jsonOf<{ upTo: number }>(await cli.run('checkpoint', '--json', '--data-dir', cli.dataDir))
    expect(upTo).toBeGreaterThan(0)
  })

  it('journal tail shows the last entries of a running database', async () => {
    const { stdout, exitCode } = await cli.run('journal', 'tail', '--entries', '5', '--json', '--data-dir', cli.dataDir)
    const lsns = linesOf<{ lsn: number }>(stdout).map(({ lsn }) => lsn)
    expect(exitCode).toBe(0)
    expect(lsns).toHaveLength(5)
    expect(lsns).toEqual(Array.from({ length: 5 }, (_, i) => (lsns[0] as number) + i))
  })

  it('journal inspect refuses while the database runs', async () => {
    expectError(await cli.run('journal', 'inspect', cli.dataDir), 1, `process ${database.pid} `, 'stop')
  })
})

describe('a wrong command line', () => {
  it.each([
    ['no verb', [], 'verb'],
    ['a group without a verb', ['stream'], 'verb'],
    ['an unknown verb', ['sned', 'till/1', 'put'], 'sned'],
    ['an unknown flag', ['status', '--verbose'], '--verbose'],
    ['a missing argument', ['projection', 'get', 'contents'], 'KEY'],
    ['a flag without its value', ['status', '--data-dir'], '--data-dir'],
    ['two databases', ['status', '--url', 'http://127.0.0.1:1', '--data-dir', 'x'], '--url and --data-dir'],
    ['a URL that is none', ['status', '--url', 'nonsense'], '"nonsense"'],
    ['a timeout that is none', ['send', 'till/1', 'put', '--timeout', 'soon'], '"soon"'],
  ])('with %s is one line and exit code 2', async (_, args, part) => {
    const result = await cli.run(...args)
    expectError(result, 2, part)
    expect(result.stdout).toBe('')
  })

  it('is told apart from asking for help', async () => {
    expect(await cli.run('--help')).toMatchObject({
      exitCode: 0,
      stderr: '',
      stdout: expect.stringContaining('projection'),
    })
    expect(await cli.run('help', 'send')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('--idempotency-key'),
    })
  })
})

describe('a variable that is not known', () => {
  it.each([
    [
      { COMMANDERDB_HTTP_PROT: '3' },
      'COMMANDERDB_HTTP_PROT is not known and has no effect; the nearest known one is COMMANDERDB_HTTP_PORT',
    ],
    [
      { COMMANDERDB_LOG_LEVLE: 'debug' },
      'COMMANDERDB_LOG_LEVLE is not known and has no effect; the nearest known one is COMMANDERDB_LOG_LEVEL',
    ],
  ])('is named with the nearest one: %o', async (env, text) => {
    const { exitCode, stderr } = await cli.runWith({ env }, 'status', '--data-dir', cli.dataDir)
    expect([exitCode, stderr]).toEqual([0, `commanderdb: the variable ${text}\n`])
    const forPrograms = await cli.runWith({ env }, 'status', '--json', '--data-dir', cli.dataDir)
    expect(JSON.parse(forPrograms.stderr)).toEqual({ warning: { message: `the variable ${text}` } })
  })
})

describe('where no database is', () => {
  it('an error for programs has code and details', async () => {
    const { exitCode, stdout, stderr } = await cli.run('state', 'till/1', '--json', '--data-dir', 'nothing')
    expect([exitCode, stdout]).toEqual([4, ''])
    expect(JSON.parse(stderr)).toMatchObject({
      error: { code: 'no_database', retryable: false, details: { dataDir: `${cli.directory}/nothing` } },
    })
  })

  it.each([
    ['status'],
    ['stop'],
    ['checkpoint'],
    ['send', 'till/1', 'put'],
    ['events'],
    ['state', 'till/1'],
    ['projection', 'list'],
    ['command', 'list'],
  ])('%s %s %s exits 4 and says how to start one', async (...args) => {
    expectError(await cli.run(...args, '--data-dir', 'nothing'), 4, 'no database', '/nothing', 'commanderdb start')
  })

  it('a URL exits 4 as well', async () => {
    const { command, url } = await cli.start('--data-dir', `${cli.directory}/other`, '--app', bank)
    command.process.kill('SIGTERM')
    expect((await command.ended).exitCode).toBe(0)
    expectError(await cli.run('status', '--url', url), 4, url)
    expectError(await cli.run('send', 'till/1', 'put', '--url', url), 4, url)
  })
})
