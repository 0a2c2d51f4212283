import type { Channel, ChannelHandlers, Listener, Transport } from '../ipc/channel.ts'
import type { CommanderError } from '../kernel/errors.ts'
import { ForwardingChannel } from './forwarding-channel.ts'
import type { SimulatedProcess } from './simulated-process.ts'

/** What one process sees of the network: every frame is a step of the process, both ways. */
export class SimulatedTransport implements Transport {
  readonly #process: SimulatedProcess
  readonly #inner: Transport
  readonly #noted: (what: string, bytes: Buffer) => void

  constructor(process: SimulatedProcess, inner: Transport, noted: (what: string, bytes: Buffer) => void) {
    this.#process = process
    this.#inner = inner
    this.#noted = noted
  }

  listen(address: string, accept: (channel: Channel) => ChannelHandlers): Promise<Listener> {
    this.#process.step()
    return this.#inner.listen(address, (inner) => this.#wrap(inner, accept))
  }

  connect(address: string, open: (channel: Channel) => ChannelHandlers): void {
    this.#process.step()
    this.#inner.connect(address, (inner) => this.#wrap(inner, open))
  }

  #wrap(inner: Channel, open: (channel: Channel) => ChannelHandlers): ChannelHandlers {
    const process = this.#process
    const channel = new SteppedChannel(process, inner)
    const handlers = open(channel)
    return {
      frame: (kind, body) => {
        this.#noted(`gets ${kind}`, body)
        process.input(() => {
          if (!channel.isClosed) handlers.frame(kind, body)
        })
      },
      opened: () => process.input(() => handlers.opened?.()),
      writable: () => process.input(() => handlers.writable?.()),
      closed: (error) => process.input(() => handlers.closed(error)),
    }
  }
}

class SteppedChannel extends ForwardingChannel {
  isClosed = false
  readonly #process: SimulatedProcess

  constructor(process: SimulatedProcess, inner: Channel) {
    super(inner)
    this.#process = process
  }

  override send(kind: number, ...body: Buffer[]): void {
    if (this.#process.takeStep()) super.send(kind, ...body)
  }

  override flush(): void {
    // A suspended process has its frames leave at the end of the turn, and that comes when it goes on.
    if (this.#process.takeStep() && !this.#process.isSuspended) super.flush()
  }

  override close(error?: CommanderError): void {
    this.isClosed = true
    super.close(error)
  }
}
