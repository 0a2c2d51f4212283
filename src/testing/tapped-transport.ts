import type { Channel, ChannelHandlers, Listener, Transport } from '../ipc/channel.ts'
import type { CommanderError } from '../kernel/errors.ts'

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

class TappedChannel implements Channel {
  readonly #inner: Channel
  readonly #tap: Tap

  constructor(inner: Channel, tap: Tap) {
    this.#inner = inner
    this.#tap = tap
  }

  get id(): number {
    return this.#inner.id
  }

  get peer(): string {
    return this.#inner.peer
  }

  get outstandingBytes(): number {
    return this.#inner.outstandingBytes
  }

  get writable(): boolean {
    return this.#inner.writable
  }

  send(kind: number, ...body: Buffer[]): void {
    if (this.#tap(kind, body)) this.#inner.send(kind, ...body)
  }

  flush(): void {
    this.#inner.flush()
  }

  release(bytes: number): void {
    this.#inner.release(bytes)
  }

  close(error?: CommanderError): void {
    this.#inner.close(error)
  }
}
