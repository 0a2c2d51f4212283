import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CommandLine, jsonOf, type Result, type StartedDatabase } from './command-line.ts'
import { until } from './running-database.ts'

const orders = resolve(import.meta.dirname, '..', 'fixtures', 'cli', 'orders.ts')
let cli: CommandLine
let database: StartedDatabase

beforeAll(async () => {
  cli = new CommandLine()
  database = await cli.start('--data-dir', cli.dataDir, '--app', orders)
})
afterAll(() => cli.remove())

const reaches = [
  ['--data-dir', () => ['--data-dir', cli.dataDir]],
  ['--url', () => ['--url', database.url]],
] as const

interface View {
  readonly status: string
  readonly result: unknown
  readonly waitingFor: readonly { readonly kind: string; readonly awakeable?: string }[]
}

/** One line on standard error, which holds all of these. */
function expectError(result: Result, exitCode: number, ...parts: readonly (string | RegExp)[]): void {
  expect(result.stderr).toMatch(/^commanderdb: [^\n]+\n$/)
  for (const part of parts) expect(result.stderr).toMatch(part)
  expect(result.exitCode).toBe(exitCode)
}

describe.each(reaches)('workflow with %s', (name, reach) => {
  const workflow = (...args: readonly string[]): Promise<Result> => cli.run('workflow', ...args, ...reach())
  const view = async (id: string, ...flags: readonly string[]): Promise<View> =>
    jsonOf(await workflow('get', id, '--json', ...flags))
  const id = (text: string): string => `order/${text}${name}`

  /** In the status and the metrics, which follow within a second. */
  const expectSeen = async (parked: { readonly commands: number; readonly workflows: number }): Promise<void> => {
    await until(`a status with ${JSON.stringify(parked)}`, async () => {
      const found = jsonOf<{ parked: typeof parked }>(await cli.run('status', '--json', ...reach())).parked
      return found.commands === parked.commands && found.workflows === parked.workflows
    })
    for (const metric of [
      `parked_workflows\\{.*\\} ${parked.workflows}`,
      'workflows_parked_total\\{.*\\} [1-9]\\d*',
      'effects_failed_total\\{.*\\} [1-9]\\d*',
      'workflows_active\\{.*\\} \\d+',
    ])
      await until(metric, async () => {
        const metrics = await (await fetch(`${database.url}/metrics`)).text()
        return new RegExp(`^commanderdb_${metric}$`, 'm').test(metrics)
      })
  }

  const warnings = (code: string, of: string): Record<string, unknown>[] =>
    database.command.stdout
      .split('\n')
      .filter((line) => line.startsWith('{') && line.includes(`"code":"${code}"`))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter(({ workflow: found }) => found === of)

  it('start starts one, once', async () => {
    const input = '{"waitsFor":"approval"}'
    const first = await workflow('start', id('once'), input)
    expect(first).toMatchObject({ exitCode: 0, stdout: `${id('once')} is running\n` })
    const again = await workflow('start', id('once'), input, '--json')
    expect(jsonOf(again)).toMatchObject({ status: 'running', alreadyStarted: true })
    expectError(await workflow('start', id('once'), '{}'), 1, 'other input', 'another id')
    await workflow('cancel', id('once'), '--force')
    expectError(await workflow('signal', id('once'), 'approval'), 1, 'cancelled')
  })

  it('start --wait prints what came of it', async () => {
    const { stdout, exitCode } = await workflow('start', id('plain'), '--wait')
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^status {4}completed$/m)
    expect(stdout).toMatch(/^result {4}\{"approved":null\}$/m)
    expect(stdout).toMatch(/^check +1 +completed /m)
    expect(await view(id('plain'))).toMatchObject({ status: 'completed', result: { approved: null } })
  })

  it('start --wait exits with 1 where it failed, and says why', async () => {
    const failed = await workflow('start', id('failed'), '{"fails":"no stock"}', '--wait')
    expectError(failed, 1, /refused: no stock/)
    expect(failed.stdout).toMatch(/^status {4}failed$/m)
  })

  it('start --wait waits no longer than --timeout', async () => {
    const late = await workflow('start', id('late'), '{"waitsFor":"approval"}', '--wait', '--timeout', '0.5')
    expectError(late, 1, `workflow ${id('late')} has not ended after 0.5 s, and goes on`, '--timeout')
    expect(late.stdout).toMatch(/^status {4}running$/m)
    const json = await workflow('get', id('late'), '--wait', '--timeout', '0.5', '--json')
    expect(json.exitCode).toBe(1)
    expect(JSON.parse(json.stdout)).toMatchObject({ name: 'order', status: 'running' })
    const pending = ['start', id('later'), '--delay', '1h', '--wait', '--timeout', '0.5', '--json'] as const
    expect(JSON.parse((await workflow(...pending)).stdout)).toMatchObject({ status: 'pending' })
  })

  it('retry has a parked one go on, after it was mended', async () => {
    const file = join(cli.directory, `stock${name}`)
    const parked = await workflow('start', id('parked'), JSON.stringify({ unless: file }), '--wait')
    expectError(parked, 1, /the stock is unknown.*workflow retry/)
    expect((await workflow('list', 'order', '--status', 'parked')).stdout).toContain(`parked${name}`)
    await expectSeen({ commands: 0, workflows: 1 })
    const [listed] = jsonOf<{ name: string; id: string }[]>(await workflow('list', '--status', 'parked', '--json'))
    expect(listed).toMatchObject({ name: 'order', id: `parked${name}`, status: 'parked' })
    expect((await workflow('list', '--status', 'parked')).stdout).toMatch(new RegExp(`^${id('parked')} +parked `, 'm'))
    expect(jsonOf(await workflow('list', '--status', 'parked', '--json', '--after', id('parked')))).toEqual([])
    expect((await cli.run('status', ...reach())).stdout).toMatch(/^parked +1 workflow \(commanderdb workflow list/m)
    expect(warnings('workflow_parked', id('parked'))).toMatchObject([
      { level: 'warn', operation: 'request/check#1', error: { message: expect.stringContaining('the stock is') } },
    ])
    expect(warnings('request_failed', id('parked'))).toMatchObject([{ level: 'warn', attempt: 1 }])
    writeFileSync(file, '')
    expect((await workflow('retry', id('parked'))).exitCode).toBe(0)
    expect((await view(id('parked'), '--wait')).status).toBe('completed')
    await expectSeen({ commands: 0, workflows: 0 })
    expect(jsonOf(await workflow('list', '--status', 'parked', '--json'))).toEqual([])
    expect((await cli.run('status', ...reach())).stdout).toMatch(/^parked +nothing$/m)
    expectError(await workflow('retry', id('parked')), 1, 'only a parked one')
  })

  it('signal and resolve answer what it waits for', async () => {
    await workflow('start', id('signal'), '{"waitsFor":"approval"}')
    const waits = async (): Promise<boolean> => (await view(id('signal'))).waitingFor[0]?.kind === 'signal'
    await until('it waits for the signal', waits)
    expect((await workflow('get', id('signal'))).stdout).toMatch(/^signal +approval +\d{4}-\S+Z +-$/m)
    expect((await workflow('list', 'order')).stdout).toMatch(
      new RegExp(`^signal${name} +running .* +signal approval$`, 'm'),
    )
    expect((await workflow('signal', id('signal'), 'approval', '{"by":"anna"}')).exitCode).toBe(0)
    expect(await view(id('signal'), '--wait')).toMatchObject({ result: { approved: { by: 'anna' } }, waitingFor: [] })
    await workflow('start', id('payment'), '{"waitsFor":"payment"}')
    const awakeable = await until('the callback', async () => (await view(id('payment'))).waitingFor[0]?.awakeable)
    const resolved = await cli.runWith({ input: '[1]' }, 'workflow', 'resolve', awakeable, '-', ...reach())
    expect(resolved.exitCode).toBe(0)
    expect((await view(id('payment'), '--wait')).result).toEqual({ paid: [1] })
    expectError(await workflow('reject', awakeable, 'too late'), 1, 'has ended')
    expectError(await workflow('resolve', 'nonsense'), 1, 'no callback')
  })

  it('cancel with a reason is told to the workflow', async () => {
    await workflow('start', id('cancel'), '{"waitsFor":"approval"}')
    expect((await workflow('cancel', id('cancel'), '--reason', 'changed my mind')).exitCode).toBe(0)
    expectError(await workflow('get', id('cancel'), '--wait'), 1, 'was cancelled: cancelled: changed my mind')
    expectError(await workflow('cancel', id('cancel')), 1, 'has ended: it is cancelled')
    expectError(await workflow('cancel', id('cancel'), '--force'), 1, 'has ended: it is cancelled')
  })

  it('says what is wrong', async () => {
    expectError(await workflow('start', 'ordre/1'), 1, 'no application defines workflow "ordre"; there are: order')
    expectError(await workflow('get', 'order/nobody'), 1, 'there is no workflow order/nobody')
    expectError(await workflow('start', 'order'), 2, 'NAME/ID')
    expectError(await workflow('start', id('json'), '{'), 2, 'not JSON')
    const raw = await cli.run('send', `workflow:${id('plain')}`, 'start', '{"input":5}', ...reach())
    expectError(raw, 1, 'other input')
  })
})

describe('who waits for a workflow', () => {
  it('is answered although the gateway was killed meanwhile', async () => {
    const reach = ['--data-dir', cli.dataDir]
    await cli.run('workflow', 'start', 'order/killed', '{"waitsFor":"approval"}', ...reach)
    const waiting = cli.spawn(['workflow', 'get', 'order/killed', '--wait', '--json', ...reach])
    const gateway = async (): Promise<{ readonly pid: number; readonly restarts: number }> => {
      const { processes } = jsonOf<{ processes: { name: string; pid: number; restarts: number }[] }>(
        await cli.run('status', '--json', ...reach),
      )
      return processes.find((one) => one.name === 'gateway') as { pid: number; restarts: number }
    }
    const { pid, restarts } = await gateway()
    process.kill(pid, 'SIGKILL')
    await until('another gateway', async () => (await gateway()).restarts > restarts)
    await cli.run('workflow', 'signal', 'order/killed', 'approval', '7', ...reach)
    expect(jsonOf(await waiting.ended)).toMatchObject({ status: 'completed', result: { approved: 7 } })
  })
})
