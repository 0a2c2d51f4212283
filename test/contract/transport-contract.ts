import { describe, expect, it, onTestFinished } from 'vitest'
import type { Listener, Transport } from '../../src/ipc/channel.ts'
import type { LinkBounds, LinkEnvironment } from '../../src/ipc/link.ts'
import { CommanderError } from '../../src/kernel/errors.ts'
import { systemScheduler } from '../../src/kernel/system-environment.ts'
import { ManualScheduler } from '../unit/ipc/manual-scheduler.ts'
import { RecordingLog } from '../unit/ipc/recording-log.ts'
import { Recorder } from './transport-recorder.ts'

/** One world of processes that can reach each other. */
export interface TransportWorld {
  /** The transport of one more process. */
  transport(environment: LinkEnvironment): Transport
  address(name: string): string
  dispose(): void
}

/** What every transport must do. */
export function describeTransport(name: string, createWorld: (bounds: LinkBounds) => TransportWorld): void {
  const setUp = async (bounds: LinkBounds = {}) => {
    const world = createWorld(bounds)
    const log = new RecordingLog()
    const environment = { scheduler: systemScheduler, log }
    const [serverSide, clientSide] = [world.transport(environment), world.transport(environment)]
    const servers: Recorder[] = []
    const clients: Recorder[] = []
    const listener = await serverSide.listen(world.address('main'), (channel) => {
      const server = new Recorder()
      servers.push(server)
      return server.open(channel)
    })
    onTestFinished(async () => {
      for (const { channel } of clients) channel?.close()
      await listener.close()
      world.dispose()
    })
    const connect = (address: string = listener.address, transport = clientSide): Recorder => {
      const client = new Recorder()
      clients.push(client)
      transport.connect(address, client.open)
      return client
    }
    /** A client and the server's end of it, both open. */
    const pair = async (): Promise<[client: Recorder, server: Recorder]> => {
      const index = servers.length
      const client = connect()
      await client.until(() => client.told.includes('opened'))
      await waitFor(turn, () => servers.length > index)
      return [client, servers[index] as Recorder]
    }
    return { world, log, serverSide, clientSide, listener, servers, connect, pair }
  }

  describe(`the ${name} transport`, () => {
    describeFrames(setUp)
    describeCredit(setUp)
    describeEnds(setUp)
    describeAddresses(setUp)
  })
}

interface Setup {
  readonly world: TransportWorld
  readonly log: RecordingLog
  readonly serverSide: Transport
  readonly clientSide: Transport
  readonly listener: Listener
  readonly servers: Recorder[]
  connect(address?: string, transport?: Transport): Recorder
  pair(): Promise<[client: Recorder, server: Recorder]>
}

type SetUp = (bounds?: LinkBounds) => Promise<Setup>

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Enough turns for anything that was sent to have arrived, where the point is that nothing does. */
const manyTurns = async (): Promise<void> => {
  for (let i = 0; i < 50; i++) await turn()
}

function describeFrames(setUp: SetUp): void {
  it('calls open before connect returns, then opened, then frames', async () => {
    const { connect, servers } = await setUp()
    const client = connect()
    expect(client.told).toEqual(['open'])
    client.live.send(3, Buffer.from('sent before the connection is up'))
    await client.until(() => client.told.includes('opened'))
    await waitFor(turn, () => servers.length > 0)
    const [server] = servers as [Recorder]
    await server.until(() => server.frames.length > 0)
    expect(server.told).toEqual(['open', 'opened'])
    expect(server.frames).toEqual([{ kind: 3, body: Buffer.from('sent before the connection is up') }])
  })

  it('carries kinds, bodies, empty bodies and bodies of several parts in order, in both directions', async () => {
    const { pair } = await setUp()
    const [client, server] = await pair()
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      const large = Buffer.alloc(100_000, 'large')
      from.live.send(1, Buffer.from('one'))
      from.live.send(65279)
      from.live.send(2, Buffer.from('two '), large, Buffer.alloc(0), Buffer.from(' parts'))
      from.live.send(300, Buffer.alloc(0))
      await to.until(() => to.frames.length === 4)
      expect(to.frames.map(({ kind }) => kind)).toEqual([1, 65279, 2, 300])
      expect(Buffer.concat([Buffer.from('two '), large, Buffer.from(' parts')]).equals(bodyOf(to, 2))).toBe(true)
      expect([0, 1, 3].map((i) => bodyOf(to, i).toString())).toEqual(['one', '', ''])
    }
  })

  it('carries ten thousand small frames in order, sent over many turns', async () => {
    const { pair } = await setUp()
    const [client, server] = await pair()
    for (let i = 0; i < 10_000; i++) {
      const body = Buffer.alloc(4 + (i % 97))
      body.writeUInt32LE(i)
      client.live.send(1 + (i % 7), body)
      if (i % 500 === 0) await turn()
    }
    await server.until(() => server.frames.length === 10_000)
    expect(server.frames.every(({ kind, body }, i) => kind === 1 + (i % 7) && body.readUInt32LE() === i)).toBe(true)
    expect(server.frames.every(({ body }, i) => body.length === 4 + (i % 97))).toBe(true)
  })

  it('carries frames of megabytes and gives one buffer to several channels without changing it', async () => {
    const { connect, servers } = await setUp()
    const clients = [connect(), connect(), connect(), connect()]
    await Promise.all(clients.map((client) => client.until(() => client.told.includes('opened'))))
    await waitFor(turn, () => servers.length === 4)
    const body = Buffer.alloc(4 << 20)
    for (let i = 0; i < body.length; i += 4) body.writeUInt32LE(Math.imul(i, 2654435761) >>> 0, i)
    const before = Buffer.from(body)
    for (const client of clients) {
      client.live.send(1, Buffer.from('small'))
      client.live.send(2, body)
      client.live.send(3, Buffer.from('after'))
    }
    await Promise.all(servers.map((server) => server.until(() => server.frames.length === 3)))
    for (const server of servers) {
      expect(server.frames.map(({ kind }) => kind)).toEqual([1, 2, 3])
      expect(bodyOf(server, 1).equals(before)).toBe(true)
      expect(bodyOf(server, 2).toString()).toBe('after')
    }
    expect(body.equals(before)).toBe(true)
  })

  it('asks for one write at the end of the turn, and flush does not wait for it', async () => {
    const { world, connect, servers } = await setUp()
    const scheduler = new ManualScheduler()
    const client = connect(undefined, world.transport({ scheduler, log: new RecordingLog() }))
    await waitFor(
      async () => {
        scheduler.settle()
        await turn()
      },
      () => servers.length > 0 && client.told.includes('opened'),
    )
    const server = servers[0] as Recorder
    for (let i = 0; i < 100; i++) client.live.send(1, Buffer.of(i))
    expect(scheduler.pendingTurns).toBe(1)
    await manyTurns()
    expect(server.frames).toHaveLength(0)
    client.live.flush()
    await server.until(() => server.frames.length === 100)
  })

  it('refuses a frame over the limit with its size, and carries one of exactly the limit', async () => {
    const { pair } = await setUp({ frameBytesMax: 10_000 })
    const [client, server] = await pair()
    expect(() => client.live.send(1, Buffer.alloc(9_997))).toThrow(
      expect.objectContaining({ code: 'payload_too_large', message: expect.stringContaining('9997') }),
    )
    client.live.send(2, Buffer.alloc(9_996))
    await server.until(() => server.frames.length === 1)
    expect(bodyOf(server, 0)).toHaveLength(9_996)
  })
}

function describeCredit(setUp: SetUp): void {
  it('sends no more than the window until the receiver releases, and then says that it is writable', async () => {
    const { pair } = await setUp({ windowBytes: 10_000 })
    const [client, server] = await pair()
    server.onFrame = () => {}
    for (let i = 0; i < 30; i++) client.live.send(1, Buffer.alloc(992, i))
    expect(client.live.writable).toBe(false)
    await server.until(() => server.frames.length >= 10)
    await manyTurns()
    expect(server.frames).toHaveLength(10)
    expect(client.live.outstandingBytes).toBeGreaterThanOrEqual(30_000)
    expect(client.told).not.toContain('writable')

    server.onFrame = (_kind, body) => server.live.release(body.length)
    for (const { body } of [...server.frames]) server.live.release(body.length)
    await Promise.all([
      server.until(() => server.frames.length === 30),
      client.until(() => client.told.includes('writable')),
    ])
    expect(server.frames.map(({ body }) => body[0])).toEqual([...Array(30).keys()])
    expect(client.live.writable).toBe(true)
    expect(client.told.filter((what) => what === 'writable')).toHaveLength(1)
  })

  it('keeps going with a small window for as long as the receiver releases', async () => {
    const { pair } = await setUp({ windowBytes: 300 })
    const [client, server] = await pair()
    for (let i = 0; i < 2000; i++) {
      if (!client.live.writable) await client.until(() => client.live.writable)
      client.live.send(1, Buffer.alloc(i % 50))
    }
    await server.until(() => server.frames.length === 2000)
  })

  it('keeps the two directions apart: a full one does not stop the other', async () => {
    const { pair } = await setUp({ windowBytes: 1000 })
    const [client, server] = await pair()
    server.onFrame = () => {}
    client.live.send(1, Buffer.alloc(2000))
    client.live.send(1, Buffer.alloc(1))
    await server.until(() => server.frames.length === 1)
    for (let i = 0; i < 3; i++) server.live.send(2, Buffer.alloc(800))
    await client.until(() => client.frames.length === 3)
    expect(server.frames).toHaveLength(1)
  })

  it('closes the channel of a sender that goes on without looking, with overloaded on both sides', async () => {
    const { pair, log, connect, servers } = await setUp({ windowBytes: 10_000 })
    const [client, server] = await pair()
    server.onFrame = () => {}
    for (let i = 0; i < 100; i++) client.live.send(1, Buffer.alloc(992))
    expect(client.live.outstandingBytes).toBeLessThanOrEqual(41_000)
    expect((await client.untilClosed())?.code).toBe('overloaded')
    expect((await server.untilClosed())?.code).toBe('overloaded')
    expect(log.codes).toEqual(['overloaded'])
    const other = connect()
    other.live.send(9)
    await waitFor(turn, () => servers.length === 2)
    await servers[1]?.until(() => servers[1]?.frames.length === 1)
  })
}

function describeEnds(setUp: SetUp): void {
  it.each(['client', 'server'] as const)('closes from the %s: what was sent before arrives', async (who) => {
    const { pair, log } = await setUp()
    const [client, server] = await pair()
    const [from, to] = who === 'client' ? [client, server] : [server, client]
    from.live.send(1, Buffer.alloc(500_000, 7))
    from.live.send(2, Buffer.from('last'))
    from.live.close()
    from.live.close()
    from.live.send(3, Buffer.from('after the close'))
    expect(from.closings).toEqual([])
    expect(await to.untilClosed()).toBeNull()
    expect(await from.untilClosed()).toBeNull()
    to.live.send(4)
    to.live.close()
    await manyTurns()
    expect(to.frames.map(({ kind }) => kind)).toEqual([1, 2])
    expect(from.frames).toEqual([])
    expect([from.closings, to.closings]).toEqual([[null], [null]])
    expect([from.live.writable, to.live.writable]).toEqual([false, false])
    expect(log.codes).toEqual([])
  })

  it('tells the peer why it closes', async () => {
    const { pair } = await setUp()
    const [client, server] = await pair()
    server.live.close(new CommanderError('not_ready', 'the database is stopping', { retryable: true }))
    const error = await client.untilClosed()
    expect(error).toMatchObject({ code: 'not_ready', message: 'the database is stopping', retryable: true })
    expect((await server.untilClosed())?.code).toBe('not_ready')
  })

  it('closes from both sides at once', async () => {
    const { pair } = await setUp()
    const [client, server] = await pair()
    client.live.close()
    server.live.close()
    await Promise.all([client.untilClosed(), server.untilClosed()])
    await manyTurns()
    expect([client.closings, server.closings]).toEqual([[null], [null]])
  })

  it('closes the channel of a handler that throws, logs it, and harms no other', async () => {
    const { pair, log } = await setUp()
    const [other, otherServer] = await pair()
    const [client, server] = await pair()
    server.onFrame = () => {
      throw new TypeError('the handler is broken')
    }
    client.live.send(1, Buffer.from('boom'))
    client.live.send(1, Buffer.from('never handed up'))
    expect((await server.untilClosed())?.code).toBe('internal')
    expect((await client.untilClosed())?.code).toBe('internal')
    expect(server.frames).toHaveLength(1)
    expect(log.codes).toEqual(['internal'])
    expect(log.lines[0]?.message).toContain('the handler is broken')
    other.live.send(5)
    await otherServer.until(() => otherServer.frames.length === 1)
    expect(otherServer.closings).toEqual([])
  })

  it('can be closed before it is connected', async () => {
    const { connect, servers } = await setUp()
    const client = connect()
    client.live.send(1)
    client.live.close()
    expect(await client.untilClosed()).toBeNull()
    await manyTurns()
    expect(client.told).toEqual(['open', 'closed'])
    expect(servers).toEqual([])
  })
}

function describeAddresses(setUp: SetUp): void {
  it('says no_database with the address, once, when nobody listens', async () => {
    const { world, connect } = await setUp()
    const client = connect(world.address('nobody'))
    client.live.send(1, Buffer.from('waits in vain'))
    expect(client.closings).toEqual([])
    const error = await client.untilClosed()
    await manyTurns()
    expect(error?.code).toBe('no_database')
    expect(error?.message).toContain(world.address('nobody'))
    expect(client.told).toEqual(['open', 'closed'])
  })

  it('refuses a second listener at an address, naming it, and the first one goes on', async () => {
    const { world, listener, pair, serverSide, clientSide } = await setUp()
    for (const transport of [serverSide, clientSide])
      await expect(transport.listen(listener.address, () => new Recorder())).rejects.toMatchObject({
        code: 'database_locked',
        message: expect.stringContaining(world.address('main')),
      })
    const [client, server] = await pair()
    client.live.send(1, Buffer.from('still here'))
    await server.until(() => server.frames.length === 1)
  })

  it('closes a listener with its channels, after which the address is free', async () => {
    const { world, listener, pair, serverSide, connect } = await setUp()
    const [client, server] = await pair()
    server.live.send(1, Buffer.from('farewell'))
    await Promise.all([listener.close(), listener.close()])
    expect(await client.untilClosed()).toBeNull()
    expect(server.closings).toEqual([null])
    expect(client.frames).toHaveLength(1)
    expect((await connect().untilClosed())?.code).toBe('no_database')
    const again = await serverSide.listen(world.address('main'), () => new Recorder())
    const second = connect()
    await second.until(() => second.told.includes('opened'))
    await again.close()
  })

  it('gives each channel an id of its own and a peer for the log', async () => {
    const { pair, listener } = await setUp()
    const channels = [...(await pair()), ...(await pair())].map(({ live }) => live)
    expect(new Set(channels.map(({ id }) => id)).size).toBe(4)
    expect(channels.every(({ peer }) => peer.includes(listener.address))).toBe(true)
  })
}

function bodyOf(recorder: Recorder, index: number): Buffer {
  const frame = recorder.frames[index]
  if (frame === undefined) throw new Error(`there is no frame ${index}`)
  return frame.body
}

async function waitFor(step: () => Promise<void>, condition: () => boolean): Promise<void> {
  while (!condition()) await step()
}
