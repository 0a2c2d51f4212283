import { describe, expect, it } from 'vitest'
import type { Channel, ChannelHandlers, Transport } from '../../../src/ipc/channel.ts'
import { createMemoryTransport, type MemoryTransportOptions } from '../../../src/ipc/memory-transport.ts'
import { ManualScheduler } from './manual-scheduler.ts'
import { RecordingLog } from './recording-log.ts'

class Side implements ChannelHandlers {
  readonly frames: { readonly kind: number; readonly body: Buffer }[] = []
  readonly closings: string[] = []
  channel: Channel | null = null

  readonly open = (channel: Channel): ChannelHandlers => {
    this.channel = channel
    return this
  }

  get live(): Channel {
    if (this.channel === null) throw new Error('no channel yet')
    return this.channel
  }

  frame(kind: number, body: Buffer): void {
    this.frames.push({ kind, body })
    this.channel?.release(body.length)
  }

  closed(error: { readonly code: string } | null): void {
    this.closings.push(error?.code ?? 'null')
  }
}

const setUp = (options: MemoryTransportOptions = {}) => {
  const scheduler = new ManualScheduler()
  const environment = { scheduler, log: new RecordingLog() }
  const network = createMemoryTransport(environment, options)
  const servers: Side[] = []
  const listen = (address: string, transport: Transport = network) =>
    transport.listen(address, (channel) => {
      const server = new Side()
      servers.push(server)
      return server.open(channel)
    })
  const connect = (address: string, transport: Transport = network): Side => {
    const client = new Side()
    transport.connect(address, client.open)
    return client
  }
  return { scheduler, environment, network, servers, listen, connect }
}

describe('the memory transport', () => {
  it('hands over the sender’s bytes themselves, or copies when it is told to', async () => {
    for (const copyBytes of [false, true]) {
      const { scheduler, servers, listen, connect } = setUp({ copyBytes })
      await listen('a')
      const client = connect('a')
      const body = Buffer.alloc(4096, 1)
      client.live.send(1, body)
      scheduler.settle()
      expect(servers[0]?.frames[0]?.body.buffer === body.buffer).toBe(!copyBytes)
      expect(servers[0]?.frames[0]?.body.equals(body)).toBe(true)
    }
  })

  it('delivers in order after the delays that it is given, in virtual time', async () => {
    let delayMs = 0
    const { scheduler, servers, listen, connect } = setUp({ delayMs: () => delayMs })
    await listen('a')
    const client = connect('a')
    scheduler.settle()
    for (const [kind, ms] of [
      [1, 30],
      [2, 10],
      [3, 20],
    ] as const) {
      delayMs = ms
      client.live.send(kind)
      client.live.flush()
    }
    const arrivals: [number, number][] = []
    for (let ms = 0; ms < 40; ms += 10) {
      scheduler.advance(10)
      for (const { kind } of servers[0]?.frames.splice(0) ?? []) arrivals.push([scheduler.nowMs, kind])
    }
    expect(arrivals).toEqual([
      [10, 1],
      [20, 2],
      [30, 3],
    ])
  })

  it('severs one connection: both sides lose it, what is under way is gone, others go on', async () => {
    const { scheduler, network, servers, listen, connect } = setUp()
    await listen('a')
    const [first, second] = [connect('a'), connect('a')]
    scheduler.settle()
    first.live.send(1)
    first.live.flush()
    network.sever(first.live)
    second.live.send(2)
    scheduler.settle()
    expect(first.closings).toEqual(['connection_lost'])
    expect(servers.map(({ closings }) => closings)).toEqual([['connection_lost'], []])
    expect(servers.map(({ frames }) => frames.map(({ kind }) => kind))).toEqual([[], [2]])
  })

  it('severs from the side that accepted as well', async () => {
    const { scheduler, network, servers, listen, connect } = setUp()
    await listen('a')
    const client = connect('a')
    scheduler.settle()
    network.sever((servers[0] as Side).live)
    scheduler.settle()
    expect([client.closings, servers[0]?.closings]).toEqual([['connection_lost'], ['connection_lost']])
  })

  it('severs all connections of an address and keeps its listener', async () => {
    const { scheduler, network, servers, listen, connect } = setUp()
    await listen('a')
    await listen('b')
    const clients = [connect('a'), connect('a'), connect('b')]
    scheduler.settle()
    network.severAll('a')
    scheduler.settle()
    expect(clients.map(({ closings }) => closings.length)).toEqual([1, 1, 0])
    const again = connect('a')
    again.live.send(9)
    scheduler.settle()
    expect(servers.at(-1)?.frames).toHaveLength(1)
  })

  it('kills one endpoint: its peers get what it wrote and lose it, its handlers hear nothing, its addresses are free', async () => {
    const { scheduler, environment, network, servers, listen, connect } = setUp()
    const [killed, other] = [network.endpoint(environment), network.endpoint(environment)]
    await listen('a', killed)
    await listen('other', other)
    const client = connect('a', other)
    const outgoing = connect('other', killed)
    scheduler.settle()
    const [accepted, otherServer] = servers as [Side, Side]
    accepted.live.send(1, Buffer.from('written'))
    accepted.live.flush()
    accepted.live.send(2, Buffer.from('queued only'))
    client.live.send(3)
    client.live.flush()
    killed.crash()
    scheduler.settle()
    expect(client.frames.map(({ kind }) => kind)).toEqual([1])
    expect(client.closings).toEqual(['connection_lost'])
    expect(otherServer.closings).toEqual(['connection_lost'])
    expect([accepted.frames, accepted.closings, outgoing.closings]).toEqual([[], [], []])
    await listen('a', other)
    expect(connect('a', other).closings).toEqual([])
  })

  it('leaves no connection behind in any of these ways', async () => {
    const { scheduler, servers, listen, connect } = setUp()
    const listener = await listen('a')
    const client = connect('a')
    scheduler.settle()
    client.live.close()
    scheduler.settle()
    expect(servers[0]?.closings).toEqual(['null'])
    const closing = listener.close()
    scheduler.settle()
    await closing
    expect(client.closings).toEqual(['null'])
  })
})
