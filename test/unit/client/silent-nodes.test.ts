import { describe, expect, it } from 'vitest'
import { HttpDatabase } from '../../../src/client/http-database.ts'
import { HttpNodes } from '../../../src/client/http-nodes.ts'
import type { HttpAnswer, HttpRequest } from '../../../src/client/http-requester.ts'
import { type Environment, silentLog } from '../../../src/kernel/environment.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { SeededRandom } from '../../../src/testing/seeded-random.ts'
import { VirtualTime } from '../../../src/testing/virtual-time.ts'

const completed = { id: '7', lsn: 9, outcome: 'completed', durability: 'flushed', events: [] }
const alive = { alive: true }

/** What a node says to a request, and after how long; null: nothing, ever. */
type Script = (request: HttpRequest, sleep: (ms: number) => Promise<void>) => Promise<object> | null

const standsStill: Script = () => null
/** Answers commands after so long. */
const busy =
  (answerMs: number, aliveMs = 0): Script =>
  async ({ path }, sleep) => {
    await sleep(path === '/livez' ? aliveMs : answerMs)
    return path === '/livez' ? alive : completed
  }

/** Nodes a, b, … in virtual time. */
function world(...scripts: Script[]) {
  const random = new SeededRandom(1)
  const time = new VirtualTime(random)
  const environment: Environment = {
    log: silentLog,
    random,
    clock: { wallMs: () => time.nowMs, monotonicMs: () => time.nowMs },
    scheduler: { soon: (run) => setImmediate(run), after: (delayMs, run) => ({ cancel: time.after(delayMs, run) }) },
  }
  const asked: string[] = []
  const keys = new Set<string | undefined>()
  const sleep = (ms: number) => new Promise<void>((resolve) => void time.after(ms, resolve))
  const requesterOf = (name: string, script: Script) => (request: HttpRequest) => {
    asked.push(`${name} ${request.method === 'POST' ? 'POST' : request.path.replace(/\?.*/, '')}`)
    if (request.method === 'POST') keys.add(request.headers['idempotency-key'])
    return aborted(request.signal, script(request, sleep)).then((body) => answerOf(body, request.signal))
  }
  const names = scripts.map((_, i) => String.fromCharCode(97 + i))
  const nodes = new HttpNodes(names, (name) => requesterOf(name, scripts[names.indexOf(name)] ?? standsStill))
  const db = new HttpDatabase({ environment, nodes })
  /** Time passes until it is settled. @returns what came of it, and when */
  const settle = async (call: Promise<unknown>) => {
    const fromMs = time.nowMs
    let result: unknown
    const settled = call.then(
      (value) => (result = value ?? null),
      (error: unknown) => (result = error),
    )
    await time.run(3_600_000, () => result !== undefined)
    await settled
    return { result, tookMs: time.nowMs - fromMs }
  }
  const deposit = (timeoutMs = 30_000) => db.execute('account', '1', 'deposit', {}, { timeoutMs })
  return { db, asked, keys, time, settle, deposit }
}

function aborted<Value>(signal: AbortSignal, promise: Promise<Value> | null): Promise<Value> {
  return new Promise((resolve, reject) => {
    const lost = () => reject(new CommanderError('connection_lost', 'aborted'))
    if (signal.aborted) lost()
    signal.addEventListener('abort', lost)
    promise?.then(resolve, reject)
  })
}

/** @param body JSON, or chunks of server-sent events */
function answerOf(body: object, signal: AbortSignal): HttpAnswer {
  return {
    status: 200,
    header: () => null,
    text: async () => JSON.stringify(body),
    async *chunks() {
      const chunks = (body as AsyncIterable<string>)[Symbol.asyncIterator]()
      for (;;) {
        const { done, value } = await aborted(signal, chunks.next())
        if (done) return
        yield Buffer.from(value)
      }
    },
  }
}

describe('a client over HTTP of several nodes, one of which stands still', () => {
  it('leaves it after a sign of life did not come, and has each call done once by the next one under its key', async () => {
    const { asked, keys, settle, deposit } = world(standsStill, busy(10))
    const { result, tookMs } = await settle(Promise.all([deposit(), deposit(), deposit()]))
    expect(result).toMatchObject([completed, completed, completed].map(({ lsn }) => ({ lsn })))
    expect(asked).toEqual(['a POST', 'a POST', 'a POST', 'a /livez', 'b POST', 'b POST', 'b POST'])
    expect(keys.size).toBe(3)
    expect(tookMs).toBeLessThan(5000)
    await settle(deposit())
    expect(asked.at(-1)).toBe('b POST')
  })

  it('asks what changes something and has no key nowhere else', async () => {
    const { db, asked, settle } = world(standsStill, busy(10))
    const { result } = await settle(db.retryCommand('7'))
    expect(result).toMatchObject({ code: 'connection_lost', message: expect.stringMatching(/nothing is heard from a/) })
    expect(asked).toEqual(['a POST', 'a /livez'])
  })

  // The last one ends just after the first node was left.
  it.each([30_000, 4040])('says after %i ms that there was no answer when all of them do', async (timeoutMs) => {
    const { asked, settle, deposit } = world(standsStill, standsStill)
    const { result, tookMs } = await settle(deposit(timeoutMs))
    expect(result).toMatchObject({ code: 'timeout', message: expect.stringContaining(`within ${timeoutMs} ms`) })
    expect(tookMs).toBe(timeoutMs)
    expect(asked.slice(0, 3)).toEqual(['a POST', 'a /livez', 'b POST'])
  })

  it('asks it for nothing more while the next one works', async () => {
    const { asked, settle, deposit } = world(standsStill, busy(50_000))
    expect((await settle(deposit(60_000))).result).toMatchObject({ lsn: 9 })
    expect(asked.filter((one) => one.startsWith('a'))).toEqual(['a POST', 'a /livez'])
  })

  it('notices it by calls that all give up before', async () => {
    const { asked, settle, deposit } = world(standsStill, busy(10))
    for (let i = 0; i < 6; i++) await settle(deposit(1000).catch(() => {}))
    expect(asked.filter((one) => one === 'a /livez')).toHaveLength(1)
    expect(asked.at(-1)).toBe('b POST')
  })

  it('opens at the next one', async () => {
    const { db, asked, settle } = world(standsStill, busy(10))
    expect((await settle(db.open())).result).toBe(db)
    expect(asked.at(-1)).toBe('b /livez')
  })
})

describe('a client over HTTP of several nodes, one of which is slow', () => {
  it('stays there while it says that it is alive, and sends nothing twice', async () => {
    const { asked, settle, deposit } = world(busy(20_000), busy(10))
    expect((await settle(deposit())).result).toMatchObject({ lsn: 9 })
    expect(asked.filter((one) => one !== 'a /livez')).toEqual(['a POST'])
    expect(asked.length).toBeGreaterThan(5)
  })

  it('stays there when it says so late, and asks for one sign of life at a time', async () => {
    const { asked, settle, deposit } = world(busy(6000, 1700), busy(10))
    expect((await settle(Promise.all([deposit(), deposit()]))).result).toMatchObject([{ lsn: 9 }, { lsn: 9 }])
    expect(asked).toEqual(['a POST', 'a POST', 'a /livez', 'a /livez'])
  })

  it('leaves it when it says so too late, whatever it says then', async () => {
    const { asked, settle, deposit } = world(busy(20_000, 2600), busy(10))
    expect((await settle(deposit())).result).toMatchObject({ lsn: 9 })
    expect(asked).toEqual(['a POST', 'a /livez', 'b POST'])
  })

  it('needs no other sign of life than an answer, and does nothing while nobody waits', async () => {
    const { asked, settle, deposit, time } = world(busy(3000, 3_600_000), busy(10))
    await settle(deposit())
    await time.run(time.nowMs + 250, () => false)
    const { events } = time
    await time.run(time.nowMs + 60_000, () => false)
    expect(time.events).toBe(events)
    expect(asked).toEqual(['a POST', 'a /livez'])
  })

  it('asks for no sign of life of one that answers in time, nor after a pause', async () => {
    const { asked, settle, deposit, time } = world(busy(1500), busy(10))
    for (let i = 0; i < 3; i++) {
      await settle(deposit())
      await time.run(time.nowMs + 10_000, () => false)
    }
    expect(asked).toEqual(['a POST', 'a POST', 'a POST'])
  })
})

it('a client over HTTP of one node never asks for a sign of life', async () => {
  const { asked, settle, deposit } = world(standsStill)
  const { result, tookMs } = await settle(deposit())
  expect(result).toMatchObject({ code: 'timeout' })
  expect([asked, tookMs]).toEqual([['a POST'], 30_000])
})

describe('a subscription over HTTP at one of several nodes', () => {
  const message = (position: number): string => `id: ${position}\ndata: {"globalPosition":${position}}\n\n`
  /** Server-sent events: one, and then keep-alives as long as it is to be. */
  const following =
    (position: number, keepAlives = 0, state = { isAlive: true }): Script =>
    async ({ path }, sleep) => {
      if (path === '/livez') return state.isAlive ? alive : new Promise(() => {})
      return (async function* () {
        yield message(position)
        for (let i = 0; i < keepAlives; i++) {
          await sleep(15_000)
          yield `: keep-alive\nid: ${position}\n\n`
        }
        await new Promise(() => {})
      })()
    }

  it('is left alone while the keep-alives come, and goes on at the next node when that one stands still', async () => {
    const { db, asked, settle } = world(following(1, 10, { isAlive: false }), following(2))
    const events = db.subscribe()
    expect((await settle(events.next())).result).toMatchObject({ value: { globalPosition: 1 } })
    const { result, tookMs } = await settle(events.next())
    expect(result).toMatchObject({ value: { globalPosition: 2 } })
    expect(tookMs).toBeGreaterThan(150_000)
    expect(asked).toEqual(['a /v1/events', 'a /livez', 'b /v1/events'])
    await db.close()
  })

  it('stays while its reader is busy for long', async () => {
    const { db, asked, settle, time } = world(following(1), following(2))
    const events = db.subscribe()
    await settle(events.next())
    await time.run(time.nowMs + 100_000, () => false)
    expect([...new Set(asked)]).toEqual(['a /v1/events', 'a /livez'])
    await db.close()
  })

  it('leaves a node together with what else waits there, whatever its reader does', async () => {
    const state = { isAlive: true }
    const { db, asked, settle } = world(
      (request, sleep) => (request.method === 'POST' ? null : following(1, 0, state)(request, sleep)),
      (request, sleep) => (request.method === 'POST' ? busy(10) : following(2))(request, sleep),
    )
    const events = db.subscribe()
    await settle(events.next())
    state.isAlive = false
    await settle(db.execute('account', '1', 'deposit', {}))
    const { result, tookMs } = await settle(events.next())
    expect(result).toMatchObject({ value: { globalPosition: 2 } })
    expect(tookMs).toBeLessThan(1000)
    expect(asked).toEqual(['a /v1/events', 'a POST', 'a /livez', 'b POST', 'b /v1/events'])
    await db.close()
  })
})
