import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually, expectProblem, get, openWorld, post, type World } from './http-world.ts'

let world: World
let url: string

beforeAll(async () => {
  world = await openWorld()
  url = world.url
  for (let i = 1; i <= 6; i++) await (i % 3 === 0 ? note('a', i) : deposit('a', i))
})
afterAll(() => world.close())

const deposit = (id: string, amountCents: number) =>
  post(url, `/v1/aggregates/account/${id}/commands/deposit`, { body: { amountCents } })
const note = (id: string, body: unknown) =>
  post(url, `/v1/aggregates/account/${id}/commands/note`, { body: JSON.stringify(body) })

interface Event {
  readonly type: string
  readonly data: unknown
  readonly globalPosition: number
}

const positionsOf = (events: readonly Event[]): number[] => events.map(({ globalPosition }) => globalPosition)

describe('events as JSON', () => {
  it('are a page in order, with where to go on', async () => {
    const { status, headers, body } = await get(url, '/v1/events?limit=4')
    expect(status).toBe(200)
    expect(headers.get('content-type')).toMatch(/^application\/json/)
    expect(positionsOf(body.events)).toEqual([1, 2, 3, 4])
    expect(body.next).toBe(4)
    expect(body.events[0]).toEqual({
      type: 'deposited',
      data: { amountCents: 1 },
      aggregate: { type: 'account', id: 'a' },
      revision: 1,
      globalPosition: 1,
      lsn: expect.any(Number),
      at: expect.stringMatching(/^\d{4}-.*Z$/),
    })
    const rest = await get(url, `/v1/events?after=${body.next}`)
    expect(positionsOf(rest.body.events)).toEqual([5, 6])
    expect((await get(url, '/v1/events?after=6')).body).toEqual({ events: [], next: 6 })
  })

  it('are those of some types only, and `next` passes the others', async () => {
    const { body } = await get(url, '/v1/events?types=noted')
    expect(positionsOf(body.events)).toEqual([3, 6])
    expect(positionsOf((await get(url, '/v1/events?types=noted,deposited&limit=3')).body.events)).toEqual([1, 2, 3])
    expect((await get(url, '/v1/events?types=nothing')).body).toEqual({ events: [], next: 6 })
    expect((await get(url, '/v1/events?types=noted&limit=1')).body).toMatchObject({ next: 3 })
  })

  it.each(['after=-1', 'limit=0', 'limit=x', 'from=3'])('answer 400 to %s', async (query) => {
    expectProblem(await get(url, `/v1/events?${query}`), 400, 'invalid_input')
  })

  it('are what Accept likes best', async () => {
    const typeOf = async (accept: string) => (await get(url, '/v1/events', { accept })).headers.get('content-type')
    expect(await typeOf('*/*')).toMatch(/^application\/json/)
    expect(await typeOf('text/html, */*;q=0.1')).toMatch(/^application\/json/)
    expect(await typeOf('application/x-ndjson')).toBe('application/x-ndjson')
    expect(await typeOf('application/json;q=0.5, application/x-ndjson')).toBe('application/x-ndjson')
    expect(await typeOf('application/json, application/x-ndjson;q=0.9')).toMatch(/^application\/json/)
    expect(await typeOf('text/event-stream;q=0, application/json;q=0.1')).toMatch(/^application\/json/)
  })
})

describe('events as newline-delimited JSON', () => {
  const lines = async (query: string): Promise<Event[]> => {
    const { body } = await get(url, `/v1/events${query}`, { accept: 'application/x-ndjson' })
    expect(body === '' || body.endsWith('\n')).toBe(true)
    return body
      .split('\n')
      .filter(Boolean)
      .map((line: string) => JSON.parse(line))
  }

  it('are all of them, and come to an end', async () => {
    expect(positionsOf(await lines(''))).toEqual([1, 2, 3, 4, 5, 6])
    expect(positionsOf(await lines('?after=2&types=deposited'))).toEqual([4, 5])
    expect(positionsOf(await lines('?limit=2'))).toEqual([1, 2])
    expect(await lines('?after=6')).toEqual([])
  })
})

/** A client of server-sent events, as the HTML standard reads them. */
class Messages {
  readonly ids: string[] = []
  readonly events: Event[] = []
  readonly comments: string[] = []
  status = 0
  isOver = false
  readonly #abort = new AbortController()

  async open(path: string, headers: Record<string, string> = {}): Promise<this> {
    const all = { accept: 'text/event-stream', ...headers }
    const response = await fetch(url + path, { headers: all, signal: this.#abort.signal })
    this.status = response.status
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/)
    this.#read(response.body as ReadableStream<Uint8Array>).catch(() => {
      this.isOver = true
    })
    return this
  }

  close(): void {
    this.#abort.abort()
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    let text = ''
    const decoder = new TextDecoder()
    for await (const chunk of body) {
      text += decoder.decode(chunk, { stream: true })
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        this.#message(text.slice(0, end).split('\n'))
        text = text.slice(end + 2)
      }
    }
    this.isOver = true
  }

  #message(lines: readonly string[]): void {
    for (const line of lines) {
      if (line.startsWith(':')) this.comments.push(line)
      if (line.startsWith('id: ')) this.ids.push(line.slice(4))
      if (line.startsWith('data: ')) this.events.push(JSON.parse(line.slice(6)))
    }
  }
}

describe('events as server-sent events', () => {
  it('begin with the past and go on with what comes, each with its position as id', async () => {
    const messages = await new Messages().open('/v1/events?after=4')
    await eventually(() => messages.events.length === 2)
    const before = positionsOf(messages.events)
    const { body } = await deposit('live', 7)
    await eventually(() => messages.events.length === 3)
    messages.close()
    expect(before).toEqual([5, 6])
    expect(messages.events[2]).toMatchObject({ type: 'deposited', lsn: body.lsn, aggregate: { id: 'live' } })
    expect(messages.ids).toEqual(messages.events.map(({ globalPosition }) => String(globalPosition)))
  })

  it('resume after Last-Event-ID, whatever `after` says', async () => {
    const messages = await new Messages().open('/v1/events?after=1', { 'last-event-id': '3' })
    await eventually(() => messages.events.length >= 3)
    messages.close()
    expect(positionsOf(messages.events).slice(0, 3)).toEqual([4, 5, 6])
  })

  it('answer 400 to a Last-Event-ID that is none', async () => {
    const headers = { accept: 'text/event-stream', 'last-event-id': 'abc' }
    expectProblem(await get(url, '/v1/events', headers), 400, 'invalid_input')
  })

  it('miss and repeat nothing while much is written', async () => {
    const { body } = await get(url, '/v1/events')
    const followers = await Promise.all([1, 2, 3].map(() => new Messages().open(`/v1/events?after=${body.next}`)))
    await Promise.all(Array.from({ length: 300 }, (_, i) => note(`busy-${i % 7}`, i)))
    for (const messages of followers) {
      await eventually(() => messages.events.length >= 300)
      messages.close()
      expect(positionsOf(messages.events)).toEqual(Array.from({ length: 300 }, (_, i) => body.next + 1 + i))
    }
  })

  it('pass what is not of the types asked for', async () => {
    const { body } = await get(url, '/v1/events')
    const messages = await new Messages().open(`/v1/events?after=${body.next}&types=noted`)
    await deposit('types', 1)
    await note('types', 'seen')
    await eventually(() => messages.events.length > 0)
    messages.close()
    expect(messages.events).toMatchObject([{ type: 'noted', data: 'seen' }])
  })

  it('end after `limit` events', async () => {
    const messages = await new Messages().open('/v1/events?limit=2')
    await eventually(() => messages.isOver)
    expect(positionsOf(messages.events)).toEqual([1, 2])
  })
})

describe('a client that does not read', () => {
  const big = 'x'.repeat(200_000)
  const written = 60

  it('holds nobody up, and gets everything once it reads', async () => {
    const { body } = await get(url, '/v1/events')
    for (let i = 0; i < written; i++) await note('big', big)
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.write(`GET /v1/events?after=${body.next} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n`)
    socket.pause()
    // Other requests are answered all the while.
    for (let i = 0; i < 20; i++) expect((await note('other', i)).status).toBe(200)
    const received = await readUntil(socket, (text) => text.includes('"id":"other"') && text.includes('"data":19,'))
    socket.destroy()
    expect(received.match(/^id: /gm)?.length).toBe(written + 20)
  })

  it('is forgotten once it is gone', async () => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.write('GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n')
    socket.pause()
    await note('gone', 1)
    socket.destroy()
    expect((await note('gone', 2)).status).toBe(200)
  })
})

async function readUntil(socket: Socket, isEnough: (text: string) => boolean): Promise<string> {
  let text = ''
  socket.setEncoding('utf8')
  socket.on('data', (chunk: string) => {
    text += chunk
  })
  socket.resume()
  await eventually(() => isEnough(text.slice(-5000)))
  return text
}
