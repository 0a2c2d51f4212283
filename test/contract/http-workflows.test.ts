import { hash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually, expectProblem, get, openWorld, post, type World } from './http-world.ts'
import { shipping } from './order-workflow.ts'

let world: World
beforeEach(async () => {
  world = await openWorld()
})

afterEach(async () => {
  shipping.fails = false
  await world.close()
})

const path = '/v1/workflows/order/a%2F1'
const plain = { amountCents: 100 }
const waiting = { amountCents: 100, waitsFor: 'signal' }
const start = (body: unknown, prefer?: string): ReturnType<typeof post> =>
  post(world.url, path, { body, headers: prefer === undefined ? {} : { prefer } })

describe('POST /v1/workflows/{name}/{id}', () => {
  it('answers 202 with the workflow and where to ask, as soon as the start is durable', async () => {
    const { status, headers, body } = await start(waiting)
    expect([status, headers.get('location')]).toEqual([202, path])
    expect(body).toMatchObject({ name: 'order', id: 'a/1', status: 'running', result: null })
    expect((await start(waiting)).status).toBe(202)
  })

  it('answers 200 when it ended within the wait, and also when it had ended before', async () => {
    const { status, body } = await start(plain, 'wait=30')
    expect(status).toBe(200)
    expect(body).toMatchObject({
      status: 'completed',
      result: { total: 101, note: null },
      requests: [
        { name: 'charge', status: 'completed' },
        { name: 'ship', status: 'completed' },
      ],
    })
    expect((await start(plain)).status).toBe(200)
    expect((await start(plain, 'wait=1')).status).toBe(200)
  })

  it('answers with its end alone where that is preferred', async () => {
    expect((await start(plain, 'wait=30, return=minimal')).body).toEqual({
      name: 'order',
      id: 'a/1',
      status: 'completed',
      result: { total: 101, note: null },
      error: null,
    })
  })

  it('answers 202 when the wait is over, and when it is parked', async () => {
    expect((await start(waiting, 'wait=1')).status).toBe(202)
    shipping.fails = true
    const parked = await post(world.url, '/v1/workflows/order/2', { body: plain, headers: { prefer: 'wait=30' } })
    expect([parked.status, parked.body.status, parked.body.error.message]).toEqual([
      202,
      'parked',
      'the van has broken down',
    ])
  })

  it('answers 200 for one that failed: that is what became of it', async () => {
    const { status, body } = await start({ amountCents: -1 }, 'wait=30')
    expect([status, body.status, body.error.code]).toEqual([200, 'failed', 'card_declined'])
  })

  it('says what is wrong', async () => {
    expectProblem(await start({ amountCents: 'x' }), 400, 'schema_violation')
    expectProblem(await start({ amountCents: 'x' }, 'wait=5'), 400, 'schema_violation')
    expectProblem(await post(world.url, '/v1/workflows/ordre/1', { body: plain }), 404, 'unknown_workflow')
    expectProblem(
      await post(world.url, `/v1/workflows/order/${'x'.repeat(300)}`, { body: plain }),
      400,
      'invalid_input',
    )
    await start(waiting)
    expectProblem(await start(plain), 409, 'workflow_conflict')
    expectProblem(await start(plain, 'wait=5'), 409, 'workflow_conflict')
    const type = '/v1/aggregates/workflow%3Aorder/a%2F1/commands/start'
    expectProblem(await post(world.url, type, { body: { input: plain } }), 409, 'workflow_conflict')
  })

  it('takes effect once under a key, and is told of another start under it', async () => {
    const headers = { 'idempotency-key': 'k' }
    expect((await post(world.url, path, { body: waiting, headers })).status).toBe(202)
    expect((await post(world.url, path, { body: waiting, headers })).status).toBe(202)
    expectProblem(await post(world.url, '/v1/workflows/order/2', { body: plain, headers }), 409, 'idempotency_conflict')
  })
})

describe('GET /v1/workflows', () => {
  it('shows one, now or when it has ended', async () => {
    await start(waiting)
    expect((await get(world.url, path)).body.status).toBe('running')
    expect((await get(world.url, `${path}?wait=0.05`)).body.status).toBe('running')
    const ended = get(world.url, `${path}?wait=60`, { prefer: 'return=minimal' })
    await post(world.url, `${path}:signal`, { body: { name: 'approved', data: [1] } })
    expect((await ended).body).toMatchObject({ status: 'completed', result: { total: 101, note: [1] } })
    expectProblem(await get(world.url, '/v1/workflows/order/other'), 404, 'workflow_unknown')
    expectProblem(await get(world.url, '/v1/workflows/order/other?wait=60'), 404, 'workflow_unknown')
    expectProblem(await get(world.url, '/v1/workflows/ordre/1'), 404, 'unknown_workflow')
  })

  it('answers whoever waits when the server closes', async () => {
    await start(waiting)
    const answer = get(world.url, `${path}?wait=60`)
    await eventually(() => waits() === 1)
    await world.closeHttp()
    expect((await answer).body.status).toBe('running')
  })

  it('waits for nobody who is gone', async () => {
    await start(waiting)
    const gone = new AbortController()
    const answer = fetch(`${world.url}${path}?wait=60`, { signal: gone.signal })
    answer.catch(() => {})
    await eventually(() => waits() === 1)
    gone.abort()
    await eventually(() => waits() === 0)
  })

  it('lists them', async () => {
    await start(waiting)
    await post(world.url, '/v1/workflows/order/2', { body: plain, headers: { prefer: 'wait=30' } })
    const ids = async (query: string): Promise<string[]> =>
      (await get(world.url, `/v1/workflows/order${query}`)).body.workflows.map(({ id }: { id: string }) => id)
    expect(await ids('')).toEqual(['2', 'a/1'])
    expect(await ids('?status=running')).toEqual(['a/1'])
    expect(await ids('?limit=1')).toEqual(['2'])
    expect(await ids('?after=2')).toEqual(['a/1'])
    expectProblem(await get(world.url, '/v1/workflows/order?status=sleeping'), 400, 'invalid_input')
    expectProblem(await get(world.url, '/v1/workflows/ordre'), 404, 'unknown_workflow')
  })
})

const waits = (): number => world.options.gateway.endsWaitedFor

describe('what is sent to a workflow', () => {
  it('is answered when it is durable', async () => {
    await start(waiting)
    const { status, body } = await post(world.url, `${path}:signal`, { body: { name: 'approved' } })
    expect([status, body.outcome]).toEqual([200, 'completed'])
    await eventually(async () => (await get(world.url, path)).body.status === 'completed')
    expectProblem(await post(world.url, `${path}:signal`, { body: { name: 'approved' } }), 409, 'workflow_ended')
    expectProblem(await post(world.url, `${path}:retry`), 409, 'workflow_not_parked')
    expectProblem(await post(world.url, `${path}:cancel`), 409, 'workflow_ended')
  })

  it('has to be what it says', async () => {
    for (const body of [undefined, [], 'x', {}, { name: 5 }, { name: 'a', more: 1 }])
      expectProblem(await post(world.url, `${path}:signal`, { body: JSON.stringify(body) ?? '' }), 400, 'invalid_input')
    expectProblem(await post(world.url, `${path}:cancel`, { body: { force: 'yes' } }), 400, 'invalid_input')
    expectProblem(await post(world.url, `${path}:cancel`), 404, 'workflow_unknown')
    expectProblem(await post(world.url, '/v1/awakeables/nothing:resolve', { body: 5 }), 404, 'awakeable_unknown')
  })

  it('ends it at once where that is forced', async () => {
    await start(waiting)
    await post(world.url, `${path}:cancel`, { body: { reason: 'enough', force: true } })
    expect((await get(world.url, path)).body).toMatchObject({ status: 'cancelled', error: { message: 'enough' } })
    expectProblem(await post(world.url, `${path}:cancel`), 409, 'workflow_ended')
  })

  it('answers its callbacks', async () => {
    await start({ ...plain, waitsFor: 'callback' })
    let awakeable = ''
    await eventually(async () => {
      awakeable = (await get(world.url, path)).body.waitingFor[0]?.awakeable ?? ''
      return awakeable !== ''
    })
    expectProblem(await post(world.url, `/v1/awakeables/${awakeable}:reject`, { body: {} }), 400, 'invalid_input')
    expect((await post(world.url, `/v1/awakeables/${awakeable}:resolve`, { body: { paid: true } })).status).toBe(200)
    expect((await get(world.url, `${path}?wait=30`)).body.result.note).toEqual({ paid: true })
  })
})

describe('tokens', () => {
  it('may start and signal with the scope send, look with read, list with read or operate', async () => {
    const tokens = (['send', 'read', 'operate'] as const).map((scope) => {
      return { name: scope, sha256: hash('sha256', scope), scopes: [scope] }
    })
    const guarded = await openWorld({ tokens })
    try {
      const as = (token: string): { readonly headers: Record<string, string> } => ({
        headers: { authorization: `Bearer ${token}` },
      })
      expectProblem(await post(guarded.url, path, { body: waiting }), 401, 'unauthorized')
      expectProblem(await post(guarded.url, path, { body: waiting, ...as('read') }), 403, 'forbidden')
      expect((await post(guarded.url, path, { body: waiting, ...as('send') })).status).toBe(202)
      expect((await get(guarded.url, path, as('read').headers)).status).toBe(200)
      expect((await get(guarded.url, '/v1/workflows/order', as('operate').headers)).status).toBe(200)
      expectProblem(await get(guarded.url, '/v1/workflows/order', as('send').headers), 403, 'forbidden')
      expect((await post(guarded.url, `${path}:cancel`, as('operate'))).status).toBe(200)
    } finally {
      await guarded.close()
    }
  })
})
