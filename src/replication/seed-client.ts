import { createHash } from 'node:crypto'
import type { Channel, Transport } from '../ipc/channel.ts'
import type { Scheduler, Timer } from '../kernel/environment.ts'
import { asCommanderError, CommanderError } from '../kernel/errors.ts'
import {
  decodeSeed,
  encodeSeed,
  type SeedBegins,
  type SeedEnds,
  type SeedRefused,
  type SeedRequest,
  type SeedSink,
  seedFrames,
} from './seed-protocol.ts'

export interface SeedWish extends SeedRequest {
  readonly transport: Transport
  readonly scheduler: Scheduler
  /** Of the node that is asked. */
  readonly address: string
  readonly sink: SeedSink
}

/** A node that says nothing for so long is given up. */
const silenceMs = 30_000

/**
 * Takes the store of another node. Resolves once all of it was written and is what was sent.
 * @throws CommanderError `not_ready`: the node refuses, or cannot; `connection_lost`, `no_database`, `timeout`
 */
export function takeSeed(wish: SeedWish): Promise<{ readonly bytes: number }> {
  return new Promise((resolve, reject) => {
    const taking = new Taking(wish, resolve, reject)
    wish.transport.connect(wish.address, (channel) => taking.open(channel))
  })
}

class Taking {
  readonly #wish: SeedWish
  readonly #resolve: (taken: { readonly bytes: number }) => void
  readonly #reject: (error: CommanderError) => void
  readonly #sha = createHash('sha256')
  #channel: Channel | null = null
  #expected = -1
  #bytes = 0
  /** One write after the other: frames come faster than the disk. */
  #writing: Promise<void> = Promise.resolve()
  #timer: Timer | null = null
  #isOver = false

  constructor(
    wish: SeedWish,
    resolve: (taken: { readonly bytes: number }) => void,
    reject: (error: CommanderError) => void,
  ) {
    this.#wish = wish
    this.#resolve = resolve
    this.#reject = reject
  }

  open(channel: Channel): {
    frame(kind: number, body: Buffer): void
    closed(error: CommanderError | null): void
  } {
    this.#channel = channel
    const { stream, journalId } = this.#wish
    channel.send(seedFrames.request, encodeSeed({ stream, journalId }))
    this.#patience()
    return {
      frame: (kind, body) => this.#frame(channel, kind, body),
      closed: (error) => this.#fail(error ?? brokenOff(this.#wish.address)),
    }
  }

  #frame(channel: Channel, kind: number, body: Buffer): void {
    this.#patience()
    if (kind === seedFrames.bytes) {
      this.#write(channel, Buffer.from(body))
      return
    }
    channel.release(body.length)
    if (kind === seedFrames.begins) this.#expected = decodeSeed<SeedBegins>(body, { bytes: 'number' }).bytes
    else if (kind === seedFrames.ends) this.#end(decodeSeed<SeedEnds>(body, { bytes: 'number', sha256: 'string' }))
    else if (kind === seedFrames.refused)
      this.#fail(refused(this.#wish.address, decodeSeed<SeedRefused>(body, { message: 'string' }).message))
    else if (kind !== seedFrames.waits)
      throw new CommanderError('protocol_violation', `a node is not told frame ${kind}`)
  }

  #write(channel: Channel, chunk: Buffer): void {
    this.#bytes += chunk.length
    this.#sha.update(chunk)
    this.#writing = this.#writing.then(async () => {
      if (this.#isOver) return
      await this.#wish.sink.write(chunk)
      channel.release(chunk.length)
    })
    this.#writing.catch((error: unknown) => this.#fail(asCommanderError(error)))
  }

  #end({ bytes, sha256 }: SeedEnds): void {
    const isWhole = bytes === this.#bytes && bytes === this.#expected && sha256 === this.#sha.digest('hex')
    if (!isWhole) this.#fail(brokenOff(this.#wish.address))
    else
      this.#writing.then(
        () => this.#over(() => this.#resolve({ bytes })),
        () => {},
      )
  }

  #patience(): void {
    if (this.#isOver) return
    this.#timer?.cancel()
    this.#timer = this.#wish.scheduler.after(silenceMs, () => this.#fail(silent(this.#wish.address)))
  }

  #fail(error: CommanderError): void {
    this.#over(() => this.#reject(error))
  }

  #over(tell: () => void): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#timer?.cancel()
    this.#channel?.close()
    tell()
  }
}

const brokenOff = (address: string): CommanderError =>
  new CommanderError('connection_lost', `the store of the node at ${address} did not come whole`)

const silent = (address: string): CommanderError =>
  new CommanderError(
    'timeout',
    `the node at ${address} was asked for its store, and has said nothing for ${silenceMs / 1000} seconds`,
  )

const refused = (address: string, message: string): CommanderError =>
  new CommanderError('not_ready', `the node at ${address} does not give its store: ${message}`)
