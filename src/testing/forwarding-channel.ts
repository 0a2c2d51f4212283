import type { Channel } from '../ipc/channel.ts'
import type { CommanderError } from '../kernel/errors.ts'

/** A channel that does what another one does: for those that do one thing otherwise. */
export class ForwardingChannel implements Channel {
  protected readonly inner: Channel

  constructor(inner: Channel) {
    this.inner = inner
  }

  get id(): number {
    return this.inner.id
  }

  get peer(): string {
    return this.inner.peer
  }

  get outstandingBytes(): number {
    return this.inner.outstandingBytes
  }

  get writable(): boolean {
    return this.inner.writable
  }

  send(kind: number, ...body: Buffer[]): void {
    this.inner.send(kind, ...body)
  }

  flush(): void {
    this.inner.flush()
  }

  release(bytes: number): void {
    this.inner.release(bytes)
  }

  close(error?: CommanderError): void {
    this.inner.close(error)
  }
}
