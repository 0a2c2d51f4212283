import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Database, ExecuteOptions } from '../../src/client.ts'
import { open } from '../../src/embedded/open.ts'
import { defineAggregate, defineApplication, defineWorkflow } from '../../src/index.ts'
import { httpTwin, socketTwin, type Twin } from './client-twins.ts'
import { type Answer, eventually, expectProblem, get, openWorld, post, type World } from './http-world.ts'

const mailbox = defineAggregate({
  name: 'mailbox',
  initialState: () => 0,
  decide: {
    send: (data: { n: number }) => ({ type: 'sent', data }),
    note: (data: { n: number }) => ({ type: 'sent', data }),
  },
  evolve: { sent: (_, { n }: { n: number }) => n },
  queues: { send: { concurrency: 5 } },
})
/** Each holds the only slot until it is told to go. */
const job = defineWorkflow({
  name: 'job',
  run: async (context, input: { n: number }) => {
    await context.signal('go')
    return input.n
  },
  queue: { concurrency: 1 },
})
const application = defineApplication({ name: 'queueing', aggregates: [mailbox], workflows: [job] })

interface Reach {
  readonly name: string
  open(): Promise<{ readonly db: Database; close(): Promise<void> }>
}

const over = (twin: Twin): Reach => ({
  name: twin.name,
  async open() {
    const world = await openWorld({ application })
    const db = await (await twin.open(world)).connect()
    return {
      db,
      async close() {
        await db.close()
        await world.close()
      },
    }
  },
})

const embedded: Reach = {
  name: 'in its own process',
  async open() {
    const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-queueing-'))
    const db = await open({ dataDir, applications: [application] })
    return {
      db,
      async close() {
        await db.close()
        fs.rmSync(dataDir, { recursive: true })
      },
    }
  },
}

const hourMs = 3_600_000
const later = { delayMs: hourMs, wait: 'received' } as const

describe.each([over(socketTwin), over(httpTwin), embedded])('a client $name', (reach) => {
  let db: Database
  let close: () => Promise<void>
  beforeEach(async () => {
    const opened = await reach.open()
    db = opened.db
    close = opened.close
  })
  afterEach(() => close())

  const send = (id: string, n: number, options: ExecuteOptions): ReturnType<Database['execute']> =>
    db.execute('mailbox', id, 'send', { n }, options)

  it('puts a command off, and what comes behind it on its aggregate with it', async () => {
    const first = await send('a', 1, { delayMs: 50, wait: 'received' })
    expect(first.outcome).toBe('received')
    expect(await send('a', 2, {})).toMatchObject({ outcome: 'completed', events: [{ revision: 2 }] })
    expect(await db.command(first.id)).toMatchObject({ status: 'completed', events: [{ revision: 1 }] })
  })

  it('is told why a command waits', async () => {
    const { id } = await send('a', 1, later)
    const behind = await send('a', 2, { wait: 'received' })
    const other = await db.execute('mailbox', 'b', 'note', { n: 3 }, later)
    expect(await db.command(id)).toMatchObject({
      status: 'pending',
      waitingFor: expect.stringMatching(/^delayed until 2/),
    })
    const reasons = (await db.commands('pending')).map((one) => [one.id, one.waitingFor])
    expect(reasons).toEqual([
      [id, expect.stringMatching(/^delayed until/)],
      [behind.id, `command ${id}, which is before it on mailbox/a`],
      [other.id, expect.stringMatching(/^delayed until/)],
    ])
  })

  it('gives a command that is put off a key, as every other', async () => {
    const options = { ...later, idempotencyKey: 'k', priority: 3 }
    const first = await send('a', 1, options)
    expect(await send('a', 1, options)).toMatchObject({ id: first.id, outcome: 'received', duplicate: true })
    // When it is started is not what it is.
    expect(await send('a', 1, { idempotencyKey: 'k', wait: 'received' })).toMatchObject({
      id: first.id,
      duplicate: true,
    })
    await expect(send('a', 2, options)).rejects.toMatchObject({ code: 'idempotency_conflict' })
  })

  it('has what is more important started first', async () => {
    const jobs = db.workflow(job)
    await jobs.start('first', { n: 0 })
    const waiting = [
      jobs.execute('low', { n: 1 }, { priority: 1 }),
      jobs.execute('none', { n: 2 }),
      jobs.execute('high', { n: 3 }, { priority: 9 }),
    ]
    await eventually(async () => (await db.commands('pending')).length === 3)
    for (const id of ['first', 'high', 'low', 'none']) {
      await eventually(async () => (await db.workflows({ name: 'job' })).some((one) => one.id === id))
      await jobs.signal(id, 'go')
    }
    expect(await Promise.all(waiting)).toEqual([1, 2, 3])
    const order: string[] = []
    for await (const { aggregate } of db.events({ types: ['workflow/started'] })) order.push(aggregate.id)
    expect(order).toEqual(['first', 'high', 'low', 'none'])
  })

  it('puts the start of a workflow off', async () => {
    const jobs = db.workflow(job)
    expect(await jobs.start('later', { n: 1 }, { delayMs: hourMs, idempotencyKey: 'k' })).toEqual({
      id: 'later',
      status: 'pending',
      alreadyStarted: false,
    })
    const again = await jobs.start('later', { n: 1 }, { delayMs: hourMs, idempotencyKey: 'k' })
    expect(again).toEqual({ id: 'later', status: 'pending', alreadyStarted: true })
    await expect(jobs.get('later')).rejects.toMatchObject({
      code: 'workflow_unknown',
      message: expect.stringMatching(/job\/later is not started yet by command \d+, waiting for: delayed until 2/),
    })
    await expect(jobs.result('later', { timeoutMs: 100 })).rejects.toMatchObject({ code: 'timeout' })
    expect(await db.workflows({ name: 'job' })).toEqual([])
  })

  it('waits for the end of a workflow that was put off', async () => {
    const output = db.workflow(job).execute('soon', { n: 7 }, { delayMs: 50 })
    await eventually(async () => (await db.workflows({ name: 'job' })).length === 1)
    await db.workflow(job).signal('soon', 'go')
    expect(await output).toBe(7)
  })

  it.each<[ExecuteOptions, RegExp]>([
    [{ priority: 10 }, /priority.* 10|"10".*0 to 9/i],
    [{ priority: -1 }, /priority.*-1.*0 to 9/i],
    [{ priority: 1.5 }, /priority.*1\.5.*0 to 9/i],
    [{ delayMs: -1 }, /delay.*-1.*0 to 31622400000/i],
    [{ delayMs: 0.5 }, /delay.*0\.5.*0 to 31622400000/i],
    [{ delayMs: 31_622_400_001 }, /delay.*31622400001.*0 to 31622400000/i],
    [{ delayMs: Number.NaN }, /delay.*0 to 31622400000/i],
  ])('is refused %o, for a command and for a workflow', async (options, message) => {
    const refused = { code: 'invalid_input', message: expect.stringMatching(message) }
    await expect(send('a', 1, options)).rejects.toMatchObject(refused)
    await expect(db.workflow(job).start('a', { n: 1 }, options)).rejects.toMatchObject(refused)
    await expect(db.workflow(job).execute('a', { n: 1 }, options)).rejects.toMatchObject(refused)
  })

  it('is refused a priority where there is no queue, and to put off what else comes to a workflow', async () => {
    await expect(db.execute('mailbox', 'a', 'note', { n: 1 }, { priority: 1 })).rejects.toMatchObject({
      code: 'invalid_input',
      message:
        'priority is 1, but note of mailbox has no queue in which it could go before others: leave it out, or define a queue',
    })
    expect(await db.execute('mailbox', 'a', 'note', { n: 1 }, { priority: 0 })).toMatchObject({ outcome: 'completed' })
    await expect(db.execute('workflow:job', 'a', 'signal', { name: 'go' }, { delayMs: 5 })).rejects.toMatchObject({
      code: 'invalid_input',
      message: expect.stringMatching(/delayMs is 5, but of a workflow only the start can be put off/),
    })
  })
})

describe('over HTTP alone', () => {
  let world: World
  beforeEach(async () => {
    world = await openWorld({ application })
  })
  afterEach(() => world.close())

  const start = (headers: Readonly<Record<string, string>>, body: unknown = { n: 1 }): Promise<Answer> =>
    post(world.url, '/v1/workflows/job/1', { body, headers })

  it('a workflow that is put off is pending, and says by which command', async () => {
    const { status, headers, body } = await start({ 'Command-Delay-Ms': String(hourMs) })
    expect([status, headers.get('location')]).toEqual([202, '/v1/workflows/job/1'])
    expect(body).toEqual({ name: 'job', id: '1', status: 'pending', command: expect.stringMatching(/^\d+$/) })
    const command = await get(world.url, `/v1/commands/${body.command}`)
    expect(command.body).toMatchObject({ status: 'pending', waitingFor: expect.stringMatching(/^delayed until/) })
    const unknown = await get(world.url, '/v1/workflows/job/1')
    expectProblem(unknown, 404, 'workflow_unknown')
    expect(unknown.body.details).toMatchObject({ command: body.command })
  })

  it('a workflow that waits its turn is pending when the wait is over', async () => {
    await post(world.url, '/v1/workflows/job/first', { body: { n: 1 } })
    const { status, body } = await start({ prefer: 'wait=1', 'Command-Priority': '2' })
    expect([status, body.status]).toEqual([202, 'pending'])
    expect((await get(world.url, `/v1/commands/${body.command}`)).body.waitingFor).toBe(
      'queue workflow:job/start: 1 of 1 slots taken',
    )
    // Who closes the database waits for what was asked for.
    for (const id of ['first', '1']) {
      await eventually(async () => (await get(world.url, `/v1/workflows/job/${id}`)).status === 200)
      await post(world.url, `/v1/workflows/job/${id}:signal`, { body: { name: 'go' } })
    }
  })

  it.each([
    ['Command-Priority', '10'],
    ['Command-Priority', 'high'],
    ['Command-Priority', ''],
    ['Command-Delay-Ms', '5s'],
    ['Command-Delay-Ms', '99999999999'],
  ])('a header %s of "%s" is refused', async (name, value) => {
    const answers = [
      await start({ [name]: value }),
      await start({ [name]: value, prefer: 'wait=5' }),
      await post(world.url, '/v1/aggregates/mailbox/1/commands/send', { body: { n: 1 }, headers: { [name]: value } }),
    ]
    for (const answer of answers) {
      expectProblem(answer, 400, 'invalid_input')
      expect(answer.body.detail).toContain(`the header ${name} is "${value}", but must be a whole number from 0 to`)
    }
  })

  it('the description of both routes has the headers with their bounds', async () => {
    const { paths } = (await get(world.url, '/openapi.json')).body
    for (const path of ['/v1/workflows/{name}/{id}', '/v1/aggregates/{type}/{id}/commands/{command}']) {
      expect(paths[path].post.parameters).toContainEqual({
        name: 'Command-Priority',
        in: 'header',
        description: expect.any(String),
        schema: { type: 'integer', minimum: 0, maximum: 9 },
      })
    }
  })
})
