import { hash } from 'node:crypto'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createHttpServer } from '../../src/gateway/http-server.ts'
import { call, eventually, expectProblem, get, openWorld, post, type World } from './http-world.ts'

const tokens = (['send', 'read', 'operate', 'admin'] as const).map((scope) => ({
  name: scope,
  sha256: hash('sha256', `secret-of-${scope}`),
  scopes: [scope],
}))
const bearer = (name: string) => ({ authorization: `Bearer secret-of-${name}` })

describe('with tokens', () => {
  let world: World
  let url: string
  const command = '/v1/aggregates/account/1/commands/note'
  beforeAll(async () => {
    world = await openWorld({ tokens })
    url = world.url
  })
  afterAll(() => world.close())

  it.each([
    ['POST', command],
    ['GET', '/v1/aggregates/account/1'],
    ['GET', '/v1/events'],
    ['GET', '/v1/status'],
    ['GET', '/metrics'],
    ['POST', '/v1/commands/1:retry'],
  ])('%s %s needs one', async (method, path) => {
    const answer = await call(url, method, path)
    expectProblem(answer, 401, 'unauthorized')
    expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="commanderdb"')
  })

  it('a wrong one, one of another scheme and an empty one are refused', async () => {
    for (const authorization of [
      'Bearer secret-of-sends',
      'Basic c2VuZDpzZW5k',
      'Bearer ',
      'Bearer',
      'secret-of-send',
    ]) {
      expectProblem(await post(url, command, { headers: { authorization } }), 401, 'unauthorized')
    }
    const { headers } = await post(url, command, { headers: { authorization: 'Bearer wrong' } })
    expect(headers.get('www-authenticate')).toContain('error="invalid_token"')
  })

  it.each([
    ['POST', command, ['send', 'admin']],
    ['GET', '/v1/aggregates/account/1', ['read', 'admin']],
    ['GET', '/v1/streams/account/1', ['read', 'admin']],
    ['GET', '/v1/events', ['read', 'admin']],
    ['GET', '/v1/projections/balances/x', ['read', 'admin']],
    ['GET', '/v1/projections', ['read', 'admin']],
    ['GET', '/v1/commands/999999', ['send', 'read', 'admin']],
    ['GET', '/v1/commands?state=parked', ['read', 'operate', 'admin']],
    ['POST', '/v1/commands/999999:retry', ['operate', 'admin']],
    ['POST', '/v1/commands/999999:skip', ['operate', 'admin']],
    ['POST', '/v1/projections/balances:rebuild', ['operate', 'admin']],
    ['GET', '/v1/schedules', ['read', 'operate', 'admin']],
    ['GET', '/v1/queues', ['read', 'operate', 'admin']],
    ['GET', '/v1/status', ['read', 'operate', 'admin']],
    ['GET', '/metrics', ['read', 'operate', 'admin']],
  ])('%s %s is open to %j and answers 403 to the others', async (method, path, allowed) => {
    for (const { name } of tokens) {
      const answer = await call(url, method, path, { headers: bearer(name) })
      if (allowed.includes(name)) expect([401, 403]).not.toContain(answer.status)
      else {
        expectProblem(answer, 403, 'forbidden')
        expect(answer.headers.get('www-authenticate')).toContain('error="insufficient_scope"')
      }
    }
  })

  it('health and the description of the interface are open to everybody', async () => {
    for (const path of ['/livez', '/readyz', '/openapi.json']) expect((await get(url, path)).status).toBe(200)
  })

  it('other hosts may be listened to', async () => {
    const server = createHttpServer(world.options)
    const { url: any } = await server.listen('0.0.0.0', 0)
    expect(any).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    expect((await post(any, command, { headers: { ...bearer('send'), host: 'db.example' } })).status).toBe(200)
    await server.close()
  })
})

describe('without tokens', () => {
  let world: World
  beforeAll(async () => {
    world = await openWorld()
  })
  afterAll(() => world.close())

  it.each(['0.0.0.0', '::', '192.0.2.1', 'db.example'])('it does not listen on %s', async (host) => {
    const listening = createHttpServer(world.options).listen(host, 0)
    await expect(listening).rejects.toMatchObject({
      code: 'invalid_config',
      message: expect.stringContaining('security.tokens'),
    })
  })

  it.each(['127.0.0.1', 'localhost', '::1'])('it listens on %s', async (host) => {
    const server = createHttpServer(world.options)
    const { url } = await server.listen(host, 0)
    expect((await get(url, '/livez')).status).toBe(200)
    await server.close()
  })

  it.each([
    ['another site', { origin: 'https://evil.example' }],
    ['a name that was rebound to this address', { host: 'evil.example:7400' }],
    ['a page without an origin of its own', { origin: 'null' }],
  ])('it refuses what a browser sends for %s', async (_what, headers) => {
    const response = await rawGet(world.url, '/v1/status', headers)
    expect(response).toMatch(/^HTTP\/1\.1 403 /)
    expect(response).toContain('"code":"forbidden"')
  })

  it('it answers pages of its own', async () => {
    const { host } = new URL(world.url)
    expect(await rawGet(world.url, '/v1/status', { host, origin: world.url })).toMatch(/^HTTP\/1\.1 200 /)
    const local = `localhost:${new URL(world.url).port}`
    expect(await rawGet(world.url, '/v1/status', { host: local, origin: `http://${local}` })).toMatch(
      /^HTTP\/1\.1 200 /,
    )
  })
})

describe('the server', () => {
  let world: World
  beforeAll(async () => {
    world = await openWorld({ isApplicationStarted: false })
  })
  afterAll(() => world.close())

  it('says which address is taken, and what to do', async () => {
    const { port } = new URL(world.url)
    const listening = createHttpServer(world.options).listen('127.0.0.1', Number(port))
    await expect(listening).rejects.toMatchObject({
      code: 'invalid_config',
      message: expect.stringMatching(new RegExp(`127\\.0\\.0\\.1:${port} is in use.*http\\.port`)),
    })
  })

  it('says when the host is not its own', async () => {
    const options = { ...world.options, security: { tokens } }
    const listening = createHttpServer(options).listen('192.0.2.1', 0)
    await expect(listening).rejects.toMatchObject({
      code: 'invalid_config',
      message: expect.stringContaining('http.host'),
    })
  })

  it('answers status and metrics with what it is given', async () => {
    expect((await get(world.url, '/v1/status')).body).toMatchObject({ ready: true })
    const metrics = await get(world.url, '/metrics')
    expect(metrics.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
    expect(metrics.body).toContain('commands_received_total 1')
  })

  it.each(['/livez', '/v1/aggregates/account/1', '/v1/streams/account/1', '/openapi.json'])(
    'answers HEAD %s like GET, without the body',
    async (path) => {
      const response = await fetch(world.url + path, { method: 'HEAD' })
      expect({ status: response.status, body: await response.text() }).toEqual({ status: 200, body: '' })
      expect(response.headers.get('content-type')).toMatch(/^application\/json/)
    },
  )

  it('does not answer HEAD where GET may have no end', async () => {
    expect((await fetch(`${world.url}/v1/events`, { method: 'HEAD' })).status).toBe(405)
  })

  it('answers a problem to what is not HTTP and to headers that are too long', async () => {
    const nonsense = await rawSend(world.url, 'nonsense\r\n\r\n')
    expect(nonsense).toMatch(/^HTTP\/1\.1 400 /)
    expect(nonsense).toContain('application/problem+json')
    const long = await rawGet(world.url, '/livez', { 'x-long': 'x'.repeat(40_000) })
    expect(long).toMatch(/^HTTP\/1\.1 431 /)
  })

  it('answers a problem with status 500 when something breaks, and logs it', async () => {
    const logged: unknown[] = []
    const log = { ...world.options.log, error: (fields: unknown) => logged.push(fields) }
    const status = () => Promise.reject(new Error('the control socket is on fire'))
    const server = createHttpServer({ ...world.options, log, status })
    const { url } = await server.listen('127.0.0.1', 0)
    expectProblem(await get(url, '/v1/status'), 500, 'internal')
    expect(logged).toMatchObject([
      { method: 'GET', url: '/v1/status', error: { message: 'the control socket is on fire' } },
    ])
    await server.close()
  })

  it('answers what is under way before it closes, and takes nothing new', async () => {
    const own = await openWorld({ isApplicationStarted: false })
    const note = `${own.url}/v1/aggregates/account/1/commands/note`
    const sent = fetch(note, { method: 'POST' })
    const followed = await fetch(`${own.url}/v1/events`, { headers: { accept: 'text/event-stream' } })
    await eventually(() => own.pendingCommands() === 1)
    const { id } = (await get(own.url, '/v1/commands?state=pending')).body.commands[0]
    const waiting = fetch(`${own.url}/v1/commands/${id}?wait=60`)
    await get(own.url, '/livez')
    const closing = own.closeHttp()
    await eventually(() =>
      fetch(`${own.url}/livez`).then(
        () => false,
        () => true,
      ),
    )
    expect((await waiting).status).toBe(200)
    expect(await followed.text()).toContain('retry:')
    own.startApplication()
    expect((await sent).status).toBe(200)
    await closing
    await own.close()
  })

  it('closes at once when nothing is under way, although connections are kept', async () => {
    const warnings: unknown[] = []
    const log = { ...world.options.log, warn: (fields: unknown) => warnings.push(fields) }
    const server = createHttpServer({ ...world.options, log })
    const { url } = await server.listen('127.0.0.1', 0)
    for (let i = 0; i < 5; i++) await get(url, '/livez')
    const silent = connect(Number(new URL(url).port), '127.0.0.1')
    await new Promise((resolve) => silent.once('connect', resolve))
    const ended = new Promise((resolve) => silent.once('close', resolve))
    await server.close()
    await ended
    // It would warn when it had to cut connections off after waiting for them.
    expect(warnings).toEqual([])
  })

  it('cuts off what is not answered in time, and says so', async () => {
    const own = await openWorld({ isApplicationStarted: false })
    const warnings: unknown[] = []
    const log = { ...own.options.log, warn: (fields: unknown) => warnings.push(fields) }
    const server = createHttpServer({ ...own.options, log })
    const { url } = await server.listen('127.0.0.1', 0)
    const sent = fetch(`${url}/v1/aggregates/account/1/commands/note`, { method: 'POST' }).catch(() => 'cut off')
    await eventually(() => own.pendingCommands() === 1)
    await server.close()
    expect(await sent).toBe('cut off')
    expect(warnings).toEqual([{ requests: 1, drainMs: 4000 }])
    own.startApplication()
    await own.close()
  })

  it('describes all of its routes', async () => {
    const { body } = await get(world.url, '/openapi.json')
    expect(body.openapi).toBe('3.1.0')
    expect(
      Object.entries(body.paths)
        .flatMap(([path, methods]) => Object.keys(methods as object).map((method) => `${method} ${path}`))
        .sort(),
    ).toEqual([
      'get /livez',
      'get /metrics',
      'get /openapi.json',
      'get /readyz',
      'get /v1/aggregates/{type}/{id}',
      'get /v1/commands',
      'get /v1/commands/{id}',
      'get /v1/events',
      'get /v1/projections',
      'get /v1/projections/{name}/{key}',
      'get /v1/queues',
      'get /v1/schedules',
      'get /v1/status',
      'get /v1/streams/{type}/{id}',
      'get /v1/streams/{type}/{id}/life',
      'get /v1/workflows',
      'get /v1/workflows/{name}',
      'get /v1/workflows/{name}/{id}',
      'post /v1/aggregates/{type}/{id}/commands/{command}',
      'post /v1/awakeables/{id}:reject',
      'post /v1/awakeables/{id}:resolve',
      'post /v1/commands/{id}:retry',
      'post /v1/commands/{id}:skip',
      'post /v1/projections/{name}:rebuild',
      'post /v1/streams/{type}/{id}:archive',
      'post /v1/streams/{type}/{id}:close',
      'post /v1/streams/{type}/{id}:delete',
      'post /v1/workflows/{name}/{id}',
      'post /v1/workflows/{name}/{id}:cancel',
      'post /v1/workflows/{name}/{id}:retry',
      'post /v1/workflows/{name}/{id}:signal',
    ])
    const { responses, parameters } = body.paths['/v1/aggregates/{type}/{id}/commands/{command}'].post
    expect(Object.keys(responses)).toEqual(
      expect.arrayContaining([
        '200',
        '202',
        '400',
        '401',
        '403',
        '404',
        '409',
        '412',
        '413',
        '415',
        '422',
        '429',
        '500',
        '503',
        '504',
        '507',
      ]),
    )
    expect(parameters.map(({ name }: { name: string }) => name)).toEqual([
      'type',
      'id',
      'command',
      'Idempotency-Key',
      'If-Match',
      'Prefer',
      'Command-Priority',
      'Command-Delay-Ms',
      'traceparent',
    ])
  })

  it('refers in its description to nothing that is not there', async () => {
    const { body } = await get(world.url, '/openapi.json')
    const references = JSON.stringify(body).match(/#\/components\/schemas\/\w+/g) ?? []
    expect(references.length).toBeGreaterThan(10)
    for (const reference of references)
      expect(body.components.schemas).toHaveProperty(reference.split('/').at(-1) as string)
  })
})

const rawGet = (url: string, path: string, headers: Record<string, string>): Promise<string> => {
  const all = { host: 'localhost', connection: 'close', ...headers }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`)
  return rawSend(url, `${[`GET ${path} HTTP/1.1`, ...lines].join('\r\n')}\r\n\r\n`)
}

function rawSend(url: string, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = ''
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(request))
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => {
      received += chunk
    })
    socket.on('close', () => resolve(received))
    socket.on('error', reject)
  })
}
