import { createHash } from 'node:crypto'
import type { Channel } from '../ipc/channel.ts'
import type { Environment } from '../kernel/environment.ts'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import { decodeSeed, encodeSeed, type SeedRequest, type SeedSource, seedFrames } from './seed-protocol.ts'

export interface SeedServerOptions {
  readonly environment: Pick<Environment, 'scheduler' | 'log'>
  readonly stream: string
  /** In hexadecimal. */
  readonly journalId: string
  /** Copies the store as of one transaction, while it goes on being written. */
  readonly copy: () => Promise<SeedSource>
}

/** While the copy is made, whoever waits for it is told so this often. */
const waitsMs = 1000

/** Whom one node sends. */
interface Receiver {
  readonly channel: Channel
  isGone: boolean
  wake: () => void
}

/** Gives other nodes the store of this one, to one of them at a time. */
export class SeedServer {
  readonly #o: SeedServerOptions
  #receiver: Receiver | null = null

  constructor(options: SeedServerOptions) {
    this.#o = options
  }

  frame(channel: Channel, kind: number, body: Buffer): void {
    if (kind !== seedFrames.request) throw new CommanderError('protocol_violation', `a node is not told frame ${kind}`)
    const request = decodeSeed<SeedRequest>(body, { stream: 'string', journalId: 'string' })
    const reason = this.#refusal(request)
    if (reason === null) void this.#serve(channel)
    else refuse(channel, reason)
  }

  writable(channel: Channel): void {
    if (this.#receiver?.channel === channel) this.#receiver.wake()
  }

  closed(channel: Channel): void {
    if (this.#receiver?.channel !== channel) return
    this.#receiver.isGone = true
    this.#receiver.wake()
  }

  #refusal({ stream, journalId }: SeedRequest): string | null {
    const { stream: own, journalId: ownId } = this.#o
    if (stream !== own || journalId !== ownId) return `this node is of the database ${ownId}`
    return this.#receiver === null ? null : 'this node gives its store to another one now'
  }

  async #serve(channel: Channel): Promise<void> {
    const { log, scheduler } = this.#o.environment
    const receiver: Receiver = { channel, isGone: false, wake: () => {} }
    this.#receiver = receiver
    const tellWaits = (): void => {
      channel.send(seedFrames.waits, Buffer.alloc(0))
      timer = scheduler.after(waitsMs, tellWaits)
    }
    let timer = scheduler.after(waitsMs, tellWaits)
    let source: SeedSource | null = null
    try {
      source = await this.#o.copy()
      timer.cancel()
      log.info({ peer: channel.peer, bytes: source.bytes }, 'another node takes the store of this one')
      await this.#send(receiver, source)
    } catch (error) {
      log.warn({ peer: channel.peer, error: messageOf(error) }, 'the store could not be given to another node')
      refuse(channel, messageOf(error))
    } finally {
      timer.cancel()
      await source?.remove().catch(() => {})
      this.#receiver = null
    }
  }

  async #send(receiver: Receiver, { bytes, chunks }: SeedSource): Promise<void> {
    const { channel } = receiver
    channel.send(seedFrames.begins, encodeSeed({ bytes }))
    const sha = createHash('sha256')
    for await (const chunk of chunks) {
      while (!channel.writable && !receiver.isGone)
        await new Promise<void>((resolve) => {
          receiver.wake = resolve
        })
      if (receiver.isGone) return
      sha.update(chunk)
      channel.send(seedFrames.bytes, chunk)
    }
    channel.send(seedFrames.ends, encodeSeed({ bytes, sha256: sha.digest('hex') }))
  }
}

const refuse = (channel: Channel, message: string): void =>
  channel.send(seedFrames.refused, encodeSeed({ message: message.slice(0, 1000) }))
