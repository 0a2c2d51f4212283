import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ClientEvent } from '../../src/client.ts'
import { bank, CommandLine, jsonOf, linesOf, type Result, type RunningCommand, till } from './command-line.ts'

const map = join(import.meta.dirname, '..', '..', 'src', 'examples', 'bank', 'import-1993.ts')

let cli: CommandLine
beforeAll(async () => {
  cli = new CommandLine()
  await start()
})
afterAll(() => cli.remove())

const start = (): ReturnType<CommandLine['start']> => cli.start('--data-dir', cli.dataDir, '--app', bank, '--app', till)
const importFile = (file: string, ...flags: readonly string[]): Promise<Result> =>
  cli.run('import', file, '--data-dir', cli.dataDir, ...flags)

function write(name: string, lines: readonly string[], lineEnd = '\n'): string {
  const path = join(cli.directory, name)
  writeFileSync(path, lines.map((line) => line + lineEnd).join(''))
  return path
}

interface Report {
  readonly read: number
  readonly completed: number
  readonly rejected: number
  readonly parked: number
  readonly duplicates: number
  readonly seconds: number
  readonly commandsPerSecond: number
}

const counts = (completed: number, others: Partial<Report> = {}): Partial<Report> => {
  const { rejected = 0, parked = 0, duplicates = 0 } = others
  return { read: completed + rejected + parked + duplicates, completed, rejected, parked, duplicates }
}

interface Transactions {
  readonly count: number
  readonly lines: readonly string[]
  /** Amounts by account, withdrawals below zero, in the order of the file. */
  readonly ofAccount: ReadonlyMap<string, readonly number[]>
}

let files = 0

/** Bank transactions of the form that the example's map reads: busy and quiet accounts of their own, all kinds and amounts. */
function transactions(count: number): Transactions {
  const lines = ['"trans_id";"account_id";"date";"type";"operation";"amount";"balance";"k_symbol";"bank";"account"']
  const ofAccount = new Map<string, number[]>()
  const types = ['PRIJEM', 'VYDAJ', 'VYBER']
  const own = 100_000 * ++files
  for (let i = 0; i < count; i++) {
    const account = String(own + (i % 5 === 0 ? 7 : 1000 + ((i * 31) % 97)))
    const type = types[(i * 7) % 3] as string
    const cents = 1 + ((i * 7919) % 500_000)
    const amount = cents % 100 === 0 ? String(cents / 100) : (cents / 100).toFixed(2)
    lines.push(`${own + i};${account};9301${10 + (i % 20)};"${type}";"VKLAD";${amount};0.0;"";;`)
    ofAccount.set(account, [...(ofAccount.get(account) ?? []), type === 'PRIJEM' ? cents : -cents])
  }
  return { count, lines, ofAccount }
}

/** The events of these accounts. */
async function eventsOf({ ofAccount }: Transactions): Promise<ClientEvent[]> {
  const { stdout } = await cli.run('events', '--json', '--data-dir', cli.dataDir)
  return linesOf<ClientEvent>(stdout).filter(({ aggregate }) => ofAccount.has(aggregate.id))
}

/** Every account has exactly its movements, in the order of the file, with revisions without gaps. */
async function expectMovements(expected: Transactions): Promise<void> {
  const found = new Map<string, number[]>()
  for (const { aggregate, revision, type, data } of await eventsOf(expected)) {
    const movements = found.get(aggregate.id) ?? []
    expect(revision).toBe(movements.length + 1)
    const { amountCents } = data as { amountCents: number }
    found.set(aggregate.id, [...movements, type === 'deposited' ? amountCents : -amountCents])
  }
  expect(found).toEqual(expected.ofAccount)
}

describe('import of CSV with a map', () => {
  it('makes one completed command of each row, in the order of the file, and of none a second one', async () => {
    const expected = transactions(2000)
    const file = write('transactions.csv', expected.lines, '\r\n')
    const first = jsonOf<Report>(await importFile(file, '--map', map, '--json'))
    expect(first).toMatchObject(counts(2000))
    const names = ['read', 'completed', 'rejected', 'parked', 'delayed', 'duplicates', 'seconds', 'commandsPerSecond']
    expect(Object.keys(first)).toEqual([...names, 'rejections'])
    expect(Math.abs(first.commandsPerSecond - 2000 / first.seconds)).toBeLessThan(0.01 * first.commandsPerSecond + 1)
    await expectMovements(expected)
    expect(jsonOf(await importFile(file, '--map', map, '--json'))).toMatchObject(counts(0, { duplicates: 2000 }))
    const { stdout, stderr, exitCode } = await importFile(file, '--map', map, '--concurrency', '4')
    expect({ stderr, exitCode }).toEqual({ stderr: '', exitCode: 0 })
    expect(stdout).toMatch(/^duplicates +2000$/m)
    await expectMovements(expected)
  })

  it('works over HTTP', async () => {
    const { url } = await statusOf()
    const expected = transactions(300)
    const file = write('transactions.csv', expected.lines)
    expect(jsonOf(await cli.run('import', file, '--map', map, '--json', '--url', url))).toMatchObject(counts(300))
    await expectMovements(expected)
  })

  /** Begins to import, and resolves in the middle of it. */
  async function importHalf(expected: Transactions, ...flags: readonly string[]): Promise<RunningCommand> {
    const file = write('transactions.csv', expected.lines)
    const importing = cli.spawn(['import', file, '--map', map, '--json', '--data-dir', cli.dataDir, ...flags])
    while ((await eventsOf(expected)).length < expected.count / 10) await sleep(5)
    return importing
  }

  it.each(['journal-writer', 'application-bank-1', 'gateway'])('goes on when the %s is killed', async (name) => {
    const expected = transactions(3000)
    const { processes } = await statusOf()
    const importing = await importHalf(expected, '--concurrency', '4')
    process.kill(processes.find((one) => one.name === name)?.pid as number, 'SIGKILL')
    expect(importing.process.exitCode).toBeNull()
    const report = jsonOf<Report>(await importing.ended)
    expect(report.completed + report.duplicates).toBe(expected.count)
    expect(report).toMatchObject({ read: expected.count, rejected: 0, parked: 0 })
    await expectMovements(expected)
  })

  it('goes on when everything is killed and started again', async () => {
    const expected = transactions(3000)
    const { processes } = await statusOf()
    const importing = await importHalf(expected, '--concurrency', '4')
    for (const { pid } of processes) process.kill(pid, 'SIGKILL')
    expect(importing.process.exitCode).toBeNull()
    await start()
    expect(jsonOf<Report>(await importing.ended).read).toBe(expected.count)
    await expectMovements(expected)
  })

  it('goes on where it was after it was interrupted', async () => {
    const expected = transactions(3000)
    const importing = await importHalf(expected, '--concurrency', '8')
    importing.process.kill('SIGINT')
    const { exitCode, stdout, stderr } = await importing.ended
    const { completed } = JSON.parse(stdout) as Report
    expect(exitCode).toBe(1)
    expect(JSON.parse(stderr)).toEqual({ warning: { message: expect.stringMatching(/^interrupted/) } })
    expect((await eventsOf(expected)).length).toBe(completed)
    expect(completed).toBeLessThan(expected.count)
    const file = join(cli.directory, 'transactions.csv')
    const rest = jsonOf<Report>(await importFile(file, '--map', map, '--json'))
    expect(rest).toMatchObject(counts(expected.count - completed, { duplicates: completed }))
    await expectMovements(expected)
  })

  it.each<[string, string, string]>([
    ['a type that the map does not know', '9001;7;930101;"PREVOD";"";1.00;0;"";;', 'PREVOD'],
    ['a field too few', '9001;7;930101;"PRIJEM"', 'length'],
    ['a quote that does not end', '9001;7;930101;"PRIJEM', 'Quote'],
  ])('stops at a line with %s, names it, and tells what was done', async (_, line, reason) => {
    const file = write('transactions.csv', [...transactions(100).lines, line])
    const { exitCode, stdout, stderr } = await importFile(file, '--map', map, '--json')
    expect(exitCode).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject(counts(100))
    const { error } = JSON.parse(stderr) as { readonly error: { readonly message: string } }
    expect(error).toMatchObject({ code: 'invalid_input', retryable: false, details: { file, line: 102 } })
    expect(error.message).toContain(`${file} line 102: `)
    expect(error.message).toContain(reason)
    const again = await importFile(file, '--map', map)
    expect(again.stderr).toBe(`commanderdb: ${error.message}\n`)
  })
})

describe('import of NDJSON', () => {
  const row = (id: string, command: string, data: unknown, idempotencyKey?: string): string =>
    JSON.stringify({ aggregate: 'till', id, command, data, idempotencyKey })
  let keys = 0

  it('counts what was completed, rejected and parked, and fails when something was parked', async () => {
    const file = write('rows.ndjson', [
      row('1', 'put', { cents: 5 }, 'a'),
      row('1', 'take', { cents: 9 }, 'b'),
      '',
      row('1', 'take', { cents: 5 }, 'c'),
      row('2', 'put', { cents: 5 }),
    ])
    const first = await importFile(file, '--json')
    expect(first.exitCode).toBe(3)
    expect(JSON.parse(first.stdout)).toMatchObject(counts(3, { rejected: 1 }))
    // A row without a key is another command each time.
    const second = await importFile(file, '--json')
    expect(JSON.parse(second.stdout)).toMatchObject(counts(1, { duplicates: 3 }))
    // Whoever was interrupted would hear of it nowhere else.
    expect(second.exitCode).toBe(3)
    expect(second.stderr).toContain(
      '1 command was rejected (1 of them in an earlier run): too_little 1; the first at line 2',
    )
    const parking = write('parking.ndjson', [row('3', 'jam', {}, 'd'), row('1', 'put', { cents: 1 }, 'e')])
    const { exitCode, stdout, stderr } = await importFile(parking, '--json')
    expect(exitCode).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject(counts(1, { parked: 1 }))
    expect(JSON.parse(stderr)).toMatchObject({
      error: { code: 'command_parked', message: expect.stringMatching(/^1 command is parked/), details: { parked: 1 } },
    })
  })

  it('names reasons and lines when the application rejects, and has the exit code of a rejection', async () => {
    const rows = Array.from({ length: 1000 }, (_, i) => row(`poor${i % 50}`, 'take', { cents: i + 1 }, `poor${i}`))
    const file = write('rejected.ndjson', rows)
    const { exitCode, stdout, stderr } = await importFile(file)
    expect(exitCode).toBe(3)
    expect(stderr).toBe(
      'commanderdb: 1000 commands were rejected: too_little 1000; the first at line 1: too_little: there is too little\n',
    )
    expect(stdout).toMatch(/^rejected +1000$/m)
    for (const line of [1, 2, 3, 4, 5])
      expect(stdout).toMatch(
        new RegExp(`^ *${line} +till/poor${line - 1} +take +too_little: there is too little$`, 'm'),
      )
    expect(stdout).toMatch(/^and 995 more$/m)
    const again = await importFile(file, '--json')
    const first = {
      line: 1,
      aggregate: 'till',
      id: 'poor0',
      command: 'take',
      code: 'too_little',
      message: 'there is\ntoo little',
    }
    expect(again.exitCode).toBe(3)
    expect(JSON.parse(again.stdout)).toMatchObject({ duplicates: 1000, rejections: { byCode: { too_little: 1000 } } })
    const { error } = JSON.parse(again.stderr) as {
      readonly error: { readonly details: { readonly first: unknown[] } }
    }
    expect(error).toMatchObject({ code: 'command_rejected', details: { byCode: { too_little: 1000 } } })
    expect([error.details.first[0], error.details.first.length]).toEqual([first, 5])
  })

  it('reads standard input', async () => {
    const input = Array.from({ length: 50 }, (_, i) => `${row('stdin', 'put', { cents: 1 }, `k${i}`)}\n`).join('')
    const result = await cli.runWith({ input: input.trimEnd() }, 'import', '-', '--json', '--data-dir', cli.dataDir)
    expect(jsonOf(result)).toMatchObject(counts(50))
  })

  it.each<[string, string, readonly string[]]>([
    ['is not JSON', '{"aggregate":', ['JSON']],
    ['is no object', '[1]', ['[1]', 'object']],
    ['has no aggregate', '{"id":"1","command":"put"}', ['aggregate is missing']],
    ['has a number as id', '{"aggregate":"till","id":1,"command":"put"}', ['id is 1']],
    ['has an unknown key', '{"aggregate":"till","id":"1","command":"put","dta":{}}', ['"dta"']],
    ['names an unknown aggregate', '{"aggregate":"tell","id":"1","command":"put"}', ['unknown_aggregate', '"tell"']],
    ['names an unknown command', '{"aggregate":"till","id":"1","command":"steal"}', ['unknown_command', '"steal"']],
    ['breaks the schema', '{"aggregate":"till","id":"1","command":"put","data":{}}', ['schema_violation', 'cents']],
    [
      'uses a key again',
      '{"aggregate":"till","id":"1","command":"put","data":{"cents":2},"idempotencyKey":"again"}',
      ['idempotency_conflict', '"again"'],
    ],
  ])('stops at a line that %s', async (_, line, parts) => {
    const key = line.includes('again') ? 'again' : `fresh${++keys}`
    const file = write('rows.ndjson', [row('bad', 'put', { cents: 1 }, key), line])
    const { exitCode, stdout, stderr } = await importFile(file, '--json')
    expect(exitCode).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject(counts(1))
    const { error } = JSON.parse(stderr) as { readonly error: { readonly code: string; readonly message: string } }
    for (const part of [`${file} line 2: `, ...parts]) expect(error.message).toContain(part)
    expect(error.message).toContain(error.code === 'invalid_input' ? 'line 2' : `line 2: ${error.code}: `)
  })
})

describe('import', () => {
  it.each<[string, readonly string[], number, string]>([
    ['a file that is not there', ['absent.ndjson'], 2, 'absent.ndjson'],
    ['a directory', ['.'], 2, 'directory'],
    ['CSV without a map', ['rows.csv'], 2, '--map'],
    ['a map that does not load', ['rows.csv', '--map', 'absent.ts'], 2, 'absent.ts'],
    ['a map that is none', ['rows.csv', '--map', bank], 2, 'toCommand'],
    ['a concurrency that is none', ['rows.ndjson', '--concurrency', '0'], 2, '--concurrency'],
    ['no database', ['rows.ndjson'], 4, 'no database'],
  ])('refuses %s', async (_, args, exitCode, part) => {
    write('rows.csv', ['a;b', '1;2'])
    write('rows.ndjson', [])
    const result = await cli.run('import', ...args, ...(exitCode === 4 ? ['--data-dir', 'nowhere'] : []))
    expect(result.stderr).toMatch(/^commanderdb: [^\n]+\n$/)
    expect(result.stderr).toContain(part)
    expect(result).toMatchObject({ exitCode, stdout: '' })
  })
})

interface Status {
  readonly url: string
  readonly processes: readonly { readonly name: string; readonly pid: number }[]
}

const statusOf = async (): Promise<Status> => jsonOf(await cli.run('status', '--json', '--data-dir', cli.dataDir))
