import { assert } from '../kernel/assert.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { Channel, ChannelHandlers, Listener, Transport } from './channel.ts'
import { Link, type LinkBounds, type LinkEnvironment } from './link.ts'
import { MemoryPipe, type PipeAcceptor, type PipeNetwork } from './memory-pipe.ts'

export interface MemoryTransportOptions extends LinkBounds {
  /** How long each gathered write and each connection is under way; the order is kept. Default: until the next turn. */
  readonly delayMs?: () => number
  /**
   * Hand over copies, so that a sender that changes a buffer after sending it does not reach the receiver, as with
   * sockets, and a receiver that changes one does not reach the others of a fan-out. Default: false, nothing is copied.
   */
  readonly copyBytes?: boolean
}

/** One process of a simulation: its own environment, and it can be killed alone. */
export interface MemoryEndpoint extends Transport {
  /**
   * As kill -9: what was written still arrives, then the peers see `connection_lost`; addresses are free at once; no
   * handler of this endpoint is called any more.
   */
  crash(): void
}

/** The in-process twin of the socket transport: same framing, same credit, any string as an address. */
export interface MemoryTransport extends MemoryEndpoint {
  endpoint(environment: LinkEnvironment): MemoryEndpoint
  /** Cuts the connection of this channel: what is under way is lost and both sides get `connection_lost`. */
  sever(channel: Channel): void
  /** Cuts every connection that was accepted at this address. The listener stays. */
  severAll(address: string): void
}

/** @param environment its scheduler carries the bytes, and it is the environment of the transport's own channels. */
export function createMemoryTransport(
  environment: LinkEnvironment,
  options: MemoryTransportOptions = {},
): MemoryTransport {
  const network = new MemoryNetwork(environment, options)
  const own = new Endpoint(network, environment)
  return {
    listen: (address, accept) => own.listen(address, accept),
    connect: (address, open) => own.connect(address, open),
    crash: () => own.crash(),
    endpoint: (other) => new Endpoint(network, other),
    sever: (channel) => network.sever((pipe) => pipe.link === channel),
    severAll: (address) => network.sever((pipe) => pipe.acceptor?.address === address),
  }
}

class MemoryNetwork implements PipeNetwork {
  readonly options: MemoryTransportOptions
  readonly listeners = new Map<string, MemoryListener>()
  readonly pipes = new Set<MemoryPipe>()
  readonly #environment: LinkEnvironment

  constructor(environment: LinkEnvironment, options: MemoryTransportOptions) {
    this.#environment = environment
    this.options = options
  }

  get copyBytes(): boolean {
    return this.options.copyBytes ?? false
  }

  later(run: () => void): void {
    const delayMs = this.options.delayMs?.() ?? 0
    if (delayMs > 0) this.#environment.scheduler.after(delayMs, run)
    else this.#environment.scheduler.soon(run)
  }

  sever(matches: (pipe: MemoryPipe) => boolean): void {
    for (const pipe of [...this.pipes].filter(matches)) pipe.cut()
  }
}

class Endpoint implements MemoryEndpoint {
  readonly #network: MemoryNetwork
  readonly #environment: LinkEnvironment
  readonly #listeners = new Set<MemoryListener>()
  #crashed = false

  constructor(network: MemoryNetwork, environment: LinkEnvironment) {
    this.#network = network
    this.#environment = environment
  }

  async listen(address: string, accept: (channel: Channel) => ChannelHandlers): Promise<Listener> {
    assert(!this.#crashed, 'this endpoint has crashed')
    if (this.#network.listeners.has(address))
      throw new CommanderError('database_locked', `somebody listens at ${address} already; stop it first`)
    const listener = new MemoryListener(this.#network, this, address, accept)
    this.#network.listeners.set(address, listener)
    this.#listeners.add(listener)
    return listener
  }

  connect(address: string, open: (channel: Channel) => ChannelHandlers): void {
    assert(!this.#crashed, 'this endpoint has crashed')
    const near = new MemoryPipe(this.#network, this, null)
    const link = this.#link(near, address, open, 'connects')
    this.#network.later(() => {
      if (this.#crashed || near.isOver) return
      const listener = this.#network.listeners.get(address)
      if (listener === undefined) {
        near.isOver = true
        link.ended(new CommanderError('no_database', `nobody listens at ${address}`))
        return
      }
      const far = new MemoryPipe(this.#network, listener.endpoint, listener)
      near.join(far)
      const accepted = listener.endpoint.#link(far, `a client of ${address}`, listener.accept, 'accepts')
      link.connected()
      accepted.connected()
    })
  }

  crash(): void {
    this.#crashed = true
    for (const listener of this.#listeners) listener.forget()
    for (const pipe of [...this.#network.pipes]) if (pipe.owner === this) pipe.abandon()
  }

  #link(
    pipe: MemoryPipe,
    peer: string,
    open: (channel: Channel) => ChannelHandlers,
    role: 'connects' | 'accepts',
  ): Link {
    const { options } = this.#network
    const link = new Link({ peer, pipe, environment: this.#environment, bounds: options, open, role })
    pipe.link = link
    return link
  }
}

class MemoryListener implements Listener, PipeAcceptor {
  readonly address: string
  readonly endpoint: Endpoint
  readonly accept: (channel: Channel) => ChannelHandlers
  readonly #network: MemoryNetwork
  readonly #pipes = new Set<MemoryPipe>()
  readonly #closed = Promise.withResolvers<void>()
  #closing = false

  constructor(
    network: MemoryNetwork,
    endpoint: Endpoint,
    address: string,
    accept: (channel: Channel) => ChannelHandlers,
  ) {
    this.#network = network
    this.endpoint = endpoint
    this.address = address
    this.accept = accept
  }

  close(): Promise<void> {
    this.forget()
    this.#closing = true
    for (const pipe of this.#pipes) pipe.link?.close()
    this.#settle()
    return this.#closed.promise
  }

  forget(): void {
    if (this.#network.listeners.get(this.address) === this) this.#network.listeners.delete(this.address)
  }

  began(pipe: MemoryPipe): void {
    this.#pipes.add(pipe)
  }

  over(pipe: MemoryPipe): void {
    this.#pipes.delete(pipe)
    this.#settle()
  }

  #settle(): void {
    if (this.#closing && this.#pipes.size === 0) this.#closed.resolve()
  }
}
