import { type AddressInfo, createServer } from 'node:net'
import { HttpDatabase } from '../../src/client/http-database.ts'
import { HttpNodes } from '../../src/client/http-nodes.ts'
import type { HttpRequester } from '../../src/client/http-requester.ts'
import { createHttpRequester } from '../../src/client/http-requester-adapter.ts'
import type { Database } from '../../src/client/options.ts'
import { SocketDatabase } from '../../src/client/socket-database.ts'
import { ClientServer, type ClientServerOptions } from '../../src/gateway/client-server.ts'
import type { Channel } from '../../src/ipc/channel.ts'
import { clientFrames } from '../../src/ipc/client-protocol.ts'
import { createMemoryTransport } from '../../src/ipc/memory-transport.ts'
import { CommanderError } from '../../src/kernel/errors.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import type { World } from './http-world.ts'

export interface OpenOptions {
  readonly timeoutMs?: number
  readonly maxInFlight?: number
}

/** One of the two clients, at a database that can be made to lose its connection. */
export interface Twin {
  readonly name: string
  open(world: World): Promise<{
    connect(options?: OpenOptions): Promise<Database>
    /** The command is carried out, and its next answer never arrives. */
    loseAnswer(): void
    /** Cuts the connection behind the next block of events. */
    loseEvents(): void
  }>
  /** Where nobody listens. */
  connectNowhere(): Promise<Database>
}

const environment = createSystemEnvironment()
const address = 'clients'

export const socketTwin: Twin = {
  name: 'over a socket',
  async open({ options }) {
    const transport = createMemoryTransport(environment)
    const { gateway, queries, waiter, streams, workflows, rebuild } = options as unknown as ClientServerOptions
    const server = new ClientServer({ environment, gateway, queries, waiter, streams, workflows, rebuild })
    const losing = new Set<number>()
    await transport.listen(address, (channel) =>
      server.accept(losingChannel(channel, losing, () => transport.sever(channel))),
    )
    return {
      connect: (given = {}) => new SocketDatabase({ environment, transport, addresses: [address], ...given }).open(),
      loseAnswer: () => losing.add(clientFrames.outcome),
      loseEvents: () => losing.add(clientFrames.events),
    }
  },
  connectNowhere: () =>
    new SocketDatabase({ environment, transport: createMemoryTransport(environment), addresses: [address] }).open(),
}

/** As the channel, but that a frame of a kind in `losing` cuts the connection, once: an answer is then lost. */
function losingChannel(channel: Channel, losing: Set<number>, sever: () => void): Channel {
  return {
    id: channel.id,
    peer: channel.peer,
    send(kind, ...body) {
      if (kind === clientFrames.events) channel.send(kind, ...body)
      if (losing.delete(kind)) return sever()
      if (kind !== clientFrames.events) channel.send(kind, ...body)
    },
    flush: () => channel.flush(),
    get outstandingBytes() {
      return channel.outstandingBytes
    },
    get writable() {
      return channel.writable
    },
    release: (bytes) => channel.release(bytes),
    close: (error) => channel.close(error),
  }
}

export const httpTwin: Twin = {
  name: 'over HTTP',
  async open({ url }) {
    const losing = { answer: false, events: false }
    const direct = createHttpRequester(url)
    const requester: HttpRequester = async (request) => {
      const answer = await direct(request)
      if (losing.answer && request.method === 'POST') {
        losing.answer = false
        await answer.text()
        throw lost()
      }
      return { ...answer, chunks: () => cutChunks(answer.chunks(), losing) }
    }
    return {
      connect: (given = {}) =>
        new HttpDatabase({ environment, nodes: new HttpNodes([url], () => requester), ...given }).open(),
      loseAnswer: () => {
        losing.answer = true
      },
      loseEvents: () => {
        losing.events = true
      },
    }
  },
  async connectNowhere() {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    await new Promise((resolve) => server.close(resolve))
    return new HttpDatabase({
      environment,
      nodes: new HttpNodes([`http://127.0.0.1:${port}`], createHttpRequester),
    }).open()
  },
}

async function* cutChunks(chunks: AsyncIterable<Uint8Array>, losing: { events: boolean }): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    yield chunk
    if (!losing.events) continue
    losing.events = false
    throw lost()
  }
}

const lost = (): CommanderError => new CommanderError('connection_lost', 'cut by the test')
