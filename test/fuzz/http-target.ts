import { connect } from 'node:net'
import type { SeededRandom } from '../../src/testing/seeded-random.ts'
import { openWorld, post } from '../contract/http-world.ts'
import type { FuzzLife, FuzzTarget } from './fuzz.ts'
import { mutated } from './mutations.ts'

/** Requests that keep to HTTP share a connection; one that may not gets its own. */
const pipelined = 50
const connectionsMax = 16
/** A request that is answered bit by bit, or not until much later, is left after this. */
const patienceMs = 60_000
const abandonedAfterMs = 50

const paths = [
  '/v1/aggregates/account/1/commands/deposit',
  '/v1/aggregates/account/1/commands/withdraw',
  '/v1/aggregates/account/1/commands/note',
  '/v1/aggregates/account/1/commands/many',
  '/v1/aggregates/account/1',
  '/v1/streams/account/1',
  '/v1/streams/account/1/life',
  '/v1/streams/account/1:close',
  '/v1/events',
  '/v1/commands/7',
  '/v1/commands',
  '/v1/commands/7:retry',
  '/v1/commands/7:skip',
  '/v1/projections/balances/1',
  '/v1/projections',
  '/v1/projections/balances:rebuild',
  '/v1/status',
  '/metrics',
  '/livez',
  '/readyz',
  '/openapi.json',
  '/',
]
const queries = [
  '',
  '',
  '',
  '?limit=10',
  '?from=1&limit=2',
  '?after=0',
  '?state=parked',
  '?atLsn=3',
  '?minLsn=1',
  '?consistency=linearizable&sessionLsn=1',
  '?x=y',
]
const bodies = [
  '{"amountCents":5}',
  '{"amountCents":5,"note":"ü"}',
  '{"count":3}',
  '{"a":[1,2.5e3,null,true,"\\u00e9\\n",{"b":{}}]}',
  '"text"',
  '[]',
  '',
]
const headers = [
  'idempotency-key: "k1"',
  'if-match: "0"',
  'prefer: respond-async',
  'prefer: durability=written',
  'prefer: durability=replicated',
  'accept: application/x-ndjson',
  'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  'origin: http://127.0.0.1',
  'authorization: Bearer x',
  'content-encoding: identity',
]
/** As they are, so that the request is still one; `%` and `/` may stand for others. */
const harmless = /[^\x21-\x7e]/g
const corpus = [...paths, ...queries, ...bodies, ...headers].map((text) => Buffer.from(text))

/**
 * Every request that keeps to HTTP gets one answer, and none says that it met a bug; what does not keep to it gets an answer or the
 * end of its connection.
 */
export const httpTarget: FuzzTarget = {
  inputsPerLife: 20_000,
  async open(): Promise<FuzzLife> {
    const world = await openWorld()
    const { port } = new URL(world.url)
    const underWay = new Set<Promise<void>>()
    let batch: string[] = []
    const run = async (work: Promise<void>): Promise<void> => {
      underWay.add(work)
      void work.finally(() => underWay.delete(work)).catch(() => {})
      if (underWay.size >= connectionsMax) await Promise.race(underWay)
    }
    const send = async (): Promise<void> => {
      const requests = batch
      batch = []
      if (requests.length > 0) await run(exchange(Number(port), requests))
    }
    return {
      feed: async (random, shows) => {
        const request = requestOf(random)
        if (random.chance(0.1)) {
          const bytes = mutated(random, Buffer.from(request), corpus)
          shows(bytes)
          await run(throwAt(Number(port), bytes))
          return
        }
        shows(Buffer.from(request))
        batch.push(request)
        if (batch.length >= pipelined) await send()
      },
      check: async () => {
        await send()
        await Promise.all(underWay)
        const { status } = await post(world.url, '/v1/aggregates/account/canary/commands/deposit', {
          body: { amountCents: 1 },
        })
        if (status !== 200) throw new Error(`a command is answered with ${status}`)
      },
      close: () => world.close(),
    }
  },
}

const maybe = (random: SeededRandom, text: string, probability = 0.3): string =>
  random.chance(probability) ? mutated(random, Buffer.from(text), corpus).toString('latin1') : text

/** A request that HTTP can carry, whatever it asks for. */
function requestOf(random: SeededRandom): string {
  const method = random.pick(['GET', 'GET', 'POST', 'POST', 'POST', 'PUT', 'HEAD', 'DELETE', 'OPTIONS'])
  const target = maybe(random, random.pick(paths)) + maybe(random, random.pick(queries))
  const body = method === 'POST' || random.chance(0.1) ? maybe(random, random.pick(bodies), 0.5) : ''
  const lines = [`${method} /${target.replace(harmless, '.').replace(/^\//, '')} HTTP/1.1`, 'host: 127.0.0.1']
  if (body !== '') lines.push(`content-type: ${maybe(random, 'application/json', 0.05).replace(harmless, '.')}`)
  for (let count = random.integer(0, 2); count > 0; count--) {
    const [name = '', value = ''] = random.pick(headers).split(/: (.*)/s)
    lines.push(`${name}: ${maybe(random, value).replace(harmless, '.')}`)
  }
  const bytes = Buffer.byteLength(body, 'latin1')
  if (bytes > 0 || random.chance(0.5)) lines.push(`content-length: ${bytes}`)
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}

/** A command that its application failed on is answered with a 500 too, of another code. */
const bug = '"code":"internal"'
const statusLine = /HTTP\/1\.1 (\d{3}) [A-Z]/g

/** Each gets its answer; after one that closes the connection, as it may, the others are asked on another one. */
async function exchange(port: number, requests: readonly string[]): Promise<void> {
  for (let left = requests; left.length > 0; ) {
    const answers = await answersTo(port, left)
    const found = [...answers.matchAll(statusLine)]
    if (answers.includes(bug)) throw new Error(`a bug is answered to one of ${JSON.stringify(left)}: ${answers}`)
    const isClosed = /^connection: close\r$/im.test(answers.slice(found.at(-1)?.index ?? 0))
    if (!isClosed)
      throw new Error(`${found.length} answers to ${left.length} requests: ${JSON.stringify(left)} ${answers}`)
    left = left.slice(found.length)
  }
}

/** What comes back on one connection, which the last request asks to be closed. */
function answersTo(port: number, requests: readonly string[]): Promise<string> {
  const last = 'GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n'
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const answers = (): string => Buffer.concat(chunks).toString('latin1')
    const socket = connect(port, '127.0.0.1')
    const late = setTimeout(() => {
      socket.destroy()
      reject(new Error(`no end of the answers to ${JSON.stringify(requests)}: ${answers()}`))
    }, patienceMs)
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(late)
      resolve(answers())
    })
    socket.write(Buffer.from(requests.join('') + last, 'latin1'))
  })
}

/** Anything at all; half an answer is enough. */
function throwAt(port: number, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1')
    const enough = setTimeout(() => socket.destroy(), abandonedAfterMs)
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1')
      socket.destroy()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(enough)
      if (answer.includes(bug)) reject(new Error(`a bug is answered: ${answer}`))
      else resolve()
    })
    socket.end(bytes)
  })
}
