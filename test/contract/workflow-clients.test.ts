import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Database } from '../../src/client.ts'
import type { ErrorCode } from '../../src/kernel/errors.ts'
import { httpTwin, type OpenOptions, socketTwin, type Twin } from './client-twins.ts'
import { eventually, faults, openWorld, type World } from './http-world.ts'
import { order, shipping } from './order-workflow.ts'

let world: World
let twin: Awaited<ReturnType<Twin['open']>>
let db: Database
const opened: Database[] = []

async function begin(of: Twin): Promise<void> {
  world = await openWorld()
  twin = await of.open(world)
  db = await connect()
}

async function connect(options: OpenOptions = {}): Promise<Database> {
  const client = await twin.connect(options)
  opened.push(client)
  return client
}

afterEach(async () => {
  faults.charge = false
  shipping.fails = false
  for (const client of opened.splice(0)) await client.close()
  await world.close()
})

/** Fails with the code, and with what a caller needs to correct it. */
async function expectError(promise: Promise<unknown>, code: ErrorCode, message: RegExp): Promise<void> {
  await expect(promise).rejects.toMatchObject({ name: 'CommanderError', code, message: expect.stringMatching(message) })
}

const plain = { amountCents: 100, waitsFor: 'nothing' } as const
const waiting = { amountCents: 100, waitsFor: 'signal' } as const

const isStarted = (id: string): Promise<void> =>
  eventually(async () => (await db.workflows({ name: 'order' })).some((known) => known.id === id))

const isCharged = (id: string): Promise<void> =>
  eventually(async () => (await db.workflow(order).get(id)).requestCounts.completed === 1)

describe.each([socketTwin, httpTwin])('a client $name', (of) => {
  beforeEach(() => begin(of))

  describe('runs workflows', () => {
    it('and gets their output', async () => {
      expect(await db.workflow(order).execute('o/1', plain)).toEqual({ total: 101, note: null })
    })

    it('many at once', async () => {
      const orders = db.workflow(order)
      const run = (i: number): Promise<{ total: number }> => orders.execute(`o${i}`, { ...plain, amountCents: i })
      const outputs = await Promise.all(Array.from({ length: 100 }, (_, i) => run(i)))
      expect(outputs.map(({ total }) => total)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1))
    })

    it('that fail, and gets the recorded error', async () => {
      const failing = db.workflow(order).execute('1', { ...plain, amountCents: -5 })
      await expect(failing).rejects.toMatchObject({
        code: 'workflow_failed',
        message: expect.stringContaining('order/1 failed: card_declined: the card was declined'),
        details: { code: 'card_declined', message: 'the card was declined', details: { amountCents: -5 } },
        retryable: false,
      })
    })

    it('of which those that are parked are listed without their names, until they go on or are deleted', async () => {
      shipping.fails = true
      const parked = async (): Promise<string[]> =>
        (await db.workflows({ status: 'parked' })).map(({ name, id }) => `${name}/${id}`)
      for (const id of ['p', 'q', 'r']) {
        await expectError(db.workflow(order).execute(id, plain), 'workflow_parked', /broken down/)
      }
      expect(await parked()).toEqual(['order/p', 'order/q', 'order/r'])
      shipping.fails = false
      await db.workflow(order).retry('p')
      await db.workflow(order).result('p')
      await db.workflow(order).cancel('q', 'enough', { force: true })
      expect(await parked()).toEqual(['order/r'])
      await db.workflow(order).cancel('r', 'enough', { force: true })
      await db.deleteStream('workflow:order', 'r')
      expect(await parked()).toEqual([])
    })

    it('that are parked, and have to be retried', async () => {
      shipping.fails = true
      await expectError(
        db.workflow(order).execute('1', plain),
        'workflow_parked',
        /broken down.*workflow retry order\/1/,
      )
      await expectError(db.workflow(order).result('1'), 'workflow_parked', /broken down/)
      shipping.fails = false
      await db.workflow(order).retry('1')
      expect(await db.workflow(order).result('1')).toEqual({ total: 101, note: null })
    })

    it('that have ended before, and gets the same output', async () => {
      await db.workflow(order).execute('1', plain)
      expect(await db.workflow(order).execute('1', plain)).toEqual({ total: 101, note: null })
      expect(await db.workflow('order').result('1')).toEqual({ total: 101, note: null })
    })

    it('and waits no longer than it may', async () => {
      const late = db.workflow(order).execute('1', waiting, { timeoutMs: 100 })
      await expectError(late, 'timeout', /goes on.*result/)
      const again = db.workflow(order).result('1', { timeoutMs: 100 })
      await expectError(again, 'timeout', /goes on/)
      await db.workflow(order).signal('1', 'approved')
      expect(await db.workflow(order).result('1')).toEqual({ total: 101, note: null })
    })

    it('over a lost connection', async () => {
      twin.loseAnswer()
      expect(await db.workflow(order).execute('1', plain)).toEqual({ total: 101, note: null })
      expect((await db.workflow(order).get('1')).requestCounts).toMatchObject({ total: 2, completed: 2 })
    })

    it('and keeps nobody else from calling while many are waited for', async () => {
      const own = await connect({ maxInFlight: 2 })
      const outputs = ['1', '2'].map((id) => own.workflow(order).execute(id, waiting))
      for (const id of ['1', '2']) {
        await isStarted(id)
        // Over HTTP each call under way has a connection, and room of its own for none more.
        await (of === socketTwin ? own : db).workflow(order).signal(id, 'approved')
      }
      expect(await Promise.all(outputs)).toHaveLength(2)
    })
  })

  describe('starts workflows', () => {
    it('once, whoever starts them again with the same input', async () => {
      const first = await db.workflow(order).start('1', waiting)
      expect(first).toEqual({ id: '1', status: 'running', alreadyStarted: false })
      expect(await db.workflow(order).start('1', waiting)).toEqual({ ...first, alreadyStarted: true })
      await db.workflow(order).cancel('1', 'enough', { force: true })
      expect(await db.workflow(order).start('1', waiting)).toMatchObject({ status: 'cancelled', alreadyStarted: true })
    })

    it('under a key of their own', async () => {
      const options = { idempotencyKey: 'k1' }
      expect(await db.workflow(order).start('1', plain, options)).toMatchObject({ alreadyStarted: false })
      expect(await db.workflow(order).start('1', plain, options)).toMatchObject({ alreadyStarted: true })
      await expectError(db.workflow(order).start('2', plain, options), 'idempotency_conflict', /k1/)
    })

    it('and is told of a conflict where the input is another', async () => {
      await db.workflow(order).start('1', waiting)
      const other = { ...waiting, amountCents: 7 }
      await expectError(db.workflow(order).start('1', other), 'workflow_conflict', /order\/1.*other input.*another id/)
      await expectError(db.workflow(order).execute('1', other), 'workflow_conflict', /order\/1/)
    })

    it('only with input that its schema takes, and only those that there are', async () => {
      const wrong = db.workflow('order').start('1', { amountCents: 'a lot' })
      await expectError(wrong, 'schema_violation', /amountCents/)
      await expectError(db.workflow('ordre').start('1', null), 'unknown_workflow', /"ordre"; there are: order/)
      await expectError(db.workflow('ordre').execute('1', null), 'unknown_workflow', /"ordre"/)
      await expectError(db.workflow('ordre').result('1'), 'unknown_workflow', /"ordre"/)
      await expectError(db.workflow('ordre').get('1'), 'unknown_workflow', /"ordre"/)
      await expectError(db.workflows({ name: 'ordre' }), 'unknown_workflow', /"ordre"/)
    })
  })

  describe('sends to workflows', () => {
    it('signals, with data', async () => {
      const output = db.workflow(order).execute('1', waiting)
      await isStarted('1')
      await db.workflow(order).signal('1', 'approved', { by: 'anna' })
      expect(await output).toEqual({ total: 101, note: { by: 'anna' } })
    })

    it('answers to callbacks', async () => {
      await db.workflow(order).start('1', { ...plain, waitsFor: 'callback' })
      const awakeable = await awakeableOf('1')
      await db.resolveAwakeable(awakeable, [1, 2])
      expect(await db.workflow(order).result('1')).toEqual({ total: 101, note: [1, 2] })
      await expectError(db.resolveAwakeable(awakeable, 3), 'workflow_ended', /completed/)
    })

    it('errors as answers to callbacks', async () => {
      await db.workflow(order).start('1', { ...plain, waitsFor: 'callback' })
      await db.rejectAwakeable(await awakeableOf('1'), 'nobody is at home')
      const result = db.workflow(order).result('1')
      await expectError(result, 'workflow_failed', /awakeable_rejected: nobody is at home/)
    })

    it('nothing that nobody waits for', async () => {
      await expectError(db.resolveAwakeable('account'), 'awakeable_unknown', /no callback/)
      await expectError(db.workflow(order).signal('1', 'approved'), 'workflow_unknown', /order\/1/)
      await expectError(db.workflow(order).cancel('1'), 'workflow_unknown', /order\/1/)
      await expectError(db.workflow(order).retry('1'), 'workflow_unknown', /order\/1/)
      await expectError(db.workflow(order).result('1'), 'workflow_unknown', /order\/1/)
      await expectError(db.workflow(order).get('1'), 'workflow_unknown', /order\/1/)
      await db.workflow(order).execute('1', plain)
      await expectError(db.workflow(order).signal('1', 'approved'), 'workflow_ended', /completed.*another/)
      await expectError(db.workflow(order).retry('1'), 'workflow_not_parked', /completed/)
      await expectError(db.workflow(order).cancel('1'), 'workflow_ended', /completed.*another/)
    })

    it('that they are cancelled', async () => {
      await db.workflow(order).start('1', waiting)
      await isCharged('1')
      const result = db.workflow(order).result('1')
      result.catch(() => {})
      await db.workflow(order).cancel('1', 'out of stock')
      await expectError(result, 'workflow_cancelled', /out of stock/)
      expect(await db.workflow(order).get('1')).toMatchObject({
        status: 'cancelled',
        requests: [{ operation: 'request/charge#1' }, { operation: 'compensation/charge#1', status: 'completed' }],
      })
    })

    it('that the command they wait for was skipped', async () => {
      faults.charge = true
      await db.workflow(order).start('1', { ...plain, waitsFor: 'command' })
      await eventually(async () => (await db.commands('parked')).length === 1)
      const [parked] = await db.commands('parked')
      await db.skipCommand(parked?.id as string, 'nobody needs it')
      expect(await db.workflow(order).result('1')).toMatchObject({
        note: { outcome: 'skipped', message: 'nobody needs it', id: parked?.id },
      })
    })
  })

  describe('looks at workflows', () => {
    it('one by one: what they are at, what they did, what they wait for', async () => {
      await db.workflow(order).start('1', waiting)
      await isCharged('1')
      expect(await db.workflow(order).get('1')).toEqual({
        name: 'order',
        id: '1',
        status: 'running',
        version: 1,
        run: 1,
        startedAt: expect.stringMatching(/^\d{4}-.*Z$/),
        endedAt: null,
        revision: expect.any(Number),
        result: null,
        error: null,
        progress: { step: 'shipping' },
        isCancelled: false,
        requests: [
          {
            name: 'charge',
            operation: 'request/charge#1',
            run: 1,
            attempt: 1,
            status: 'completed',
            startedAt: expect.any(String),
            endedAt: expect.any(String),
            retryAt: null,
            error: null,
          },
        ],
        requestCounts: { total: 1, completed: 1, failed: 0 },
        waitingFor: [{ kind: 'signal', operation: 'signal/approved#1', since: expect.any(String), dueAt: null }],
      })
    })

    it('and at all of a name, page by page, and those of one status', async () => {
      await Promise.all(['a', 'b', 'c'].map((id) => db.workflow(order).execute(id, plain)))
      await db.workflow(order).start('d', waiting)
      const ids = async (options: object): Promise<string[]> =>
        (await db.workflows({ name: 'order', ...options })).map(({ id }) => id)
      expect(await ids({})).toEqual(['a', 'b', 'c', 'd'])
      expect(await ids({ limit: 2 })).toEqual(['a', 'b'])
      expect(await ids({ limit: 2, after: 'b' })).toEqual(['c', 'd'])
      expect(await ids({ status: 'running' })).toEqual(['d'])
      expect(await ids({ name: undefined })).toEqual(['a', 'b', 'c', 'd'])
      expect(await ids({ name: undefined, limit: 2, after: 'order/b' })).toEqual(['c', 'd'])
      expect(await ids({ name: undefined, status: 'running', after: 'nord/z' })).toEqual(['d'])
      expect(await ids({ name: undefined, after: 'ordre/a' })).toEqual([])
      await expectError(db.workflows({ after: 'b' }), 'invalid_input', /"b", but must be NAME\/ID/)
      expect((await db.workflows({ name: 'order', limit: 1 }))[0]).toEqual({
        name: 'order',
        id: 'a',
        status: 'completed',
        version: 1,
        run: 1,
        startedAt: expect.any(String),
        endedAt: expect.any(String),
      })
    })

    it('whose history was deleted only after they ended', async () => {
      await db.workflow(order).start('1', waiting)
      await expectError(db.deleteStream('workflow:order', '1'), 'workflow_running', /order\/1.*cancel it first/)
      await expectError(db.closeStream('workflow:order', '1'), 'workflow_running', /order\/1.*cancel it first/)
      await db.workflow(order).cancel('1', 'enough', { force: true })
      expect(await db.deleteStream('workflow:order', '1')).toMatchObject({ status: 'deleted' })
      expect(await db.workflows({ name: 'order' })).toEqual([])
      await expectError(db.workflow(order).get('1'), 'stream_deleted', /deleted/)
      await expectError(db.workflow(order).result('1'), 'stream_deleted', /deleted/)
      await expectError(db.workflow(order).start('1', waiting), 'stream_deleted', /deleted/)
    })
  })
})

/** What the workflow handed out. */
async function awakeableOf(id: string): Promise<string> {
  let awakeable: string | undefined
  await eventually(async () => {
    const { waitingFor } = await db.workflow(order).get(id)
    awakeable = waitingFor[0]?.awakeable
    return awakeable !== undefined
  })
  return awakeable as string
}
