import { describe, expect, it } from 'vitest'
import { HttpDatabase } from '../../../src/client/http-database.ts'
import type { ExecuteOptions } from '../../../src/client/options.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { type Response, scripted, virtualEnvironment } from './http-world.ts'

const completed: Response = {
  status: 200,
  body: { id: '7', lsn: 9, outcome: 'completed', durability: 'flushed', events: [] },
}
const lost = (): Error => new CommanderError('connection_lost', 'cut')
const problem = (status: number, code: string, more: object = {}): Response => ({
  status,
  body: { type: `urn:commanderdb:error:${code}`, title: '', status, detail: `it is ${code}`, code, ...more },
})

function open(script: Parameters<typeof scripted>[0], token?: string) {
  const environment = virtualEnvironment()
  const { nodes, requests } = scripted(script)
  const db = new HttpDatabase({ environment, nodes, token })
  const send = (data?: unknown, options: ExecuteOptions = {}, id = '42') =>
    db.execute('account', id, 'deposit', data, options)
  return { environment, requests, db, send }
}

describe('a command over HTTP', () => {
  it('is one request that says everything', async () => {
    const { requests, send } = open(() => completed, 'secret')
    const metadata = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }
    await send(
      { a: 1 },
      { idempotencyKey: 'k "1"\\ü', expectedRevision: 5, durability: 'written', metadata },
      'a/b ?#ü',
    )
    expect(requests).toMatchObject([
      {
        method: 'POST',
        path: '/v1/aggregates/account/a%2Fb%20%3F%23%C3%BC/commands/deposit',
        body: '{"a":1}',
        headers: {
          authorization: 'Bearer secret',
          'content-type': 'application/json',
          'idempotency-key': '"k \\"1\\"\\\\Ã¼"',
          'if-match': '"5"',
          prefer: 'durability=written',
          ...metadata,
        },
      },
    ])
  })

  it.each<[ExecuteOptions, string | undefined]>([
    [{}, undefined],
    [{ wait: 'completed' }, undefined],
    [{ wait: 'received' }, 'respond-async'],
    [{ wait: 'applied' }, 'durability=applied'],
  ])('with %o prefers %s', async (options, prefer) => {
    const { requests, send } = open(() => completed)
    await send({}, options)
    expect(requests[0]?.headers['prefer']).toBe(prefer)
  })

  it('without a key gets one, and is asked again under it after a lost answer', async () => {
    const { requests, send } = open((_, attempt) =>
      attempt < 3 ? lost() : { ...completed, headers: { 'idempotency-replayed': 'true' } },
    )
    // No earlier call of the caller has this key: it is no duplicate.
    expect(await send({})).toMatchObject({ outcome: 'completed', duplicate: false })
    expect(requests.map(({ headers }) => headers['idempotency-key'])).toEqual(new Array(3).fill('"made-by-the-client"'))
  })

  it('with a key of its own is told apart from its first call', async () => {
    const { send } = open(() => ({ ...completed, headers: { 'idempotency-replayed': 'true' } }))
    expect(await send({}, { idempotencyKey: 'k' })).toMatchObject({ duplicate: true })
  })

  it('waits as long as the database says where it is overloaded', async () => {
    const busy = problem(429, 'overloaded', { retryable: true, details: { retryAfterMs: 800 } })
    const { environment, send } = open((_, attempt) => (attempt < 3 ? busy : completed))
    await send({})
    expect(environment.sleptMs).toEqual([600, 600])
  })

  it('gives up when its time is over, with the last reason', async () => {
    const busy = problem(503, 'not_ready', { retryable: true, details: { retryAfterMs: 5000 } })
    const { requests, send } = open(() => busy)
    await expect(send({})).rejects.toMatchObject({ code: 'not_ready', message: 'it is not_ready' })
    expect(requests.length).toBeGreaterThan(3)
    expect(requests.length).toBeLessThan(12)
  })

  it.each<[number, string]>([
    [400, 'schema_violation'],
    [401, 'unauthorized'],
    [403, 'forbidden'],
    [404, 'unknown_aggregate'],
    [409, 'idempotency_conflict'],
    [412, 'revision_mismatch'],
    [413, 'payload_too_large'],
    [500, 'internal'],
  ])('that is refused with %i fails at once with %s', async (status, code) => {
    const { requests, send } = open(() => problem(status, code, { retryable: false, details: { at: 1 } }))
    const error = { name: 'CommanderError', code, message: `it is ${code}`, retryable: false, details: { at: 1 } }
    await expect(send({})).rejects.toMatchObject(error)
    expect(requests).toHaveLength(1)
  })

  it('that a proxy answers is retried where that may help', async () => {
    const { requests, send } = open((_, attempt) => (attempt === 1 ? { status: 502, body: '<html>' } : completed))
    await send({})
    expect(requests).toHaveLength(2)
    const { send: sendElsewhere } = open(() => ({ status: 418, body: '<html>' }))
    await expect(sendElsewhere({})).rejects.toMatchObject({
      code: 'protocol_violation',
      message: expect.stringMatching(/418.*text\/html/),
    })
  })

  it.each<[string, Response, object]>([
    [
      'rejected',
      { status: 422, body: { id: '7', lsn: 9, outcome: 'rejected', code: 'empty', message: 'no', details: { a: 1 } } },
      { outcome: 'rejected', id: '7', lsn: 9, code: 'empty', message: 'no', details: { a: 1 }, duplicate: false },
    ],
    [
      'parked',
      { status: 500, body: { id: '7', lsn: 9, outcome: 'parked', code: 'command_parked', message: 'broke' } },
      { outcome: 'parked', id: '7', message: 'broke' },
    ],
    [
      'skipped',
      { status: 409, body: { id: '7', lsn: 9, outcome: 'skipped', code: 'command_skipped', message: 'why' } },
      { outcome: 'skipped', id: '7', message: 'why' },
    ],
    [
      'received',
      { status: 202, body: { id: '7', lsn: 7, outcome: 'received', durability: 'flushed' } },
      { outcome: 'received', id: '7', durability: 'flushed' },
    ],
  ])('that was %s is an outcome', async (_, response, outcome) => {
    expect(await open(() => response).send({})).toMatchObject(outcome)
  })

  it.each<[string, unknown]>([
    ['a Date', { at: new Date(0) }],
    ['bytes', [Buffer.from('x')]],
    ['a Map', new Map()],
    ['a bigint', { n: 1n }],
    ['no number', Number.NaN],
  ])('with %s is refused before it is sent, because JSON would change it', async (_, data) => {
    const { requests, send } = open(() => completed)
    await expect(send(data)).rejects.toMatchObject({
      code: 'invalid_input',
      message: expect.stringMatching(/JSON cannot carry/),
    })
    expect(requests).toEqual([])
  })

  it('that refers to itself is refused', async () => {
    const data: Record<string, unknown> = {}
    data['self'] = data
    await expect(open(() => completed).send(data)).rejects.toMatchObject({
      code: 'invalid_input',
      message: expect.stringMatching(/itself/),
    })
  })

  it.each(['.', '..', '', '\ud800'])('on the id %j is refused, because no URL says it', async (id) => {
    await expect(open(() => completed).send({}, {}, id)).rejects.toMatchObject({ code: 'invalid_input' })
  })

  it.each(['a\nb', '\u0000'])('with the key %j is refused, because no header holds it', async (idempotencyKey) => {
    await expect(open(() => completed).send({}, { idempotencyKey })).rejects.toMatchObject({ code: 'invalid_input' })
  })

  it('with metadata that HTTP does not carry is refused', async () => {
    await expect(open(() => completed).send({}, { metadata: { user: 'x' } })).rejects.toMatchObject({
      message: expect.stringMatching(/"user"/),
    })
  })
})

describe('what has no key', () => {
  it.each<[string, (db: HttpDatabase) => Promise<unknown>]>([
    ['a retry', (db) => db.retryCommand('7')],
    ['a skip', (db) => db.skipCommand('7')],
    ['a rebuild', (db) => db.rebuildProjection('balances')],
  ])('such as %s is not asked twice after a lost answer', async (_, run) => {
    const { requests, db } = open(() => lost())
    await expect(run(db)).rejects.toMatchObject({ code: 'connection_lost' })
    expect(requests).toHaveLength(1)
  })

  it('is asked again where nobody listened', async () => {
    const nobody = new CommanderError('no_database', 'refused')
    const { requests, db } = open((_, attempt) => (attempt === 1 ? nobody : { status: 200, body: {} }))
    await db.retryCommand('7')
    expect(requests).toHaveLength(2)
  })
})

describe('a command whose answer was lost', () => {
  it('has an unknown outcome still when nobody listens any more', async () => {
    const { db } = open((_, attempt) => (attempt === 1 ? lost() : new CommanderError('no_database', 'refused')))
    const options = { idempotencyKey: 'k', timeoutMs: 5000 }
    await expect(db.execute('account', '1', 'deposit', {}, options)).rejects.toMatchObject({ code: 'connection_lost' })
  })
})

describe('a client over HTTP', () => {
  it('has no more calls under way than it may', async () => {
    let underWay = 0
    let most = 0
    const environment = virtualEnvironment()
    const { nodes, requests } = scripted(async () => {
      most = Math.max(most, ++underWay)
      await new Promise((resolve) => setImmediate(resolve))
      underWay--
      return completed
    })
    const db = new HttpDatabase({ environment, nodes, maxInFlight: 3 })
    await Promise.all(Array.from({ length: 20 }, () => db.execute('account', '1', 'deposit', {})))
    expect([most, requests.length]).toEqual([3, 20])
  })

  it('opens only where a CommanderDB is', async () => {
    await expect(open(() => ({ status: 200, body: {} })).db.open()).rejects.toMatchObject({
      message: expect.stringMatching(/not a CommanderDB/),
    })
    await expect(open(() => ({ status: 200, body: '<html>' })).db.open()).rejects.toMatchObject({
      message: expect.stringMatching(/not JSON/),
    })
    const { requests, db } = open(() => new CommanderError('no_database', 'refused'))
    await expect(db.open()).rejects.toMatchObject({ code: 'no_database' })
    expect(requests).toHaveLength(1)
  })
})
