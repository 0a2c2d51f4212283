import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ClientEvent, ClientOutcome, Database, ExecuteOptions } from '../../src/client.ts'
import type { Gateway } from '../../src/gateway/gateway.ts'
import type { ErrorCode } from '../../src/kernel/errors.ts'
import { httpTwin, type OpenOptions, socketTwin, type Twin } from './client-twins.ts'
import { faults, openWorld, type World, type WorldOptions } from './http-world.ts'

let world: World
let twin: Awaited<ReturnType<Twin['open']>>
let db: Database
const opened: Database[] = []

async function begin(of: Twin, options: WorldOptions = {}, client: OpenOptions = {}): Promise<void> {
  world = await openWorld(options)
  twin = await of.open(world)
  db = await connect(client)
}

async function connect(options: OpenOptions = {}): Promise<Database> {
  const client = await twin.connect(options)
  opened.push(client)
  return client
}

afterEach(async () => {
  faults.charge = false
  for (const client of opened.splice(0)) await client.close()
  // The gateway would wait for what is pending.
  if (world.pendingCommands() > 0) world.startApplication()
  await world.close()
})

type Completed = Extract<ClientOutcome, { outcome: 'completed' }>

async function completed(promise: Promise<ClientOutcome>): Promise<Completed> {
  const outcome = await promise
  expect(outcome.outcome).toBe('completed')
  return outcome as Completed
}

const deposit = (id: string, amountCents: number, client: Database = db): Promise<Completed> =>
  completed(client.execute('account', id, 'deposit', { amountCents }))

const lastLsn = ({ events }: Completed): number => events.at(-1)?.lsn as number

/** Fails with the code, and with what a caller needs to correct it. */
async function expectError(promise: Promise<unknown>, code: ErrorCode, message: RegExp): Promise<void> {
  await expect(promise).rejects.toMatchObject({ name: 'CommanderError', code, message: expect.stringMatching(message) })
}

async function collect(events: AsyncIterable<ClientEvent>): Promise<ClientEvent[]> {
  const list: ClientEvent[] = []
  for await (const event of events) list.push(event)
  return list
}

describe.each([socketTwin, httpTwin])('a client $name', (of) => {
  describe('sends commands', () => {
    beforeEach(() => begin(of))

    it('and gets what they decided, with the place of each event', async () => {
      const { id, durability, duplicate, events } = await completed(db.execute('account', 'a/b c', 'split'))
      expect({ durability, duplicate }).toEqual({ durability: 'flushed', duplicate: false })
      expect(Number(id)).toBeGreaterThan(0)
      expect(events).toMatchObject([
        {
          type: 'deposited',
          data: { amountCents: 1 },
          aggregate: { type: 'account', id: 'a/b c' },
          revision: 1,
          globalPosition: 1,
        },
        {
          type: 'deposited',
          data: { amountCents: 2 },
          aggregate: { type: 'account', id: 'a/b c' },
          revision: 2,
          globalPosition: 2,
        },
      ])
      expect(events[0]?.lsn).toBe(events[1]?.lsn)
    })

    it('with any JSON as data, and without data', async () => {
      for (const data of [null, 0, '', 'ü\u0000"', [1, [2]], { a: { b: null } }]) {
        expect((await completed(db.execute('account', '1', 'note', data))).events[0]?.data).toEqual(data)
      }
      await completed(db.execute('account', '1', 'note'))
    })

    it('and gets a rejection as an outcome with its code, message and details', async () => {
      await deposit('1', 5)
      expect(await db.execute('account', '1', 'withdraw', { amountCents: 9 })).toMatchObject({
        outcome: 'rejected',
        code: 'insufficient_funds',
        message: 'the balance is too low',
        details: { balanceCents: 5 },
        duplicate: false,
      })
    })

    it('and gets as an outcome that one was parked', async () => {
      faults.charge = true
      expect(await db.execute('account', '1', 'charge', {})).toMatchObject({
        outcome: 'parked',
        message: expect.stringContaining('the fee table is missing'),
      })
    })

    it('and gets the first outcome for the same key, and a conflict for the same key with other data', async () => {
      const options = { idempotencyKey: 'Schlüssel "1"\\' }
      const first = await completed(db.execute('account', '1', 'deposit', { amountCents: 3 }, options))
      const again = await completed(db.execute('account', '1', 'deposit', { amountCents: 3 }, options))
      expect(again).toMatchObject({ id: first.id, events: first.events, duplicate: true })
      expect((await db.read('account', '1', { minLsn: lastLsn(first) })).revision).toBe(1)
      const other = db.execute('account', '1', 'deposit', { amountCents: 4 }, options)
      await expectError(other, 'idempotency_conflict', /Schlüssel/)
    })

    it('decided only at the expected revision', async () => {
      await completed(db.execute('account', '1', 'deposit', { amountCents: 3 }, { expectedRevision: 0 }))
      await completed(db.execute('account', '1', 'deposit', { amountCents: 3 }, { expectedRevision: 1 }))
      const late = db.execute('account', '1', 'deposit', { amountCents: 3 }, { expectedRevision: 1 })
      await expectError(late, 'revision_mismatch', /revision 2, not 1/)
    })

    it.each<[ErrorCode, RegExp, string, string, string, unknown]>([
      ['unknown_aggregate', /"acount"/, 'acount', '1', 'deposit', {}],
      ['unknown_command', /"steal"/, 'account', '1', 'steal', {}],
      ['schema_violation', /amountCents/, 'account', '1', 'deposit', { amountCents: -1 }],
      ['invalid_input', /256/, 'account', 'x'.repeat(257), 'note', {}],
    ])('and fails with %s', async (code, message, aggregate, id, command, data) => {
      await expectError(db.execute(aggregate, id, command, data), code, message)
    })

    it('and fails with payload_too_large, and goes on', async () => {
      const big = 'x'.repeat(1_100_000)
      await expectError(db.execute('account', '1', 'note', big), 'payload_too_large', /1048576/)
      await deposit('1', 1)
    })

    it('many at once, each carried out once', async () => {
      const outcomes = await Promise.all(Array.from({ length: 300 }, (_, i) => deposit(String(i % 7), i + 1)))
      expect(new Set(outcomes.map(({ id }) => id)).size).toBe(300)
      const events = await eventsUpTo(Math.max(...outcomes.map(lastLsn)))
      expect(events.map(({ data }) => (data as { amountCents: number }).amountCents).sort((a, b) => a - b)).toEqual(
        Array.from({ length: 300 }, (_, i) => i + 1),
      )
    })

    it('with its trace as metadata', async () => {
      const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
      const { events } = await completed(db.execute('account', '1', 'trace', {}, { metadata: { traceparent } }))
      expect(events[0]?.data).toEqual({ traceparent })
    })
  })

  async function eventsUpTo(minLsn: number): Promise<ClientEvent[]> {
    await db.read('account', '1', { minLsn })
    return collect(db.events())
  }

  describe('waits', () => {
    it('only until a command is received, where asked to', async () => {
      await begin(of, { isApplicationStarted: false })
      const outcome = await db.execute('account', '1', 'deposit', { amountCents: 3 }, { wait: 'received' })
      expect(outcome).toMatchObject({ outcome: 'received', durability: 'flushed' })
      expect(await db.command(outcome.id)).toMatchObject({ status: 'pending', aggregate: { type: 'account', id: '1' } })
      const ended = db.command(outcome.id, { waitMs: 20_000 })
      world.startApplication()
      expect(await ended).toMatchObject({ status: 'completed', events: [{ revision: 1 }] })
    })

    it('until readers see a command, where asked to', async () => {
      await begin(of)
      const options = { wait: 'applied' } as const
      const outcome = await completed(db.execute('account', '1', 'deposit', { amountCents: 3 }, options))
      expect(outcome.durability).toBe('applied')
      expect((await db.read('account', '1')).revision).toBe(1)
    })

    it.each([
      ['written', ['written']],
      ['flushed', ['flushed', 'applied']],
      ['applied', ['applied']],
    ] as const)('until a command is %s, where asked to, and says how far it is', async (durability, reached) => {
      await begin(of)
      const outcome = await completed(db.execute('account', '1', 'deposit', { amountCents: 3 }, { durability }))
      expect(reached).toContain(outcome.durability)
      if (durability === 'applied') expect((await db.read('account', '1', { minLsn: 0 })).revision).toBe(1)
    })

    it('for nothing that cannot be promised, or that there is not', async () => {
      await begin(of)
      const asked = (options: object): Promise<unknown> =>
        db.execute('account', '1', 'deposit', { amountCents: 3 }, options as ExecuteOptions)
      await expectError(asked({ durability: 'replicated' }), 'policy_unsatisfiable', /keeps this journal alone/)
      await expectError(asked({ durability: 'replicated', wait: 'applied' }), 'policy_unsatisfiable', /alone/)
      await expectError(asked({ durability: 'replicated', wait: 'received' }), 'policy_unsatisfiable', /alone/)
      await expectError(asked({ durability: 'eventually' }), 'invalid_input', /"eventually".*written, flushed, repl/)
      await expectError(asked({ durability: 'applied', wait: 'received' }), 'invalid_input', /leave it out/)
      expect((await db.read('account', '1', { consistency: 'linearizable' })).revision).toBe(0)
    })

    it('until what is flushed is replicated, where journal servers keep the journal', async () => {
      await begin(of)
      const { gateway } = world.options as unknown as { readonly gateway: Gateway }
      gateway.replicates(null)
      const replicated = { durability: 'replicated' } as const
      const outcome = await completed(db.execute('account', '1', 'deposit', { amountCents: 3 }, replicated))
      expect(outcome.durability).toBe('replicated')
      const applied = { durability: 'replicated', wait: 'applied' } as const
      const seen = await completed(db.execute('account', '1', 'deposit', { amountCents: 3 }, applied))
      expect(seen.durability).toBe('applied')
      const received = { durability: 'replicated', wait: 'received' } as const
      expect(await db.execute('account', '1', 'deposit', { amountCents: 3 }, received)).toMatchObject(replicated)
    })

    it('no longer than it may', async () => {
      await begin(of, { isApplicationStarted: false })
      const late = db.execute('account', '1', 'deposit', { amountCents: 3 }, { timeoutMs: 200 })
      await expectError(late, 'timeout', /within \d+ ms/)
    })

    it('for room where there is none', async () => {
      await begin(of, { isApplicationStarted: false, limits: { pendingPerAggregate: 1 } })
      const both = [deposit('1', 1), deposit('1', 2)]
      while (world.pendingCommands() === 0) await new Promise((resolve) => setTimeout(resolve, 5))
      world.startApplication()
      await Promise.all(both)
    })
  })

  describe('reads', () => {
    beforeEach(() => begin(of))

    it('states, now and as they were', async () => {
      const first = await deposit('1', 5)
      const second = await deposit('1', 7)
      const read = (options: object): ReturnType<Database['read']> => db.read('account', '1', options)
      expect(await read({ minLsn: lastLsn(second) })).toMatchObject({ revision: 2, state: { balanceCents: 12 } })
      expect(await read({ atLsn: lastLsn(first) })).toMatchObject({ revision: 1, state: { balanceCents: 5 } })
      expect(await db.read('account', 'nobody')).toMatchObject({ revision: 0, state: { balanceCents: 0 } })
      await expectError(db.read('acount', '1'), 'unknown_aggregate', /"acount"/)
    })

    it('all that anybody was told is done, where asked to', async () => {
      const linearizable = { consistency: 'linearizable' } as const
      for (let i = 1; i <= 5; i++) {
        await deposit('1', 1)
        expect((await db.read('account', '1', linearizable)).revision).toBe(i)
        expect((await db.stream('account', '1', linearizable)).events).toHaveLength(i)
        expect((await db.projection('balances', '1', linearizable)).value).toEqual({ balanceCents: i })
        expect(await collect(db.events(linearizable))).toHaveLength(i)
      }
      const wrong = { consistency: 'eventual' } as object
      await expectError(db.read('account', '1', wrong), 'invalid_input', /consistency/)
      await expectError(collect(db.events(wrong)), 'invalid_input', /consistency/)
    })

    it('streams, page by page', async () => {
      const outcomes = [await deposit('1', 1), await deposit('2', 9), await deposit('1', 2), await deposit('1', 3)]
      const minLsn = lastLsn(outcomes[3] as Completed)
      const first = await db.stream('account', '1', { limit: 2, minLsn })
      expect(first.events.map(({ data }) => data)).toEqual([{ amountCents: 1 }, { amountCents: 2 }])
      const second = await db.stream('account', '1', { from: first.nextRevision })
      expect(second).toMatchObject({ events: [{ data: { amountCents: 3 }, revision: 3 }], nextRevision: 4 })
      expect((await db.stream('account', '1', { from: 4 })).events).toEqual([])
    })

    it('all events in order, from a position on, and of some types', async () => {
      await deposit('1', 1)
      await db.execute('account', '1', 'note', 'x')
      const last = await deposit('2', 2)
      const events = await eventsUpTo(lastLsn(last))
      expect(events.map(({ type, globalPosition }) => [type, globalPosition])).toEqual([
        ['deposited', 1],
        ['noted', 2],
        ['deposited', 3],
      ])
      expect(events.every(({ at }) => /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(at))).toBe(true)
      expect(await collect(db.events({ after: 1 }))).toEqual(events.slice(1))
      expect(await collect(db.events({ types: ['noted'] }))).toEqual(events.slice(1, 2))
      expect(await collect(db.events({ after: 3 }))).toEqual([])
    })

    it('more events than fit into one piece', async () => {
      const outcome = await completed(db.execute('account', '1', 'many', { count: 1000 }))
      await db.read('account', '1', { minLsn: lastLsn(outcome) })
      const positions = (await collect(db.events())).map(({ globalPosition }) => globalPosition)
      expect(positions).toEqual(Array.from({ length: 1000 }, (_, i) => i + 1))
    })

    it('projections', async () => {
      const outcome = await deposit('1', 5)
      const row = await db.projection('balances', '1', { minLsn: lastLsn(outcome) })
      expect(row).toMatchObject({ version: 1, value: { balanceCents: 5 } })
      expect(await db.projections()).toMatchObject([{ name: 'balances', version: 1, status: 'live' }])
      await expectError(db.projection('balances', '2'), 'not_found', /"2"/)
      await expectError(db.projection('balance', '1'), 'unknown_projection', /"balance"/)
    })

    it('commands, and an unknown one is not found', async () => {
      const { id } = await deposit('1', 5)
      expect(await db.command(id)).toMatchObject({ id, status: 'completed', aggregate: { type: 'account', id: '1' } })
      await expectError(db.command('999999'), 'not_found', /999999/)
      await expectError(db.command('x'), 'not_found', /"x"/)
    })
  })

  describe('follows events', () => {
    beforeEach(() => begin(of))

    it('those that are there and those to come, until the loop is left', async () => {
      await deposit('1', 1)
      const seen: number[] = []
      for await (const { data } of db.subscribe()) {
        const { amountCents } = data as { amountCents: number }
        seen.push(amountCents)
        if (amountCents === 3) break
        await deposit('1', amountCents + 1)
      }
      expect(seen).toEqual([1, 2, 3])
      await deposit('1', 4)
    })

    it('until the signal aborts', async () => {
      await deposit('1', 1)
      const controller = new AbortController()
      const seen: ClientEvent[] = []
      for await (const event of db.subscribe({ signal: controller.signal })) {
        seen.push(event)
        controller.abort()
      }
      expect(seen.length).toBe(1)
      expect(await collect(db.subscribe({ signal: AbortSignal.abort() }))).toEqual([])
    })

    it('over a lost connection, without a gap and none twice', async () => {
      const seen: number[] = []
      const reading = (async () => {
        for await (const { globalPosition } of db.subscribe()) {
          seen.push(globalPosition)
          if (globalPosition === 40) return
        }
      })()
      for (let i = 0; i < 20; i++) await completed(db.execute('account', String(i % 3), 'split'))
      twin.loseEvents()
      await reading
      expect(seen).toEqual(Array.from({ length: 40 }, (_, i) => i + 1))
    })

    it('of the past over a lost connection', async () => {
      const outcome = await completed(db.execute('account', '1', 'many', { count: 900 }))
      await db.read('account', '1', { minLsn: lastLsn(outcome) })
      twin.loseEvents()
      const positions = (await collect(db.events())).map(({ globalPosition }) => globalPosition)
      expect(positions).toEqual(Array.from({ length: 900 }, (_, i) => i + 1))
    })
  })

  describe('operates', () => {
    it('on parked commands: lists, retries and skips them', async () => {
      await begin(of)
      faults.charge = true
      const first = await db.execute('account', '1', 'charge', {}, { wait: 'applied' })
      const second = await db.execute('account', '2', 'charge', {}, { wait: 'applied' })
      expect((await db.commands('parked')).map(({ id }) => id)).toEqual([first.id, second.id])
      faults.charge = false
      await db.retryCommand(first.id)
      expect(await db.command(first.id, { waitMs: 10_000 })).toMatchObject({ status: 'completed' })
      await db.skipCommand(second.id, 'charged by hand')
      expect(await db.command(second.id, { waitMs: 10_000 })).toMatchObject({
        status: 'skipped',
        reason: { message: 'charged by hand' },
      })
      await expectError(db.retryCommand(first.id), 'invalid_input', /completed/)
      await expectError(db.skipCommand('999999'), 'not_found', /999999/)
    })

    it('lists pending commands', async () => {
      await begin(of, { isApplicationStarted: false })
      const { id } = await db.execute('account', '1', 'deposit', { amountCents: 3 }, { wait: 'received' })
      expect(await db.commands('pending')).toMatchObject([{ id, status: 'pending' }])
      expect(await db.commands('pending', 1)).toHaveLength(1)
    })

    it('rebuilds a projection, and says which ones there are not', async () => {
      await begin(of)
      await db.rebuildProjection('balances')
      await expectError(db.rebuildProjection('nothing'), 'unknown_projection', /"nothing"/)
    })
  })

  describe('keeps its promises over a lost connection', () => {
    beforeEach(() => begin(of))

    it('a command whose answer was lost takes effect once, and its outcome comes', async () => {
      twin.loseAnswer()
      const outcome = await deposit('1', 5)
      expect(outcome.events).toMatchObject([{ revision: 1, data: { amountCents: 5 } }])
      expect((await db.read('account', '1', { minLsn: lastLsn(outcome) })).revision).toBe(1)
    })

    it('so does one with a key of its own', async () => {
      twin.loseAnswer()
      const options = { idempotencyKey: 'k' }
      const outcome = await completed(db.execute('account', '1', 'deposit', { amountCents: 5 }, options))
      expect((await db.read('account', '1', { minLsn: lastLsn(outcome) })).revision).toBe(1)
    })
  })

  describe('ends', () => {
    it('with its calls failed, and takes none after that', async () => {
      await begin(of, { isApplicationStarted: false })
      const pending = deposit('1', 1)
      const following = collect(db.subscribe())
      const ended = Promise.all([
        expectError(pending, 'connection_lost', /closed/),
        expectError(following, 'connection_lost', /closed/),
      ])
      await new Promise((resolve) => setTimeout(resolve, 20))
      await db.close()
      await ended
      await expectError(deposit('1', 1), 'connection_lost', /closed/)
      await expectError(db.read('account', '1'), 'connection_lost', /closed/)
      await db.close()
    })

    it('at once where nobody is', async () => {
      await begin(of)
      await expectError(of.connectNowhere(), 'no_database', /./)
    })
  })
})
