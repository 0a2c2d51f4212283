import { hash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bank, CommandLine, jsonOf, type Result, till } from './command-line.ts'

let cli: CommandLine
beforeEach(() => {
  cli = new CommandLine()
})
afterEach(() => cli.remove())

const write = (name: string, text: string): string => {
  const path = join(cli.directory, name)
  writeFileSync(path, text)
  return path
}

function expectError(result: Result, exitCode: number, ...parts: readonly (string | RegExp)[]): void {
  expect(result.stderr).toMatch(/^commanderdb: [^\n]+\n$/)
  for (const part of parts) expect(result.stderr).toMatch(part)
  expect(result.exitCode).toBe(exitCode)
}

const start = (...args: readonly string[]): Promise<Result> =>
  cli.run('start', '--http-port', '0', '--data-dir', 'data', ...args)

describe('an application module that does not load', () => {
  it.each<[string, string, readonly (string | RegExp)[]]>([
    ['has a syntax error', 'export const a =\n', ['SyntaxError', 'line']],
    ['has no default export', 'export const a = 1\n', ['no default export', 'defineApplication']],
    ['exports something else', 'export default 5\n', ['default export is 5']],
    ['throws', 'const a = 1\nthrow new Error(`no` + a)\n', ['no1', 'line 2']],
    ['imports what is not there', "import './absent.ts'\n", ['absent.ts']],
  ])('since it %s exits 2, names it, and leaves nothing behind', async (_, text, parts) => {
    const module = write('application.ts', text)
    const result = await start('--app', 'application.ts')
    expectError(result, 2, module, ...parts)
    expect(result.stdout).toBe('')
    expect(existsSync(cli.dataDir)).toBe(false)
  })

  it('since there is none exits 2 and names it', async () => {
    expectError(await start('--app', 'absent.ts'), 2, join(cli.directory, 'absent.ts'), 'no such file')
    expectError(await cli.run('start', 'absent.ts'), 2, 'too many arguments', 'absent.ts', '--app')
  })

  it('in an existing database exits 2 too, and the database is as before', async () => {
    const { command } = await cli.start('--data-dir', 'data', '--app', bank)
    expect(await cli.run('send', 'account/1', 'deposit', '{"amountCents":5}')).toMatchObject({ exitCode: 0 })
    command.process.kill('SIGTERM')
    await command.ended
    const module = write('application.ts', 'export default 5\n')
    const refused = await start('--app', module)
    expectError(refused, 2, module, 'default export is 5')
    expect(refused.stdout).toBe('')
    await cli.start('--data-dir', 'data', '--app', bank)
    expect(jsonOf(await cli.run('state', 'account/1', '--json'))).toMatchObject({ revision: 1 })
  })
})

describe('two applications with the same aggregate', () => {
  const shop = `
    import { defineApplication } from ${JSON.stringify(join(import.meta.dirname, '..', '..', 'src', 'index.ts'))}
    import { account } from ${JSON.stringify(bank)}
    export default defineApplication({ name: 'shop', aggregates: [account] })
  `

  it.each(['a new database', 'an existing one'])(
    'are refused in one line before anything is started, in %s',
    async (which) => {
      if (which === 'an existing one') {
        const { command } = await cli.start('--data-dir', 'data', '--app', bank)
        command.process.kill('SIGTERM')
        await command.ended
      }
      const result = await start('--app', bank, '--app', write('shop.ts', shop))
      expectError(
        result,
        2,
        '"account" is defined twice, by applications "bank" and "shop"; leave it out of the aggregates',
      )
      expect(result.stdout).toBe('')
      expect(existsSync(cli.dataDir)).toBe(which === 'an existing one')
    },
  )
})

describe('a start without an application', () => {
  it('says so, and so does who is sent a command', async () => {
    const { command } = await cli.start('--data-dir', 'data')
    expect(command.stderr).toMatch(/^commanderdb: no application is loaded, [^\n]+ --app, [^\n]+\n$/)
    expectError(await cli.run('send', 'account/1', 'deposit', '{}'), 1, '"account"; there are: none', '--app')
  })
})

describe('a config', () => {
  it('is found in the working directory, and tells every verb where the database is', async () => {
    write(
      'commanderdb.config.ts',
      `export default { dataDir: './elsewhere', applications: [{ module: ${JSON.stringify(till)} }] }\n`,
    )
    const { dataDir, url } = await cli.start()
    expect(dataDir).toBe(join(cli.directory, 'elsewhere'))
    expect(jsonOf(await cli.run('status', '--json'))).toMatchObject({ dataDir, url, ready: true })
    expect(await cli.run('send', 'till/1', 'put', '{"cents":5}')).toMatchObject({ exitCode: 0 })
    expect(await cli.run('stop')).toMatchObject({ exitCode: 0, stderr: '' })
  })

  it('with a wrong key exits 2, and names the file, the key and the nearest one', async () => {
    const file = write('commanderdb.config.ts', 'export default { jurnal: { segmentBytes: 1048576 } }\n')
    expectError(await start('--app', bank), 2, file, 'jurnal', 'journal')
    expect(existsSync(cli.dataDir)).toBe(false)
  })

  it.each<[string, readonly string[], Readonly<Record<string, string>>, readonly string[]]>([
    ['a flag', ['--journal-segment-bytes', '5'], {}, ['--journal-segment-bytes', '5']],
    [
      'a variable',
      [],
      { COMMANDERDB_HTTP_HOST: '', COMMANDERDB_LIMITS_PAYLOAD_BYTES: 'many' },
      ['COMMANDERDB_LIMITS_PAYLOAD_BYTES', 'many'],
    ],
    ['a file that is not there', ['--config', 'absent.ts'], {}, ['absent.ts']],
  ])('wrong by %s exits 2 and names it', async (_, args, env, parts) => {
    expectError(await cli.runWith({ env }, 'start', '--app', bank, ...args), 2, ...parts)
  })

  it('is explained, value by value', async () => {
    write('commanderdb.config.ts', 'export default { http: { host: "localhost" }, journal: { recycle: false } }\n')
    const env = { COMMANDERDB_HTTP_PORT: '7500', COMMANDERDB_HTTP_HOST: '::1' }
    const args = ['config', '--http-port', '7600', '--app', bank, '--app', till]
    const explained = jsonOf<{ key: string; value: unknown; origin: object }[]>(
      await cli.runWith({ env }, ...args, '--json'),
    )
    const found = Object.fromEntries(explained.map(({ key, value, origin }) => [key, { value, origin }]))
    expect(found).toMatchObject({
      'http.port': { value: 7600, origin: { kind: 'flag', name: '--http-port' } },
      'http.host': { value: '::1', origin: { kind: 'variable', name: 'COMMANDERDB_HTTP_HOST' } },
      'journal.recycle': { value: false, origin: { kind: 'file' } },
      'journal.initZero': { value: true, origin: { kind: 'default' } },
      'applications[0].module': { value: bank },
      'applications[1].module': { value: till },
    })
    expect((await cli.runWith({ env }, ...args)).stdout).toMatch(/^http\.port +7600 +--http-port$/m)
  })
})

describe('a start', () => {
  it('on a port in use exits 2 and names host and port', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    try {
      const result = await cli.run('start', '--app', bank, '--http-port', String(port))
      expectError(result, 2, `127.0.0.1:${port}`, 'in use')
      // No process was started, and nothing was made.
      expect(result.stdout).toBe('')
      expect(existsSync(cli.dataDir)).toBe(false)
    } finally {
      server.close()
    }
  })

  it('that others could reach without a token exits 2, before anything is made', async () => {
    const result = await start('--app', bank, '--http-host', '0.0.0.0')
    expectError(result, 2, '0.0.0.0', 'security.tokens is empty')
    expect(result.stdout).toBe('')
    expect(existsSync(cli.dataDir)).toBe(false)
  })

  it('beside the database that has both directory and port names that one', async () => {
    const { url, pid } = await cli.start('--data-dir', 'data', '--app', bank)
    const second = await cli.run('start', '--app', bank, '--http-port', new URL(url).port)
    expectError(second, 1, `process ${pid} `, cli.dataDir)
    expect(second.stdout).toBe('')
    expect(jsonOf(await cli.run('status', '--json'))).toMatchObject({ ready: true })
  })

  it('in the directory of something else exits 1 and changes nothing there', async () => {
    mkdirSync(cli.dataDir)
    writeFileSync(join(cli.dataDir, 'notes.txt'), 'mine')
    expectError(await start('--app', bank), 1, cli.dataDir, 'notes.txt')
    expect(readFileSync(join(cli.dataDir, 'notes.txt'), 'utf8')).toBe('mine')
    rmSync(join(cli.dataDir, 'notes.txt'))
    expect(existsSync(join(cli.dataDir, 'journal'))).toBe(false)
  })

  it('in the directory of a database that is damaged in its identity exits 1', async () => {
    mkdirSync(cli.dataDir)
    writeFileSync(join(cli.dataDir, 'identity.json'), '{"databaseId":"x"}')
    expectError(await start('--app', bank), 1, cli.dataDir, 'databaseId')
  })

  it('without HTTP has no URL', async () => {
    const command = cli.spawn(['start', '--no-http', '--app', bank])
    expect(await command.line(/^ready .*$/m)).toMatch(/^ready pid=\d+ dataDir=\S+$/)
    expect(jsonOf(await cli.run('status', '--json'))).toMatchObject({ ready: true, url: null })
  })

  it.each(['SIGTERM', 'SIGINT'] as const)('ends with exit code 0 on %s, and nothing is lost', async (signal) => {
    const first = await cli.start('--data-dir', 'data', '--app', bank)
    await cli.run('send', 'account/1', 'deposit', '{"amountCents":5}')
    first.command.process.kill(signal)
    expect(await first.command.ended).toMatchObject({ exitCode: 0, stderr: '' })
    await cli.start('--data-dir', 'data', '--app', bank)
    expect(jsonOf(await cli.run('state', 'account/1', '--json'))).toMatchObject({ state: { balanceCents: 5 } })
  })

  it('can follow a stop at once', async () => {
    for (let round = 0; round < 2; round++) {
      const { command, pid } = await cli.start('--data-dir', 'data', '--app', bank)
      expect(jsonOf(await cli.run('stop', '--json'))).toEqual({ stopped: true, dataDir: cli.dataDir, pid })
      expect((await command.ended).exitCode).toBe(0)
    }
    expectError(await cli.run('stop'), 4, cli.dataDir)
  })

  it('is waited for by a verb that comes early', async () => {
    const starting = cli.start('--data-dir', 'data', '--app', bank)
    // Its supervisor answers before commands are accepted.
    for (let exitCode: number | null = null; exitCode !== 0; ) exitCode = (await cli.run('status')).exitCode
    expect(await cli.run('send', 'account/1', 'deposit', '{"amountCents":5}')).toMatchObject({ exitCode: 0 })
    await starting
  })
})

describe('with tokens', () => {
  it('a URL needs one with the right scope', async () => {
    const reader = hash('sha256', 'reader')
    const tokens = `[{ name: 'reader', sha256: '${reader}', scopes: ['read'] }]`
    write(
      'commanderdb.config.ts',
      `export default { applications: [{ module: ${JSON.stringify(bank)} }], security: { tokens: ${tokens} } }\n`,
    )
    const { url } = await cli.start()
    const env = { COMMANDERDB_TOKEN: 'reader' }
    expectError(await cli.run('state', 'account/1', '--url', url), 1, 'token')
    expectError(await cli.run('state', 'account/1', '--url', url, '--token', 'guess'), 1, 'token')
    expect(await cli.runWith({ env }, 'state', 'account/1', '--url', url)).toMatchObject({ exitCode: 0 })
    expectError(
      await cli.runWith({ env }, 'send', 'account/1', 'deposit', '{"amountCents":5}', '--url', url),
      1,
      'send',
    )
    expect(await cli.run('send', 'account/1', 'deposit', '{"amountCents":5}')).toMatchObject({ exitCode: 0 })
  })
})
