import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Gateway } from '../../src/gateway/gateway.ts'
import { CommanderError } from '../../src/kernel/errors.ts'
import { call, eventually, expectProblem, faults, get, openWorld, post, type World } from './http-world.ts'

let world: World
let url: string
let path: string
let count = 0

beforeAll(async () => {
  world = await openWorld()
  url = world.url
})
afterAll(() => world.close())
beforeEach(() => {
  faults.charge = false
  path = `/v1/aggregates/account/test-${++count}/commands`
})

const deposit = (amountCents: number, headers: Record<string, string> = {}) =>
  post(url, `${path}/deposit`, { body: { amountCents }, headers })

describe('a command over HTTP', () => {
  it('answers 200 with its events once they are flushed', async () => {
    const { status, headers, body } = await deposit(5)
    expect(status).toBe(200)
    expect(headers.get('content-type')).toMatch(/^application\/json/)
    expect(body).toEqual({
      id: expect.stringMatching(/^[0-9]+$/),
      lsn: expect.any(Number),
      outcome: 'completed',
      durability: 'flushed',
      events: [
        { type: 'deposited', data: { amountCents: 5 }, revision: 1, globalPosition: expect.any(Number), lsn: body.lsn },
      ],
    })
    expect(body.lsn).toBeLessThanOrEqual(world.options.gateway.marks.flushed)
  })

  it('numbers the events of one command one after the other', async () => {
    await deposit(5)
    const { body } = await post(url, `${path}/split`)
    expect(body.events).toMatchObject([
      { revision: 2, data: { amountCents: 1 } },
      { revision: 3, data: { amountCents: 2 } },
    ])
    expect(body.events[1].globalPosition).toBe(body.events[0].globalPosition + 1)
  })

  it('answers a command that decides nothing with an empty list', async () => {
    const { status, body } = await post(url, `${path}/nothing`)
    expect({ status, events: body.events }).toEqual({ status: 200, events: [] })
  })

  it('says applied when the request prefers that, and the store has it then', async () => {
    const { body } = await deposit(7, { prefer: 'durability=applied' })
    expect(body.durability).toBe('applied')
    expect(world.options.gateway.marks.applied).toBeGreaterThanOrEqual(body.lsn)
  })

  it('says written when the request is content with that', async () => {
    expect((await deposit(7, { prefer: 'durability=written' })).body.durability).toBe('written')
  })

  it.each(['durability=written', 'durability=flushed', 'durability=applied', 'wait=20, durability=flushed'])(
    'is taken with Prefer: %s and answers at least that',
    async (prefer) => {
      const order = ['written', 'flushed', 'replicated', 'applied']
      const asked = prefer.split('durability=')[1] as string
      const { status, body } = await deposit(7, { prefer })
      expect(status).toBe(200)
      expect(order.indexOf(body.durability)).toBeGreaterThanOrEqual(order.indexOf(asked))
    },
  )

  it.each(['durability=replicated', 'respond-async, durability=replicated', 'wait=5, durability=replicated'])(
    'is refused with Prefer: %s where one node keeps the journal alone, and nothing is taken',
    async (prefer) => {
      const before = world.options.gateway.marks.written
      const answer = await deposit(7, { prefer, 'idempotency-key': `r-${path}-${prefer}` })
      expectProblem(answer, 503, 'policy_unsatisfiable')
      expect(answer.body.retryable).toBe(false)
      expect(world.options.gateway.marks.written).toBe(before)
    },
  )

  it('says replicated where journal servers keep the journal, and refuses it when two of them share a disk', async () => {
    const { gateway } = world.options as unknown as { readonly gateway: Gateway }
    gateway.replicates(null)
    try {
      expect((await deposit(7)).body.durability).toBe('replicated')
      expect((await deposit(7, { prefer: 'durability=replicated' })).body.durability).toBe('replicated')
      expect((await deposit(7, { prefer: 'durability=written' })).body.durability).toBe('written')
      expect((await deposit(7, { prefer: 'durability=applied, replicated' })).body.durability).toBe('applied')
      gateway.replicates(new CommanderError('policy_unsatisfiable', 's1, s2 share a device', { retryable: false }))
      expectProblem(await deposit(7, { prefer: 'durability=applied, replicated' }), 503, 'policy_unsatisfiable')
      expect((await deposit(7)).body.durability).toBe('flushed')
    } finally {
      gateway.replicates(new CommanderError('policy_unsatisfiable', 'alone', { retryable: false }))
    }
  })

  it.each(['durability=eventually', 'durability=', 'durability', 'respond-async, durability=applied'])(
    'is refused with Prefer: %s: nobody is given less than he asked for',
    async (prefer) => {
      expectProblem(await deposit(7, { prefer }), 400, 'invalid_input')
    },
  )

  it('takes an empty body as no data, and null as null', async () => {
    expect((await post(url, `${path}/note`)).body.events[0].data).toBeNull()
    expect((await post(url, `${path}/note`, { body: 'null' })).body.events[0].data).toBeNull()
    expect((await post(url, `${path}/note`, { body: '' })).body.events[0].data).toBeNull()
  })

  it('keeps every kind of JSON as it came', async () => {
    const data = { text: 'é"\\\u0000 💶', list: [1, -2.5, 1e300, true, null, [], {}], deep: { a: { b: 'c' } } }
    expect((await post(url, `${path}/note`, { body: data })).body.events[0].data).toEqual(data)
  })

  it.each(['a/b', 'a b', 'é💶', '100%', 'x:retry', 'q?x=1#f', '..', '%2F', 'x'.repeat(256)])(
    'takes the id %s',
    async (id) => {
      const encoded = id === '..' ? '%2e%2e%20' : encodeURIComponent(id)
      const meant = id === '..' ? '.. ' : id
      expect((await post(url, `/v1/aggregates/account/${encoded}/commands/note`)).status).toBe(200)
      expect((await get(url, `/v1/aggregates/account/${encoded}`)).body.aggregate).toEqual({
        type: 'account',
        id: meant,
      })
    },
  )

  it('hands the trace of the request to decide, and passes a malformed one over', async () => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
    const traced = await post(url, `${path}/trace`, { headers: { traceparent } })
    expect(traced.body.events[0].data).toEqual({ traceparent })
    const untraced = await post(url, `${path}/trace`, { headers: { traceparent: 'nonsense' } })
    expect(untraced.body.events[0].data).toEqual({})
  })
})

describe('idempotency keys', () => {
  it('give the first outcome again, and say so', async () => {
    const key = { 'idempotency-key': `twice-${path}` }
    const first = await deposit(5, key)
    const second = await deposit(5, key)
    expect(first.headers.get('idempotency-replayed')).toBeNull()
    expect(second.headers.get('idempotency-replayed')).toBe('true')
    expect(second.body).toEqual({ ...first.body, durability: expect.any(String) })
    expect((await get(url, `/v1/streams${path.slice(14, -9)}?minLsn=${second.body.lsn}`)).body.events).toHaveLength(1)
  })

  it('give the first rejection again, although it would be accepted now', async () => {
    const headers = { 'idempotency-key': `no-${path}` }
    const withdraw = () => post(url, `${path}/withdraw`, { body: { amountCents: 3 }, headers })
    const first = await withdraw()
    await deposit(100)
    const second = await withdraw()
    expectProblem(second, 422, 'insufficient_funds')
    expect(second.headers.get('idempotency-replayed')).toBe('true')
    expect(second.body.id).toBe(first.body.id)
  })

  it.each([
    ['other data', 'deposit', { amountCents: 6 }],
    ['another command', 'note', { amountCents: 5 }],
  ])('answer 409 to %s', async (_what, command, body) => {
    const headers = { 'idempotency-key': `conflict-${path}` }
    await deposit(5, headers)
    const answer = await post(url, `${path}/${command}`, { body, headers })
    expectProblem(answer, 409, 'idempotency_conflict')
    expect(answer.body.retryable).toBe(false)
  })

  it('answer 409 to the same data on another aggregate', async () => {
    const headers = { 'idempotency-key': `conflict-${path}` }
    await deposit(5, headers)
    const other = `/v1/aggregates/account/other-${count}/commands/deposit`
    expectProblem(await post(url, other, { body: { amountCents: 5 }, headers }), 409, 'idempotency_conflict')
  })

  it('mean the same in quotes, and do not depend on the order of keys in the data', async () => {
    const first = await post(url, `${path}/note`, {
      body: { a: 1, b: 2 },
      headers: { 'idempotency-key': `"q-${path}"` },
    })
    const second = await post(url, `${path}/note`, {
      body: { b: 2, a: 1 },
      headers: { 'idempotency-key': `q-${path}` },
    })
    expect(second.body.id).toBe(first.body.id)
  })

  it.each(['', '""', 'x'.repeat(257)])('answer 400 where they are %j', async (key) => {
    expectProblem(await deposit(5, { 'idempotency-key': key }), 400, 'invalid_input')
  })

  it('let two calls at once take effect once', async () => {
    const headers = { 'idempotency-key': `race-${path}` }
    const answers = await Promise.all([deposit(5, headers), deposit(5, headers), deposit(5, headers)])
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1)
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    expect(answers.filter(({ headers: sent }) => sent.get('idempotency-replayed') === 'true')).toHaveLength(2)
  })
})

describe('If-Match', () => {
  it.each(['"1"', '1'])('lets the command through at the revision %s', async (revision) => {
    await deposit(5)
    expect((await deposit(5, { 'if-match': revision })).status).toBe(200)
  })

  it('takes the revision 0 for a new aggregate', async () => {
    expect((await deposit(5, { 'if-match': '"0"' })).status).toBe(200)
    expectProblem(await deposit(5, { 'if-match': '"0"' }), 412, 'revision_mismatch')
  })

  it('answers 412 at another revision, with both', async () => {
    await deposit(5)
    const answer = await deposit(5, { 'if-match': '"7"' })
    expectProblem(answer, 412, 'revision_mismatch')
    expect(answer.body).toMatchObject({ outcome: 'rejected', details: { expectedRevision: 7, actualRevision: 1 } })
  })

  it('takes the ETag of the state', async () => {
    const { body } = await deposit(5)
    const etag = (await get(url, `${path.slice(0, -9)}?minLsn=${body.lsn}`)).headers.get('etag') as string
    expect(etag).toBe('"1"')
    expect((await deposit(5, { 'if-match': etag })).status).toBe(200)
  })

  it.each(['*', 'W/"1"', '"1", "2"', '"one"', '""', '"99999999999999999"'])('answers 400 to %s', async (condition) => {
    expectProblem(await deposit(5, { 'if-match': condition }), 400, 'invalid_input')
  })
})

describe('Prefer', () => {
  it('respond-async answers 202 with where to ask', async () => {
    const { status, headers, body } = await deposit(5, { prefer: 'respond-async' })
    expect({ status, body }).toEqual({
      status: 202,
      body: { id: expect.any(String), lsn: Number(body.id), outcome: 'received', durability: 'flushed' },
    })
    expect(headers.get('location')).toBe(`/v1/commands/${body.id}`)
    expect(headers.get('preference-applied')).toBe('respond-async')
    const ended = await get(url, `${headers.get('location')}?wait=20`)
    expect(ended.body).toMatchObject({ id: body.id, status: 'completed', outcome: 'completed' })
  })

  it('wait answers 200 when the command ends in time', async () => {
    const { status, body } = await deposit(5, { prefer: 'wait=20' })
    expect(status).toBe(200)
    expect(body.events).toEqual([
      { type: 'deposited', data: { amountCents: 5 }, revision: 1, globalPosition: expect.any(Number), lsn: body.lsn },
    ])
  })

  it('wait answers a rejection like any other', async () => {
    const answer = await post(url, `${path}/withdraw`, { body: { amountCents: 1 }, headers: { prefer: 'wait=20' } })
    expectProblem(answer, 422, 'insufficient_funds')
  })

  it('of other kinds is passed over', async () => {
    expect((await deposit(5, { prefer: 'handling=strict, wait=soon;x=y, return=minimal' })).status).toBe(200)
  })
})

describe('a command that does not complete', () => {
  it('answers 422 with the code and the details of the application', async () => {
    const answer = await post(url, `${path}/withdraw`, { body: { amountCents: 5 } })
    expectProblem(answer, 422, 'insufficient_funds')
    expect(answer.body).toMatchObject({
      type: 'urn:commanderdb:rejection',
      outcome: 'rejected',
      message: 'the balance is too low',
      detail: 'the balance is too low',
      details: { balanceCents: 0 },
      retryable: false,
      id: expect.stringMatching(/^[0-9]+$/),
    })
  })

  it('answers 500 when the application failed in every attempt', async () => {
    faults.charge = true
    const answer = await post(url, `${path}/charge`)
    expectProblem(answer, 500, 'command_parked')
    expect(answer.body).toMatchObject({ outcome: 'parked', id: expect.any(String), retryable: false })
    expect(answer.body.message).toContain('the fee table is missing')
  })

  it.each([
    ['an unknown aggregate', '/v1/aggregates/acount/1/commands/deposit', 'unknown_aggregate', 'account'],
    ['an aggregate type with a slash', '/v1/aggregates/account%2F1/2/commands/deposit', 'unknown_aggregate', 'account'],
    ['an unknown command', '/v1/aggregates/account/1/commands/deposite', 'unknown_command', 'deposit'],
    ['an inherited name as command', '/v1/aggregates/account/1/commands/toString', 'unknown_command', 'deposit'],
    ['an inherited name as aggregate', '/v1/aggregates/__proto__/1/commands/deposit', 'unknown_aggregate', 'account'],
  ])('answers 404 to %s, and says which there are', async (_what, wrong, code, known) => {
    const answer = await post(url, wrong, { body: { amountCents: 1 } })
    expectProblem(answer, 404, code)
    expect(answer.body.detail).toContain(known)
  })

  it('answers 400 to data that its schema refuses, with all issues', async () => {
    const answer = await deposit(-5)
    expectProblem(answer, 400, 'schema_violation')
    expect(answer.body.details.issues).toEqual([{ path: 'amountCents', message: expect.any(String) }])
  })

  it.each([
    ['{"amountCents": 5,}', 18, 1, 19],
    ['{\n "amountCents": x}', 18, 2, 17],
    ['{"amountCents"', 14, 1, 15],
    ['[1 2]', 3, 1, 4],
    ['nul', 0, 1, 1],
  ])('answers 400 to %j and names the place', async (body, position, line, column) => {
    const answer = await post(url, `${path}/note`, { body })
    expectProblem(answer, 400, 'invalid_input')
    expect(answer.body.details).toEqual({ position, line, column })
    expect(answer.body.detail).toContain(`position ${position}`)
  })

  it.each([
    ['bytes that are not UTF-8', Uint8Array.of(0x22, 0xff, 0x22)],
    ['a key __proto__', '{"a":{"\\u005f_proto__":1}}'],
    ['too deep a nesting', `${'['.repeat(100_000)}${']'.repeat(100_000)}`],
    ['a nesting of 201', `${'['.repeat(201)}${']'.repeat(201)}`],
  ])('answers 400 to %s', async (_what, body) => {
    expectProblem(await post(url, `${path}/note`, { body }), 400, 'invalid_input')
  })

  it('takes a nesting of 200', async () => {
    expect((await post(url, `${path}/note`, { body: `${'['.repeat(200)}${']'.repeat(200)}` })).status).toBe(200)
  })

  it.each([
    ['an id of 257 bytes', 'x'.repeat(257)],
    ['an id of 129 letters of two bytes', encodeURIComponent('é'.repeat(129))],
    ['an empty id', ''],
    ['an id that is not UTF-8', '%ff'],
    ['an id that is not percent-encoded', '%zz'],
  ])('answers 400 to %s', async (_what, id) => {
    expectProblem(await post(url, `/v1/aggregates/account/${id}/commands/note`), 400, 'invalid_input')
  })

  it.each([undefined, 'text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'])(
    'answers 415 to a body of type %s',
    async (type) => {
      const headers: Record<string, string> = type === undefined ? { 'content-type': '' } : { 'content-type': type }
      expectProblem(await post(url, `${path}/note`, { body: '{}', headers }), 415, 'invalid_input')
    },
  )

  it('answers 415 to a compressed body', async () => {
    expectProblem(
      await post(url, `${path}/note`, { body: '{}', headers: { 'content-encoding': 'gzip' } }),
      415,
      'invalid_input',
    )
  })

  it('answers 405 to another method, with the ones that there are', async () => {
    const answer = await call(url, 'PUT', `${path}/deposit`, { body: {} })
    expectProblem(answer, 405, 'invalid_input')
    expect(answer.headers.get('allow')).toBe('POST')
  })

  it('answers 404 to a path that does not exist', async () => {
    expectProblem(await get(url, '/v2/nothing'), 404, 'not_found')
  })
})

describe('a database that is busy or not there', () => {
  let own: World
  beforeAll(async () => {
    const limits = { payloadBytes: 2000, pendingCommands: 3 }
    own = await openWorld({ limits, isApplicationStarted: false })
  })
  afterAll(() => own.close())
  const note = '/v1/aggregates/account/1/commands/note'

  it('answers 413 to data over the limit, and names it', async () => {
    const answer = await post(own.url, note, { body: 'x'.repeat(2001).replace(/.*/, '"$&"') })
    expectProblem(answer, 413, 'payload_too_large')
    expect(answer.body.detail).toContain('2000')
  })

  it.each([
    ['with its length', (body: string): string | ReadableStream => body],
    ['in chunks', (body: string): string | ReadableStream => new Blob([body]).stream()],
  ])('answers 413 to a body over the limit that comes %s, before it is read', async (_how, bodyOf) => {
    const headers = { 'content-type': 'application/json' }
    const init = { method: 'POST', headers, body: bodyOf(`"${'x'.repeat(5000)}"`), duplex: 'half' } as RequestInit
    const response = await fetch(own.url + note, init)
    const body = (await response.json()) as { code: string; detail: string }
    expect({ status: response.status, code: body.code }).toEqual({ status: 413, code: 'payload_too_large' })
    expect(body.detail).toContain('limits.payloadBytes')
  })

  it('answers 202 with the id when the wait is over, and 429 with Retry-After when too much is pending', async () => {
    const waited = await post(own.url, note, { headers: { prefer: 'wait=0' } })
    expect(waited).toMatchObject({ status: 202, body: { outcome: 'received', id: expect.any(String) } })
    expect(waited.headers.get('preference-applied')).toBe('wait=0')
    for (let i = 0; i < 2; i++) await post(own.url, note, { headers: { prefer: 'respond-async' } })

    const answer = await post(own.url, note)
    expectProblem(answer, 429, 'overloaded')
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    expect(answer.body.retryable).toBe(true)

    const pending = await get(own.url, '/v1/commands?state=pending')
    expect(pending.body.commands.map(({ status }: { status: string }) => status)).toEqual([
      'pending',
      'pending',
      'pending',
    ])
    expect((await get(own.url, `/v1/commands/${waited.body.id}`)).body).toMatchObject({ status: 'pending' })

    const ending = get(own.url, `/v1/commands/${waited.body.id}?wait=30`)
    own.startApplication()
    expect((await ending).body).toMatchObject({
      status: 'completed',
      outcome: 'completed',
      events: [{ type: 'noted' }],
    })
  })

  it('answers 503 with Retry-After while it takes nothing in', async () => {
    const drained = await openWorld()
    drained.drain()
    const answer = await post(drained.url, note)
    expectProblem(answer, 503, 'not_ready')
    expect(answer.headers.get('retry-after')).toBe('1')
    expectProblem(await get(drained.url, '/readyz'), 503, 'not_ready')
    expect((await get(drained.url, '/livez')).status).toBe(200)
    await drained.close()
  })

  it('lets the command of a client that is gone take effect, and goes on', async () => {
    const gone = await openWorld({ isApplicationStarted: false })
    const abort = new AbortController()
    const sent = fetch(gone.url + note, { method: 'POST', signal: abort.signal }).catch(() => 'aborted')
    await eventually(() => gone.pendingCommands() === 1)
    abort.abort()
    expect(await sent).toBe('aborted')
    gone.startApplication()
    expect((await post(gone.url, note)).body.events[0].revision).toBe(2)
    await gone.close()
  })
})
