import type { Channel, Transport } from '../ipc/channel.ts'
import type { Environment } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { GatewayAddresses } from './gateway-addresses.ts'
import { Liveness } from './liveness.ts'

export interface GatewayConnectionOptions {
  readonly environment: Environment
  readonly transport: Transport
  /** Of the gateways of one database, at least one: another one is tried when one does not answer. */
  readonly addresses: readonly string[]
  /** A connection is there: everything without an answer is to be sent again. */
  readonly opened: (channel: Channel) => void
  readonly frame: (channel: Channel, kind: number, body: Buffer) => void
  readonly writable: (channel: Channel) => void
  /** What was under way is unknown. The error that nobody listens comes once that is so everywhere. */
  readonly lost: (error: CommanderError | null) => void
}

const reconnectDelayMs = 50

/** The one connection of a client: made again when it is lost, to the next gateway where there are several. */
export class GatewayConnection {
  readonly #o: GatewayConnectionOptions
  readonly #addresses: GatewayAddresses
  readonly #liveness: Liveness
  #channel: Channel | null = null
  #isOpen = false
  #isClosed = false
  #error: CommanderError | null = null

  constructor(options: GatewayConnectionOptions) {
    this.#o = options
    this.#addresses = new GatewayAddresses(options.addresses)
    this.#liveness = new Liveness(this.#nowMs)
  }

  /** While it is up. */
  get channel(): Channel | null {
    return this.#isOpen ? this.#channel : null
  }

  /** There is more than one that may be asked. */
  get isSeveral(): boolean {
    return this.#addresses.isSeveral
  }

  /** Why there is none at the moment, where that is known. */
  get trouble(): CommanderError | null {
    return this.#isOpen ? null : this.#error
  }

  connect(): void {
    if (this.#isClosed) return
    this.#o.transport.connect(this.#addresses.current, (channel) => {
      this.#channel = channel
      return {
        opened: () => this.#opened(channel),
        frame: (kind, body) => {
          this.#liveness.heard(this.#nowMs)
          this.#o.frame(channel, kind, body)
        },
        writable: () => {
          if (channel === this.channel) this.#o.writable(channel)
        },
        closed: (error) => this.#lost(channel, error),
      }
    })
  }

  /**
   * To the gateway that was said to be the right one.
   * @returns false: that one is asked already
   */
  goTo(address: string): boolean {
    if (!this.#addresses.goTo(address)) return false
    const channel = this.#channel
    this.#channel = null
    this.#isOpen = false
    channel?.close()
    this.#o.lost(null)
    this.connect()
    return true
  }

  /**
   * A gateway that stands still, or whose host has gone without a word, is left for another one.
   * @returns true: ask it whether it is there
   */
  look(isAnyoneWaiting: boolean): boolean {
    const { channel } = this
    if (channel === null || !this.#addresses.isSeveral) return false
    const life = this.#liveness.check(this.#nowMs, isAnyoneWaiting)
    if (life === 'gone') {
      const error = new CommanderError('connection_lost', `nothing is heard from ${this.#addresses.current}`)
      this.#lost(channel, error)
      channel.close()
    }
    return life === 'ask'
  }

  close(): void {
    this.#isClosed = true
    this.#channel?.close()
  }

  get #nowMs(): number {
    return this.#o.environment.clock.monotonicMs()
  }

  #opened(channel: Channel): void {
    this.#isOpen = true
    this.#error = null
    this.#addresses.answered()
    this.#liveness.heard(this.#nowMs)
    this.#o.opened(channel)
  }

  #lost(channel: Channel, error: CommanderError | null): void {
    if (this.#channel !== channel) return
    this.#channel = null
    this.#isOpen = false
    this.#error = error
    if (this.#isClosed) return
    this.#o.lost(this.#addresses.lost(error))
    this.#o.environment.scheduler.after(reconnectDelayMs, () => {
      if (this.#channel === null) this.connect()
    })
  }
}
