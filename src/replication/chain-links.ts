import type { Channel, ChannelHandlers, Transport } from '../ipc/channel.ts'
import { isTlsAddress, tlsAddressOf } from '../ipc/tls-address.ts'
import type { Environment } from '../kernel/environment.ts'
import { asCommanderError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import { decodeMessage, encodeMessage } from './message-codec.ts'
import type { AppendRequest, Member, ServerAnswer } from './messages.ts'

interface Link {
  channel: Channel | null
  /** Monotonic; after a failure nobody is asked again before. */
  retryAtMs: number
}

const retryDelayMs = 500

/** The next servers of chains. Nothing is kept for one that is not there: whoever leads notices, and sends it himself. */
export class ChainLinks {
  private readonly links = new Map<string, Link>()
  private readonly transport: Transport
  private readonly environment: Environment
  private readonly answered: (answer: ServerAnswer) => void
  private isClosed = false

  constructor(transport: Transport, environment: Environment, answered: (answer: ServerAnswer) => void) {
    this.transport = transport
    this.environment = environment
    this.answered = answered
  }

  send(to: Member, request: AppendRequest): void {
    // a certificate names its server, so nobody else takes its place
    const address = isTlsAddress(to.address) ? tlsAddressOf(to.id, to.address) : to.address
    const channel = this.channelTo(address)
    if (channel === null || !channel.writable) return
    const { kind, body } = encodeMessage(request)
    channel.send(kind, ...body)
  }

  close(): void {
    this.isClosed = true
    for (const { channel } of this.links.values()) channel?.close()
  }

  private channelTo(address: string): Channel | null {
    const known = this.links.get(address)
    if (known?.channel != null) return known.channel
    const nowMs = this.environment.clock.monotonicMs()
    if (this.isClosed || (known?.retryAtMs ?? 0) > nowMs) return null
    if (known === undefined && this.links.size >= limits.forwardingMax && !this.forgetOne(nowMs)) return null
    const link: Link = { channel: null, retryAtMs: 0 }
    this.links.set(address, link)
    this.transport.connect(address, (channel) => {
      link.channel = channel
      return this.handlers(link, channel)
    })
    return link.channel
  }

  private handlers(link: Link, channel: Channel): ChannelHandlers {
    return {
      frame: (kind, body) => {
        try {
          this.answered(decodeMessage(kind, body) as ServerAnswer)
        } catch (error) {
          channel.close(asCommanderError(error))
        }
        channel.release(body.length)
      },
      closed: (error) => {
        link.channel = null
        link.retryAtMs = this.environment.clock.monotonicMs() + retryDelayMs
        const { log } = this.environment
        if (error !== null) log.warn({ code: error.code, peer: channel.peer }, `a chain is broken: ${error.message}`)
      },
    }
  }

  private forgetOne(nowMs: number): boolean {
    for (const [address, { channel, retryAtMs }] of this.links)
      if (channel === null && retryAtMs <= nowMs) return this.links.delete(address)
    return false
  }
}
