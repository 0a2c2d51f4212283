import { assert } from '../kernel/assert.ts'
import type { Environment, Timer } from '../kernel/environment.ts'
import type { CommanderError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import type { BytePipe } from './byte-pipe.ts'
import type { Channel, ChannelHandlers } from './channel.ts'
import { Allowance, Window } from './credit.ts'
import { Deframer } from './deframer.ts'
import {
  frameTooLarge,
  handlerFailed,
  leftWithoutFarewell,
  notGreeted,
  overloaded,
  windowOverrun,
} from './link-errors.ts'
import { SendQueue } from './send-queue.ts'
import {
  decodeCredit,
  decodeGoodbye,
  decodeHello,
  encodeGoodbye,
  encodeHello,
  helloFrameBytesMax,
  kindCredit,
  kindGoodbye,
  kindHello,
  kindUserMax,
  kindUserMin,
  lengthBytesMin,
  violation,
} from './wire-format.ts'

export type LinkEnvironment = Pick<Environment, 'scheduler' | 'log'>

/** Bounds of the channels of a transport; smaller ones than the defaults are for tests. */
export interface LinkBounds {
  /** Unreleased bytes that a peer may have under way to us. Default `limits.ipcCreditBytes`. */
  readonly windowBytes?: number
  /** Default `limits.ipcFrameBytesMax`. */
  readonly frameBytesMax?: number
}

export interface LinkOptions {
  readonly peer: string
  readonly pipe: BytePipe
  readonly environment: LinkEnvironment
  readonly bounds: LinkBounds
  readonly open: (channel: Channel) => ChannelHandlers
  /** The side that connects calls `open` at once, the one that accepts when the peer has greeted. */
  readonly role: 'connects' | 'accepts'
}

type State = 'connecting' | 'greeting' | 'open' | 'closed'

/** A sender that goes on although the channel is not writable is cut off at this many windows. */
const overloadWindows = 4
/** From the connection to the peer's greeting. */
const helloTimeoutMs = 10_000
/** From our farewell to the peer's; then the pipe is destroyed, so that a peer that reads nothing holds nothing. */
const lingerMs = 2000

let channelsMade = 0

/**
 * The one implementation of `Channel`, over any byte pipe: greeting, framing, credit and the end of a connection.
 *
 * I1. Nothing but the greeting is written before the peer's greeting is checked.
 * I2. At most one frame beyond the peer's window is written and unreleased.
 * I3. A peer that sends beyond our window is cut off, so that what our owner holds is bounded.
 * I4. `closed` is called exactly once, in a turn of its own, and nothing is called after it.
 */
export class Link implements Channel {
  readonly id: number
  readonly peer: string
  readonly #pipe: BytePipe
  readonly #environment: LinkEnvironment
  readonly #open: (channel: Channel) => ChannelHandlers
  readonly #frameBytesMax: number
  readonly #deframer: Deframer
  readonly #queue = new SendQueue()
  readonly #allowance: Allowance
  readonly #window: Window
  readonly #flushDue: () => void
  #handlers: ChannelHandlers | null = null
  #state: State = 'connecting'
  #pipeIsUp = false
  #timer: Timer | null = null
  #flushScheduled = false
  #wasFull = false

  constructor(options: LinkOptions) {
    this.id = ++channelsMade
    this.peer = options.peer
    this.#pipe = options.pipe
    this.#environment = options.environment
    this.#open = options.open
    this.#frameBytesMax = options.bounds.frameBytesMax ?? limits.ipcFrameBytesMax
    this.#window = new Window(options.bounds.windowBytes ?? limits.ipcCreditBytes)
    this.#allowance = new Allowance(this.#window.bytes) // until the peer says what its own is
    this.#deframer = new Deframer(helloFrameBytesMax, (kind, body) => this.#frame(kind, body))
    this.#flushDue = () => {
      this.#flushScheduled = false
      this.flush()
    }
    if (options.role === 'connects') this.#handlers = this.#open(this)
  }

  get outstandingBytes(): number {
    return this.#allowance.unreleasedBytes + this.#queue.queuedBytes
  }

  get writable(): boolean {
    return this.#state !== 'closed' && this.outstandingBytes < this.#allowance.windowBytes
  }

  send(kind: number, ...body: Buffer[]): void {
    assert(kind >= kindUserMin && kind <= kindUserMax, 'the frame kind is not in 1..65279')
    if (this.#state === 'closed') return
    let bodyBytes = 0
    for (let i = 0; i < body.length; i++) bodyBytes += (body[i] as Buffer).length
    if (bodyBytes + lengthBytesMin > this.#frameBytesMax) throw frameTooLarge(kind, bodyBytes, this.#frameBytesMax)
    const windowBytes = this.#allowance.windowBytes
    if (this.outstandingBytes > windowBytes * overloadWindows) {
      this.#fail(overloaded(this.peer, this.outstandingBytes, windowBytes))
      return
    }
    this.#queue.push(kind, body, bodyBytes)
    if (this.outstandingBytes >= windowBytes) this.#wasFull = true
    this.#scheduleFlush()
  }

  flush(): void {
    if (this.#state !== 'open') return
    const grantBytes = this.#window.takeGrant()
    const leftBytes = this.#allowance.leftBytes // I2
    if (grantBytes === 0 && (leftBytes <= 0 || this.#queue.isEmpty)) return
    const buffers: Buffer[] = []
    this.#allowance.unreleasedBytes += this.#queue.take(leftBytes, grantBytes, buffers)
    this.#pipe.write(buffers)
  }

  release(bytes: number): void {
    if (this.#state === 'closed') return
    this.#window.release(bytes)
    if (this.#window.grantIsDue) this.#scheduleFlush()
  }

  close(error?: CommanderError): void {
    if (this.#state === 'closed') return
    this.flush()
    this.#finish(error ?? null)
  }

  /** The pipe is up. */
  connected(): void {
    if (this.#state !== 'connecting') return
    this.#state = 'greeting'
    this.#pipeIsUp = true
    const { scheduler } = this.#environment
    this.#timer = scheduler.after(helloTimeoutMs, () => this.#fail(notGreeted(this.peer, helloTimeoutMs)))
    this.#pipe.write([encodeHello(this.#window.bytes)])
  }

  /** A chunk from the pipe. */
  receive(chunk: Buffer): void {
    if (this.#state === 'closed') return
    try {
      const error = this.#deframer.push(chunk)
      if (error !== null) this.#fail(error)
    } catch (cause) {
      this.#fail(handlerFailed(this.peer, cause))
    }
  }

  /** The pipe is over, for this reason or (null) because one side ended it. */
  ended(error: CommanderError | null): void {
    this.#pipeIsUp = false
    this.#timer?.cancel()
    this.#pipe.destroy()
    if (this.#state === 'closed') return
    const cutBytes = this.#deframer.pendingBytes
    if (cutBytes > 0) this.#fail(violation(`${this.peer} ended the connection ${cutBytes} bytes into a frame`))
    else this.#finish(error ?? leftWithoutFarewell(this.peer))
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled || this.#state !== 'open') return
    this.#flushScheduled = true
    this.#environment.scheduler.soon(this.#flushDue)
  }

  #frame(kind: number, body: Buffer): void {
    if (kind < kindUserMin || kind > kindUserMax || this.#state !== 'open') {
      const error = this.#controlFrame(kind, body)
      if (error !== null) this.#fail(error)
      return
    }
    if (!this.#window.admit(body.length)) {
      this.#fail(windowOverrun(this.peer, this.#window.bytes)) // I3
      return
    }
    if (this.#window.grantIsDue) this.#scheduleFlush()
    this.#handlers?.frame(kind, body)
  }

  #controlFrame(kind: number, body: Buffer): CommanderError | null {
    if (this.#state === 'greeting') return this.#greeted(kind, body)
    if (kind === kindCredit) return this.#credited(body)
    if (kind === kindGoodbye) return this.#dismissed(body)
    return violation(`${this.peer} sent a frame of the reserved kind ${kind}`)
  }

  #greeted(kind: number, body: Buffer): CommanderError | null {
    if (kind !== kindHello) return violation(`${this.peer} began with a frame of kind ${kind} instead of a greeting`)
    const windowBytes = decodeHello(body)
    if (typeof windowBytes !== 'number') return windowBytes
    this.#timer?.cancel()
    this.#state = 'open'
    this.#allowance.windowBytes = windowBytes
    this.#deframer.frameBytesMax = this.#frameBytesMax
    this.#handlers ??= this.#open(this)
    if (this.#isClosed()) return null // by its owner, in open
    this.#handlers.opened?.()
    if (!this.#queue.isEmpty) this.#scheduleFlush()
    this.#tellWritable()
    return null
  }

  #credited(body: Buffer): CommanderError | null {
    const bytes = decodeCredit(body)
    if (typeof bytes !== 'number') return bytes
    if (!this.#allowance.grant(bytes))
      return violation(`${this.peer} released ${bytes} bytes and holds ${this.#allowance.unreleasedBytes}`)
    if (!this.#queue.isEmpty) this.#scheduleFlush()
    this.#tellWritable()
    return null
  }

  /** Asked after calling our owner, who may have closed the channel. */
  #isClosed(): boolean {
    return this.#state === 'closed'
  }

  #tellWritable(): void {
    if (!this.#wasFull || !this.writable) return
    this.#wasFull = false
    this.#handlers?.writable?.()
  }

  #dismissed(body: Buffer): CommanderError | null {
    const farewell = decodeGoodbye(body)
    if (farewell instanceof Error) return farewell
    this.#finish(farewell.reason)
    return null
  }

  #fail(error: CommanderError): void {
    if (this.#state === 'closed') return
    const fields = { channel: this.id, peer: this.peer, code: error.code, err: error }
    const level = error.code === 'internal' ? 'error' : 'warn'
    this.#environment.log[level](fields, `connection closed: ${error.message}`)
    this.#finish(error)
  }

  #finish(error: CommanderError | null): void {
    this.#state = 'closed'
    this.#timer?.cancel()
    this.#deframer.stop()
    this.#queue.clear()
    if (this.#pipeIsUp) {
      this.#pipe.write([encodeGoodbye(error)])
      this.#pipe.end()
      this.#timer = this.#environment.scheduler.after(lingerMs, () => this.#pipe.destroy())
    } else this.#pipe.destroy()
    this.#environment.scheduler.soon(() => this.#tellClosed(error)) // I4
  }

  #tellClosed(error: CommanderError | null): void {
    try {
      this.#handlers?.closed(error)
    } catch (cause) {
      const fields = { channel: this.id, peer: this.peer, err: cause }
      this.#environment.log.error(fields, `the closed handler of the channel to ${this.peer} failed`)
    }
  }
}
