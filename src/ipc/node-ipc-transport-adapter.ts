/// <reference path="./node-ipc.d.ts" />
import type { Socket } from 'node:net'
import { dirname } from 'node:path'
import { IPCModule, type Server } from 'node-ipc'
import { CommanderError, isCommanderError, messageOf } from '../kernel/errors.ts'
import type { Channel, ChannelHandlers, Listener, Transport } from './channel.ts'
import { Link, type LinkBounds, type LinkEnvironment } from './link.ts'
import { assertPrivate, locateSocket, prepareSocketDirectory, removeStaleSocket } from './socket-file-adapter.ts'
import { followSocket, SocketPipe } from './socket-pipe.ts'

export interface NodeIpcBounds extends LinkBounds {
  /** Connections that one listener holds at a time; further ones are logged and cut. Default 4096. */
  readonly connectionsMax?: number
}

const connectionsMaxDefault = 4096

/** Channels over Unix sockets in directories of this user only. Addresses are paths of any length. */
export function createNodeIpcTransport(environment: LinkEnvironment, bounds: NodeIpcBounds = {}): Transport {
  return {
    listen: (address, accept) => listen(environment, bounds, address, accept),
    connect: (address, open) => connect(environment, bounds, address, open),
  }
}

/** Raw: Buffers pass through untouched. No retries: whether to connect again is for the callers to decide. */
function configured(path: string, connectionsMax: number): IPCModule {
  const ipc = new IPCModule()
  const { config } = ipc
  config.socketRoot = dirname(path)
  config.secureSocketRoot = true
  config.appspace = ''
  config.parser = 'raw'
  config.sync = false
  config.silent = true
  config.unlink = false
  config.maxConnections = connectionsMax
  config.maxRetries = 0
  config.stopRetrying = true
  return ipc
}

async function listen(
  environment: LinkEnvironment,
  bounds: NodeIpcBounds,
  address: string,
  accept: (channel: Channel) => ChannelHandlers,
): Promise<Listener> {
  const path = locateSocket(address)
  prepareSocketDirectory(path)
  await removeStaleSocket(path, address)
  const connectionsMax = bounds.connectionsMax ?? connectionsMaxDefault
  const ipc = configured(path, connectionsMax)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  ipc.serve(path, resolve)
  const links = new Map<Socket, Link>()
  ipc.server.on('connect', (socket) => {
    const pipe = new SocketPipe(socket)
    const peer = `a client of ${address}`
    const link = new Link({ peer, pipe, environment, bounds, open: accept, role: 'accepts' })
    links.set(socket, link)
    followSocket(socket, link, connectionError, () => links.delete(socket))
    link.connected()
  })
  ipc.server.on('data', (data, socket) => links.get(socket)?.receive(data))
  ipc.server.start()
  const { server } = ipc.server
  server.on('error', (cause) => {
    environment.log.warn({ address, err: cause }, `the listener at ${address} failed: ${cause.message}`)
    reject(listenError(address, cause))
  })
  server.on('drop', () => {
    environment.log.warn({ address, connectionsMax }, `${address} has ${connectionsMax} connections; one more was cut`)
  })
  await promise
  let closed: Promise<void> | null = null
  return {
    address,
    close: () => {
      closed ??= stop(ipc.server, links)
      return closed
    },
  }
}

function listenError(address: string, cause: NodeJS.ErrnoException): CommanderError {
  return cause.code === 'EADDRINUSE'
    ? new CommanderError('database_locked', `somebody listens at ${address} already; stop it first`, { cause })
    : new CommanderError('invalid_config', `cannot listen at ${address}: ${cause.message}`, { cause })
}

function stop(server: Server, links: ReadonlyMap<Socket, Link>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  server.server.close(() => {
    server.stop()
    resolve()
  })
  for (const link of links.values()) link.close()
  return promise
}

function connect(
  environment: LinkEnvironment,
  bounds: LinkBounds,
  address: string,
  open: (channel: Channel) => ChannelHandlers,
): void {
  const pipe = new SocketPipe(null)
  const link = new Link({ peer: address, pipe, environment, bounds, open, role: 'connects' })
  try {
    const path = locateSocket(address)
    assertPrivate(dirname(path))
    const ipc = configured(path, 0)
    ipc.connectTo('peer', path)
    const client = ipc.of['peer']
    if (client === undefined) throw new CommanderError('internal', `node-ipc made no client for ${path}`)
    pipe.socket = client.socket
    client.on('connect', () => link.connected())
    client.on('data', (data) => link.receive(data))
    followSocket(client.socket, link, connectionError, () => ipc.disconnect('peer'))
  } catch (cause) {
    link.ended(connectionError(address, cause))
  }
}

function connectionError(address: string, cause: unknown): CommanderError {
  if (isCommanderError(cause)) return cause
  const code = (cause as NodeJS.ErrnoException).code
  return code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTSOCK'
    ? new CommanderError('no_database', `nobody listens at ${address} (${code}); start the database first`, { cause })
    : new CommanderError('connection_lost', `the connection to ${address} failed: ${messageOf(cause)}`, { cause })
}
