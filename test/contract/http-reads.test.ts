import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { eventually, expectProblem, faults, get, openWorld, post, type World } from './http-world.ts'

let world: World
let url: string
/** LSN of the deposit of so many cents. */
const lsns: number[] = []

beforeAll(async () => {
  world = await openWorld()
  url = world.url
  for (let i = 1; i <= 5; i++) lsns[i] = (await deposit('main', i)).body.lsn
})
afterAll(() => world.close())
beforeEach(() => {
  faults.charge = false
})

const deposit = (id: string, amountCents: number) =>
  post(url, `/v1/aggregates/account/${id}/commands/deposit`, { body: { amountCents } })

describe("an aggregate's state", () => {
  it('is what its events fold to, with its revision as ETag', async () => {
    const { status, headers, body } = await get(url, '/v1/aggregates/account/main')
    expect(status).toBe(200)
    expect(body).toEqual({ aggregate: { type: 'account', id: 'main' }, revision: 5, state: { balanceCents: 15 } })
    expect(headers.get('etag')).toBe('"5"')
    expect(headers.get('cache-control')).toBe('no-store')
  })

  it('is the initial one before the first event', async () => {
    const { status, body } = await get(url, '/v1/aggregates/account/nobody')
    expect({ status, body }).toMatchObject({ status: 200, body: { revision: 0, state: { balanceCents: 0 } } })
  })

  it('can be seen as it was at any entry', async () => {
    for (let i = 1; i <= 5; i++) {
      const { body } = await get(url, `/v1/aggregates/account/main?atLsn=${lsns[i]}`)
      expect(body).toMatchObject({ revision: i, state: { balanceCents: (i * (i + 1)) / 2 } })
    }
    expect((await get(url, '/v1/aggregates/account/main?atLsn=0')).body).toMatchObject({ revision: 0 })
  })

  it('contains what was just written, when asked for with its LSN', async () => {
    for (let i = 1; i <= 20; i++) {
      const { body } = await deposit('mine', 1)
      const read = await get(url, `/v1/aggregates/account/mine?minLsn=${body.lsn}`)
      expect(read.body.state.balanceCents).toBe(i)
    }
  })

  it.each(['/v1/aggregates/account/everybody', '/v1/streams/account/everybody', '/v1/projections/balances/everybody'])(
    'contains all that anybody was told is done, when a linearizable read is asked for: %s',
    async (readPath) => {
      const { body } = await deposit('everybody', 1)
      const read = await get(url, `${readPath}?consistency=linearizable`)
      expect(read.status).toBe(200)
      expect(Number(read.headers.get('applied-lsn'))).toBeGreaterThanOrEqual(body.lsn)
    },
  )

  it('waits for what the session has seen on another node, and not for ever', async () => {
    const { body } = await deposit('mine', 1)
    const seen = await get(url, `/v1/aggregates/account/mine?sessionLsn=${body.lsn}`)
    expect(Number(seen.headers.get('applied-lsn'))).toBeGreaterThanOrEqual(body.lsn)
  })

  it('of an unknown type is a 404', async () => {
    expectProblem(await get(url, '/v1/aggregates/nothing/1'), 404, 'unknown_aggregate')
  })

  it.each([
    ['minLsn', 'x', 'must be integer'],
    ['minLsn', '-1', 'must be >= 0'],
    ['minLsn', '1.5', 'must be integer'],
    ['atLsn', '99999999999999999999', 'must be <='],
    ['atLsn', '', 'must be integer'],
    ['sessionLsn', '-1', 'must be >= 0'],
    ['consistency', 'eventual', 'must be equal to one of the allowed values'],
    ['consistency', '', 'must be equal to one of the allowed values'],
  ])('answers 400 to %s=%s and names the parameter', async (name, value, what) => {
    const answer = await get(url, `/v1/aggregates/account/main?${name}=${value}`)
    expectProblem(answer, 400, 'invalid_input')
    expect(answer.body.detail).toContain(`"${name}" ${what}`)
  })

  it('answers 400 to a parameter that does not exist, so that a misspelt one is noticed', async () => {
    const answer = await get(url, '/v1/aggregates/account/main?minlsn=3')
    expectProblem(answer, 400, 'invalid_input')
    expect(answer.body.detail).toContain('"minlsn"')
  })
})

describe("an aggregate's stream", () => {
  it('has its events in order, with their places and times', async () => {
    const { status, body } = await get(url, '/v1/streams/account/main')
    expect(status).toBe(200)
    expect(body.nextRevision).toBe(6)
    expect(body.events).toEqual(
      [1, 2, 3, 4, 5].map((i) => ({
        type: 'deposited',
        data: { amountCents: i },
        aggregate: { type: 'account', id: 'main' },
        revision: i,
        globalPosition: expect.any(Number),
        lsn: lsns[i],
        at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      })),
    )
  })

  it('is read page by page', async () => {
    const first = await get(url, '/v1/streams/account/main?limit=2')
    expect(first.body.events.map(({ revision }: { revision: number }) => revision)).toEqual([1, 2])
    const second = await get(url, `/v1/streams/account/main?fromRevision=${first.body.nextRevision}&limit=2`)
    expect(second.body.events.map(({ revision }: { revision: number }) => revision)).toEqual([3, 4])
    expect(second.body.nextRevision).toBe(5)
  })

  it('is empty beyond its end and for a new aggregate', async () => {
    expect((await get(url, '/v1/streams/account/main?fromRevision=9')).body).toEqual({ events: [], nextRevision: 9 })
    expect((await get(url, '/v1/streams/account/nobody')).body).toEqual({ events: [], nextRevision: 1 })
  })

  it('gives 10,000 events at a time and not more', async () => {
    for (let i = 0; i < 11; i++) {
      await post(url, '/v1/aggregates/account/long/commands/many', { body: { count: i < 10 ? 1000 : 3 } })
    }
    const first = await get(url, '/v1/streams/account/long?limit=20000')
    expect(first.body.events).toHaveLength(10_000)
    expect(first.body.nextRevision).toBe(10_001)
    expect(first.body.events.map(({ revision }: { revision: number }) => revision)).toEqual(
      Array.from({ length: 10_000 }, (_, i) => i + 1),
    )
    const second = await get(url, '/v1/streams/account/long?fromRevision=10001')
    expect(second.body.events).toHaveLength(3)
  })

  it('of an unknown type is a 404, and a limit of 0 a 400', async () => {
    expectProblem(await get(url, '/v1/streams/nothing/1'), 404, 'unknown_aggregate')
    expectProblem(await get(url, '/v1/streams/account/main?limit=0'), 400, 'invalid_input')
  })
})

describe('an id that no aggregate can have', () => {
  it.each(['x'.repeat(257), encodeURIComponent('é'.repeat(129)), '', '%ff'])('is a 400, as %s', async (id) => {
    expectProblem(await get(url, `/v1/aggregates/account/${id}`), 400, 'invalid_input')
    expectProblem(await get(url, `/v1/streams/account/${id}`), 400, 'invalid_input')
  })
})

describe('a projection', () => {
  it('answers a row, with what was just written', async () => {
    const { body } = await deposit('projected', 3)
    const row = await get(url, `/v1/projections/balances/projected?minLsn=${body.lsn}`)
    expect(row.status).toBe(200)
    expect(row.body).toEqual({ name: 'balances', key: 'projected', version: 1, value: { balanceCents: 3 } })
  })

  it('is found by a key with a slash', async () => {
    const { body } = await deposit('a%2Fb', 4)
    const row = await get(url, `/v1/projections/balances/a%2Fb?minLsn=${body.lsn}`)
    expect(row.body).toMatchObject({ key: 'a/b', value: { balanceCents: 4 } })
  })

  it('answers 404 for a row or a projection that does not exist', async () => {
    expectProblem(await get(url, '/v1/projections/balances/nobody'), 404, 'not_found')
    expectProblem(await get(url, '/v1/projections/nothing/1'), 404, 'unknown_projection')
  })

  it('is listed, rebuilt on request, and live again with the same rows', async () => {
    const rebuilt = await post(url, '/v1/projections/balances:rebuild')
    expect({ status: rebuilt.status, body: rebuilt.body }).toEqual({ status: 202, body: { name: 'balances' } })
    // Until it is built its rows are not there.
    await eventually(async () => (await get(url, '/v1/projections/balances/main')).body.value?.balanceCents === 15)
    await eventually(async () => (await get(url, '/v1/projections')).body.projections[0].status === 'live')
    expect((await get(url, '/v1/projections')).body).toEqual({
      projections: [{ name: 'balances', version: 1, status: 'live', position: null }],
    })
  })

  it('that nobody defines is not rebuilt', async () => {
    expectProblem(await post(url, '/v1/projections/nothing:rebuild'), 404, 'unknown_projection')
  })
})

describe('a command that was sent', () => {
  it('is found by its id, with its events', async () => {
    const { body } = await deposit('found', 3)
    const found = await get(url, `/v1/commands/${body.id}`)
    expect(found.body).toMatchObject({
      id: body.id,
      lsn: Number(body.id),
      status: 'completed',
      outcome: 'completed',
      aggregate: { type: 'account', id: 'found' },
      endLsn: body.lsn,
      events: [{ type: 'deposited', data: { amountCents: 3 }, revision: 1, lsn: body.lsn }],
    })
  })

  it('says why it was rejected', async () => {
    const { body } = await post(url, '/v1/aggregates/account/poor/commands/withdraw', { body: { amountCents: 1 } })
    expect((await get(url, `/v1/commands/${body.id}`)).body).toMatchObject({
      status: 'rejected',
      reason: { code: 'insufficient_funds', message: 'the balance is too low', details: { balanceCents: 0 } },
    })
  })

  it.each(['0', '-1', '1e3', 'x', '999999999', '99999999999999999999', '1%20'])(
    'is not found under the id %s',
    async (id) => {
      expectProblem(await get(url, `/v1/commands/${id}`), 404, 'not_found')
    },
  )

  it('is listed by state, and a state must be named', async () => {
    expect((await get(url, '/v1/commands?state=pending')).body).toEqual({ commands: [] })
    expectProblem(await get(url, '/v1/commands'), 400, 'invalid_input')
    const answer = await get(url, '/v1/commands?state=completed')
    expectProblem(answer, 400, 'invalid_input')
    expect(answer.body.detail).toContain('parked, pending')
  })
})

describe('a parked command', () => {
  const park = async (id: string): Promise<string> => {
    faults.charge = true
    const { status, body } = await post(url, `/v1/aggregates/account/${id}/commands/charge`)
    expect(status).toBe(500)
    return body.id
  }

  it('is listed, and decided again when it is retried', async () => {
    const id = await park('retried')
    expect((await get(url, '/v1/commands?state=parked')).body.commands).toMatchObject([
      { id, status: 'parked', outcome: 'parked', command: 'charge', aggregate: { id: 'retried' } },
    ])
    faults.charge = false
    const retried = await post(url, `/v1/commands/${id}:retry`)
    expect({ status: retried.status, body: retried.body }).toEqual({
      status: 200,
      body: { id, lsn: expect.any(Number), outcome: 'retried' },
    })
    expect((await get(url, `/v1/commands/${id}?wait=20`)).body).toMatchObject({
      status: 'completed',
      events: [{ type: 'withdrawn' }],
    })
    expect((await get(url, '/v1/commands?state=parked')).body.commands).toEqual([])
  })

  it('is given up when it is skipped, with the reason', async () => {
    const id = await park('skipped')
    const skipped = await post(url, `/v1/commands/${id}:skip`, { body: { reason: 'a test' } })
    expect(skipped).toMatchObject({ status: 200, body: { id, outcome: 'skipped' } })
    expect((await get(url, `/v1/commands/${id}?wait=5`)).body).toMatchObject({
      status: 'skipped',
      reason: { message: 'a test' },
    })
  })

  it('answers its idempotency key with 409 once it is skipped', async () => {
    faults.charge = true
    const headers = { 'idempotency-key': 'to be skipped' }
    const send = () => post(url, '/v1/aggregates/account/keyed/commands/charge', { headers })
    const { body } = await send()
    await post(url, `/v1/commands/${body.id}:skip`)
    await get(url, `/v1/commands/${body.id}?wait=5`)
    const answer = await send()
    expectProblem(answer, 409, 'command_skipped')
    expect(answer.headers.get('idempotency-replayed')).toBe('true')
  })

  it('cannot be retried or skipped when it is not parked, or not there', async () => {
    const { body } = await deposit('fine', 1)
    expectProblem(await post(url, `/v1/commands/${body.id}:retry`), 400, 'invalid_input')
    expectProblem(await post(url, `/v1/commands/${body.id}:skip`), 400, 'invalid_input')
    expectProblem(await post(url, '/v1/commands/999999999:retry'), 404, 'not_found')
    expectProblem(await post(url, '/v1/commands/1:explode'), 404, 'not_found')
  })

  it.each([['[]'], ['"why"'], ['{"reason":5}']])('is not skipped for the reason %s', async (body) => {
    const id = await park('wrong-reason')
    expectProblem(await post(url, `/v1/commands/${id}:skip`, { body }), 400, 'invalid_input')
  })
})
