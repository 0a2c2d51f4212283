import { connect, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Database } from '../../src/client/options.ts'
import { SocketDatabase } from '../../src/client/socket-database.ts'
import { ClientServer, type ClientServerOptions } from '../../src/gateway/client-server.ts'
import type { ClientOutcome } from '../../src/ipc/call-codec.ts'
import type { Channel } from '../../src/ipc/channel.ts'
import { clientFrames, encodeQuery } from '../../src/ipc/client-protocol.ts'
import { createMemoryTransport } from '../../src/ipc/memory-transport.ts'
import type { CommanderError } from '../../src/kernel/errors.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { RecordingLog } from '../unit/ipc/recording-log.ts'
import { eventually, faults, openWorld, post, type World } from './http-world.ts'

const stalledMs = 400
const windowBytes = 65_536
const big = 'x'.repeat(200_000)
const log = new RecordingLog()

let world: World

beforeAll(async () => {
  world = await openWorld({ stalledMs, log })
  for (let i = 0; i < 60; i++) await note('big', big)
})
afterAll(() => world.close())

const note = (id: string, body: unknown) =>
  post(world.url, `/v1/aggregates/account/${id}/commands/note`, { body: JSON.stringify(body) })

const logged = (message: string): unknown[] => log.lines.filter((line) => line.message.includes(message))

describe('an HTTP client', () => {
  const open = (path: string, accept: string): Socket => {
    const socket = connect(Number(new URL(world.url).port), '127.0.0.1')
    socket.on('error', () => {})
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nAccept: ${accept}\r\n\r\n`)
    return socket
  }

  it.each(['text/event-stream', 'application/x-ndjson', 'application/json'])(
    'that does not read the %s that it asked for is cut off, and the log says why',
    async (accept) => {
      const before = logged('takes nothing of its answer').length
      const socket = open('/v1/events', accept)
      socket.pause()
      await eventually(() => logged('takes nothing of its answer').length > before)
      const closed = new Promise((resolve) => socket.once('close', resolve))
      socket.resume()
      await closed
      expect(socket.bytesRead).toBeLessThan(60 * big.length)
      expect(logged('takes nothing of its answer').at(-1)).toMatchObject({
        level: 'warn',
        fields: { stalledMs, bytes: expect.any(Number) },
      })
    },
  )

  it('that reads is not, however long there is nothing to read', async () => {
    let text = ''
    const socket = open('/v1/events?types=deposited', 'text/event-stream').setEncoding('utf8')
    socket.on('data', (chunk: string) => {
      text += chunk
    })
    await new Promise((resolve) => setTimeout(resolve, stalledMs * 4))
    expect(socket.closed).toBe(false)
    await post(world.url, '/v1/aggregates/account/late/commands/deposit', { body: { amountCents: 7 } })
    await eventually(() => text.includes('"amountCents":7'))
    socket.destroy()
  })

  it('that waits for its answer is not', async () => {
    await world.stopApplication()
    const answer = post(world.url, '/v1/aggregates/account/late/commands/deposit', { body: { amountCents: 7 } })
    await new Promise((resolve) => setTimeout(resolve, stalledMs * 4))
    world.startApplication()
    expect((await answer).status).toBe(200)
  })
})

interface Orders {
  start(id: string, input: unknown): Promise<unknown>
  signal(id: string, name: string, data: unknown): Promise<void>
  result(id: string): Promise<unknown>
  execute(id: string, input: unknown): Promise<unknown>
  get(id: string): Promise<{ readonly id: string; readonly result: { readonly note: string } | null }>
}

describe('a client over the socket', () => {
  const environment = createSystemEnvironment(log)
  const transport = createMemoryTransport(environment, { windowBytes })

  beforeAll(async () => {
    const { gateway, queries, waiter, streams, workflows, rebuild } = world.options as unknown as ClientServerOptions
    const options = { environment, gateway, queries, waiter, streams, workflows, rebuild, stalledClientMs: stalledMs }
    const server = new ClientServer(options)
    await transport.listen('clients', (channel) => server.accept(watched(channel)))
  })

  let outstandingMost = 0
  /** Notes what waits for clients. */
  function watched(channel: Channel): Channel {
    const { send } = channel
    channel.send = (kind, ...body) => {
      send.call(channel, kind, ...body)
      outstandingMost = Math.max(outstandingMost, channel.outstandingBytes)
    }
    return channel
  }

  function greedy(ask: (channel: Channel) => void): Promise<CommanderError | null> {
    return new Promise((resolve) => {
      transport.connect('clients', (channel) => {
        ask(channel)
        return { frame: () => {}, closed: resolve }
      })
    })
  }

  it('that reads nothing of the events that it follows is cut off, and told why', async () => {
    const closed = greedy((channel) => {
      channel.send(clientFrames.query, encodeQuery(1, { ask: 'events', after: 0, follow: true }))
    })
    const other: Database = await new SocketDatabase({ environment, transport, addresses: ['clients'] }).open()
    expect((await other.execute('account', 'other', 'deposit', { amountCents: 1 })).outcome).toBe('completed')
    expect(await closed).toMatchObject({ code: 'overloaded', message: expect.stringContaining('taken nothing') })
    expect(logged('the client has taken nothing')).toHaveLength(1)
    expect(outstandingMost).toBeLessThan(2 * windowBytes + big.length)
    const seen: number[] = []
    for await (const event of other.events()) seen.push(event.globalPosition)
    expect(seen.length).toBeGreaterThan(60)
    await other.close()
  })

  describe('that has far more answers to come at once than it takes', () => {
    const count = 24
    let client: Database
    let closedBefore = 0
    beforeAll(async () => {
      closedBefore = logged('connection closed').length
      client = await new SocketDatabase({ environment, transport, addresses: ['clients'] }).open()
    })
    afterEach(() => expect(logged('connection closed')).toHaveLength(closedBefore))
    afterAll(() => client.close())

    const execute = (i: number) => client.execute('account', `many-${i}`, 'note', big, { idempotencyKey: `many-${i}` })

    it('gets them all, and as its commands came out', async () => {
      const { gateway } = world.options as unknown as ClientServerOptions
      outstandingMost = 0
      await world.stopApplication()
      const all = Promise.all(Array.from({ length: count }, (_, i) => execute(i)))
      await eventually(() => gateway.state.commands.byLsn.size === count)
      world.startApplication()
      for (const [i, outcome] of (await all).entries()) {
        expect(outcome).toMatchObject({ outcome: 'completed', duplicate: false, events: [{ revision: 1 }] })
        expect(outcome.outcome === 'completed' && outcome.events[0]?.aggregate.id).toBe(`many-${i}`)
      }
      expect(outstandingMost).toBeLessThan(windowBytes + 2 * big.length)
    })

    it('gets them all when it asks again for what it was answered', async () => {
      outstandingMost = 0
      const all = await Promise.all(Array.from({ length: count }, (_, i) => execute(i)))
      expect(all.every((one) => one.outcome === 'completed' && one.duplicate && one.events.length === 1)).toBe(true)
      expect(outstandingMost).toBeLessThan(windowBytes + 2 * big.length)
    })

    const ids = Array.from({ length: count }, (_, i) => `large-${i}`)

    it('gets the ends of all workflows that had ended before it asked', async () => {
      const orders = client.workflow('order') as unknown as Orders
      for (const id of ids) {
        await orders.start(id, { amountCents: 1, waitsFor: 'signal' })
        await orders.signal(id, 'approved', big)
        await orders.result(id)
      }
      outstandingMost = 0
      const started = ids.map((id) => orders.execute(id, { amountCents: 1, waitsFor: 'signal' }))
      const all = await Promise.all([...started, ...ids.map((id) => orders.result(id))])
      expect(all).toEqual(all.map(() => ({ total: 2, note: big })))
      expect(outstandingMost).toBeLessThan(windowBytes + 2 * big.length)
    })

    it('gets the views of all workflows', async () => {
      outstandingMost = 0
      const views = await Promise.all(ids.map((id) => (client.workflow('order') as unknown as Orders).get(id)))
      expect(views.map(({ id, result }) => [id, result?.note === big])).toEqual(ids.map((id) => [id, true]))
      expect(outstandingMost).toBeLessThan(windowBytes + 2 * big.length)
    })

    it('gets the errors of all commands that are parked', async () => {
      faults.charge = true
      const charge = (i: number) =>
        client.execute('account', `parked-${i}`, 'charge', big, { idempotencyKey: `p-${i}` })
      const first: ClientOutcome[] = []
      for (let i = 0; i < count; i++) first.push(await charge(i))
      outstandingMost = 0
      const all = await Promise.all(first.map((_, i) => charge(i)))
      faults.charge = false
      expect(all).toEqual(first.map((outcome) => ({ ...outcome, duplicate: true })))
      expect(all.every(({ outcome }) => outcome === 'parked')).toBe(true)
      expect(outstandingMost).toBeLessThan(windowBytes + 2 * big.length)
    })

    it('gets all its refusals', async () => {
      outstandingMost = 0
      const wrong = () => client.execute('account', 'wrong', 'deposit', { amountCents: -1 })
      const all = await Promise.allSettled(Array.from({ length: 5_000 }, wrong))
      const codes = new Set(all.map((one) => (one.status === 'rejected' ? one.reason.code : one.status)))
      expect([...codes]).toEqual(['schema_violation'])
      expect(outstandingMost).toBeLessThan(2 * windowBytes)
    })

    it('gets all that it asked to read', async () => {
      outstandingMost = 0
      const pages = await Promise.all(
        Array.from({ length: count }, (_, i) => client.stream('account', 'big', { from: i + 1, limit: 1 })),
      )
      expect(pages.map(({ events }) => events.map(({ revision }) => revision))).toEqual(
        Array.from({ length: count }, (_, i) => [i + 1]),
      )
      expect(outstandingMost).toBeLessThan(windowBytes + 2 * big.length)
    })
  })

  it('that asks and asks, and reads no answer, is cut off before it costs more than four windows', async () => {
    outstandingMost = 0
    const closed = greedy((channel) => {
      for (let i = 0; i < 500; i++) {
        channel.send(
          clientFrames.query,
          encodeQuery(i, { ask: 'stream', aggregate: 'account', id: 'big', from: 1, limit: 1 }),
        )
      }
    })
    expect(await closed).toMatchObject({ code: 'overloaded' })
    expect(outstandingMost).toBeLessThan(4 * windowBytes + 2 * big.length)
  })
})
