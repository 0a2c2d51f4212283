import type { Channel, ChannelHandlers } from '../../src/ipc/channel.ts'
import type { CommanderError } from '../../src/kernel/errors.ts'

/** Keeps what its channel is told, and waits for it. */
export class Recorder implements ChannelHandlers {
  readonly frames: { readonly kind: number; readonly body: Buffer }[] = []
  readonly told: string[] = []
  readonly closings: (CommanderError | null)[] = []
  channel: Channel | null = null
  /** Called with each frame; by default it is released at once. */
  onFrame: (kind: number, body: Buffer) => void = (_kind, body) => this.channel?.release(body.length)
  #changed: () => void = () => {}

  readonly open = (channel: Channel): ChannelHandlers => {
    this.channel = channel
    this.#note('open')
    return this
  }

  get live(): Channel {
    if (this.channel === null) throw new Error('no channel yet')
    return this.channel
  }

  frame(kind: number, body: Buffer): void {
    this.frames.push({ kind, body })
    this.onFrame(kind, body)
    this.#changed()
  }

  opened(): void {
    this.#note('opened')
  }

  writable(): void {
    this.#note('writable')
  }

  closed(error: CommanderError | null): void {
    this.closings.push(error)
    this.#note('closed')
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition())
      await new Promise<void>((resolve) => {
        this.#changed = resolve
      })
  }

  async untilClosed(): Promise<CommanderError | null> {
    await this.until(() => this.closings.length > 0)
    return this.closings[0] ?? null
  }

  #note(what: string): void {
    this.told.push(what)
    this.#changed()
  }
}
