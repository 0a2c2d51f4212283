import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Listener, Transport } from '../../src/ipc/channel.ts'
import { createNodeIpcTransport } from '../../src/ipc/node-ipc-transport-adapter.ts'
import { encodeHello, headerBytes, writeHeader } from '../../src/ipc/wire-format.ts'
import { systemScheduler } from '../../src/kernel/system-environment.ts'
import { RecordingLog } from '../unit/ipc/recording-log.ts'
import { Recorder } from './transport-recorder.ts'

const hello = encodeHello(1 << 20)
const frameOf = (kind: number, body: Buffer): Buffer => {
  const frame = Buffer.alloc(headerBytes + body.length)
  body.copy(frame, writeHeader(frame, 0, kind, body.length))
  return frame
}
const headerOf = (length: number, kind: number, flags: number): Buffer => {
  const header = Buffer.alloc(headerBytes)
  header.writeUInt32LE(length, 0)
  header.writeUInt16LE(kind, 4)
  header.writeUInt16LE(flags, 6)
  return header
}
const noise = Buffer.from(Array.from({ length: 5000 }, (_, i) => Math.imul(i + 1, 2654435761) >>> 24))

describe('a peer that does not keep to the protocol', () => {
  let directory: string
  let address: string
  let transport: Transport
  let listener: Listener
  let log: RecordingLog
  let servers: Recorder[]
  let sockets: Socket[]

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'ipc-'))
    address = join(directory, 'socket')
    log = new RecordingLog()
    servers = []
    sockets = []
    transport = createNodeIpcTransport({ scheduler: systemScheduler, log }, { frameBytesMax: 100_000 })
    listener = await transport.listen(address, (channel) => {
      const server = new Recorder()
      servers.push(server)
      return server.open(channel)
    })
  })

  afterEach(async () => {
    for (const socket of sockets) socket.destroy()
    await listener.close()
    rmSync(directory, { recursive: true })
  })

  const rawClient = async (): Promise<Socket> => {
    const socket = connect(address)
    sockets.push(socket)
    socket.resume()
    await once(socket, 'connect')
    return socket
  }

  const expectAlive = async (): Promise<void> => {
    const client = new Recorder()
    const before = servers.length
    transport.connect(address, client.open)
    await client.until(() => client.told.includes('opened'))
    client.live.send(1, Buffer.from('still alive'))
    while (servers.length === before) await new Promise(setImmediate)
    const server = servers[before] as Recorder
    await server.until(() => server.frames.length === 1)
    expect(server.frames[0]?.body.toString()).toBe('still alive')
    client.live.close()
    await client.untilClosed()
  }

  it.each([
    ['noise', noise, 'protocol_violation'],
    ['an HTTP request', Buffer.from('GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n'), 'protocol_violation'],
    ['another protocol of frames', frameOf(65535, Buffer.alloc(12)), 'protocol_violation'],
    ['a newer version', encodeHello(1000, 9), 'unsupported_version'],
    ['a frame before the greeting', frameOf(1, Buffer.from('hello?')), 'protocol_violation'],
  ])('is logged and cut off before anybody sees it when it begins with %s', async (_name, bytes, code) => {
    const socket = await rawClient()
    socket.write(bytes)
    await once(socket, 'close')
    expect(log.codes).toEqual([code])
    expect(servers).toEqual([])
    await expectAlive()
  })

  it.each([
    ['an over-long frame', headerOf(100_001, 1, 0), '100001'],
    ['the longest length there is', headerOf(0xffffffff, 1, 0), '4294967295'],
    ['a frame of zero length', headerOf(0, 1, 0), 'a frame of 0 bytes'],
    ['a frame too short for a kind', headerOf(3, 1, 0), 'a frame of 3 bytes'],
    ['unknown flags', headerOf(4, 1, 0x8000), 'unknown flags 32768'],
    ['an unknown reserved kind', frameOf(65500, Buffer.alloc(0)), 'reserved kind 65500'],
    ['credit for what it never had', frameOf(0, Buffer.from([1, 0, 0, 0])), 'released 1 bytes'],
    ['a malformed farewell', frameOf(65534, Buffer.from('{}')), 'malformed reason'],
  ])('loses its channel, once and with a logged violation, for %s', async (_name, bytes, shown) => {
    const socket = await rawClient()
    socket.write(Buffer.concat([hello, frameOf(7, Buffer.from('good')), bytes, frameOf(8, Buffer.from('bad'))]))
    await once(socket, 'close')
    const [server] = servers as [Recorder]
    expect((await server.untilClosed())?.code).toBe('protocol_violation')
    expect(server.frames).toEqual([{ kind: 7, body: Buffer.from('good') }])
    expect(log.codes).toEqual(['protocol_violation'])
    expect(log.lines[0]?.message).toContain(shown)
    await expectAlive()
    expect(server.closings).toHaveLength(1)
  })

  it.each([3, 8, 20])('loses its channel with a violation when it ends %d bytes into a frame', async (bytes) => {
    const socket = await rawClient()
    socket.end(Buffer.concat([hello, frameOf(1, Buffer.alloc(50)).subarray(0, bytes)]))
    await once(socket, 'close')
    const [server] = servers as [Recorder]
    expect(await server.untilClosed()).toMatchObject({
      code: 'protocol_violation',
      message: expect.stringContaining(`${bytes} bytes into a frame`),
    })
    expect(server.frames).toEqual([])
    await expectAlive()
  })

  it('is a lost connection when it vanishes between two frames', async () => {
    const socket = await rawClient()
    socket.end(Buffer.concat([hello, frameOf(1, Buffer.alloc(50))]))
    await once(socket, 'close')
    const [server] = servers as [Recorder]
    expect((await server.untilClosed())?.code).toBe('connection_lost')
    expect(server.frames).toHaveLength(1)
    expect(log.codes).toEqual([])
  })

  it('loses its channel when it sends beyond the window', async () => {
    await listener.close()
    const small = createNodeIpcTransport({ scheduler: systemScheduler, log }, { windowBytes: 1000 })
    listener = await small.listen(address, (channel) => {
      const server = new Recorder()
      server.onFrame = () => {}
      servers.push(server)
      return server.open(channel)
    })
    const socket = await rawClient()
    socket.write(Buffer.concat([hello, ...Array(20).fill(frameOf(1, Buffer.alloc(92)))]))
    await once(socket, 'close')
    const [server] = servers as [Recorder]
    expect((await server.untilClosed())?.message).toContain('more than the window of 1000 bytes')
    expect(server.frames).toHaveLength(10)
  })

  it('gets frames that were sent one byte at a time', async () => {
    const socket = await rawClient()
    for (const byte of Buffer.concat([hello, frameOf(5, Buffer.from('slow')), frameOf(6, Buffer.alloc(0))])) {
      socket.write(Buffer.of(byte))
      await new Promise(setImmediate)
    }
    while (servers.length === 0) await new Promise(setImmediate)
    const [server] = servers as [Recorder]
    await server.until(() => server.frames.length === 2)
    expect(server.frames.map(({ kind }) => kind)).toEqual([5, 6])
  })

  it('is noticed by the side that connects as well', async () => {
    const elsewhere = join(directory, 'http')
    const server = createServer((socket) => {
      sockets.push(socket)
      socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')
    })
    await new Promise<void>((resolve) => server.listen(elsewhere, resolve))
    const client = new Recorder()
    transport.connect(elsewhere, client.open)
    client.live.send(1, Buffer.from('secret'))
    expect((await client.untilClosed())?.code).toBe('protocol_violation')
    expect(client.told).toEqual(['open', 'closed'])
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })

  it('is lost when it ends its side, although it reads nothing of what waits for it', async () => {
    const socket = connect({ path: address, allowHalfOpen: true })
    sockets.push(socket)
    socket.write(hello)
    socket.pause()
    while (servers.length === 0) await new Promise(setImmediate)
    const [server] = servers as [Recorder]
    for (let i = 0; i < 20; i++) server.live.send(1, Buffer.alloc(90_000))
    server.live.flush()
    socket.end()
    expect((await server.untilClosed())?.code).toBe('connection_lost')
  })

  it('is cut off and logged when it is one connection too many', async () => {
    await listener.close()
    const narrow = createNodeIpcTransport({ scheduler: systemScheduler, log }, { connectionsMax: 2 })
    listener = await narrow.listen(address, (channel) => new Recorder().open(channel))
    const clients = [new Recorder(), new Recorder(), new Recorder()]
    for (const client of clients.slice(0, 2)) {
      transport.connect(address, client.open)
      await client.until(() => client.told.includes('opened'))
    }
    const last = clients[2] as Recorder
    transport.connect(address, last.open)
    expect((await last.untilClosed())?.code).toBe('connection_lost')
    expect(log.lines).toMatchObject([{ level: 'warn', fields: { connectionsMax: 2 } }])
    expect(clients.map(({ closings }) => closings.length)).toEqual([0, 0, 1])
  })

  it('cannot keep a closed channel alive by reading nothing and never ending', async () => {
    const socket = connect(address, () => socket.write(hello))
    sockets.push(socket)
    while (servers.length === 0) await new Promise(setImmediate)
    socket.pause()
    const [server] = servers as [Recorder]
    for (let i = 0; i < 40; i++) server.live.send(1, Buffer.alloc(90_000))
    await listener.close()
    expect(server.closings).toEqual([null])
  })
})
