import type { Channel, ChannelHandlers, Listener, Transport } from '../ipc/channel.ts'
import { ForwardingChannel } from './forwarding-channel.ts'

/** Is shown a frame before it leaves. @returns false when it is not to leave: its sender is dead */
export type Tap = (kind: number, body: readonly Buffer[]) => boolean

/** A transport whose outgoing frames are shown to somebody. */
export class TappedTransport implements Transport {
  readonly #inner: Transport
  readonly #tap: Tap

  constructor(inner: Transport, tap: Tap) {
    this.#inner = inner
    this.#tap = tap
  }

  listen(address: string, accept: (channel: Channel) => ChannelHandlers): Promise<Listener> {
    return this.#inner.listen(address, accept)
  }

  connect(address: string, open: (channel: Channel) => ChannelHandlers): void {
    this.#inner.connect(address, (channel) => open(new TappedChannel(channel, this.#tap)))
  }
}

class TappedChannel extends ForwardingChannel {
  readonly #tap: Tap

  constructor(inner: Channel, tap: Tap) {
    super(inner)
    this.#tap = tap
  }

  override send(kind: number, ...body: Buffer[]): void {
    if (this.#tap(kind, body)) super.send(kind, ...body)
  }
}
