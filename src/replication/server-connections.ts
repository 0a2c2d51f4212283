import type { Channel, ChannelHandlers, Transport } from '../ipc/channel.ts'
import type { Environment } from '../kernel/environment.ts'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import { decodeMessage, encodeMessage, type ReplicationMessage } from './message-codec.ts'
import type { Member, ReportIsAnswer, ReportRequest, ServerAnswer, ServerId, ServerRequest } from './messages.ts'

export interface ServerConnectionsOptions {
  readonly environment: Environment
  readonly transport: Transport
  /** The answer's batches are views into what was received: copy what is kept. */
  readonly answered: (answer: ServerAnswer, from: Member) => void
  readonly reported?: (report: ReportIsAnswer, from: Member) => void
  /** A connection is there: what was sent before may be lost. */
  readonly connected?: (member: Member) => void
  readonly disconnected?: (member: Member, error: CommanderError | null) => void
  /** A connection takes bytes again. */
  readonly writable?: (member: Member) => void
}

const firstDelayMs = 20
const longestDelayMs = 1000

/**
 * Connections of one process to journal servers, one each, made again with a delay that doubles up to a second. A request to a
 * server that is not connected, or takes nothing for now, is lost, as any message may be: who needs its answer asks again.
 */
export class ServerConnections {
  readonly #o: ServerConnectionsOptions
  readonly #servers = new Map<ServerId, Connection>()
  #stopped = false

  constructor(options: ServerConnectionsOptions) {
    this.#o = options
  }

  /** From now on there are connections to these, and to no others. */
  setMembers(members: readonly Member[]): void {
    const wanted = new Map(members.map((member) => [member.id, member]))
    for (const [id, connection] of this.#servers) {
      const member = wanted.get(id)
      if (member !== undefined && isSame(member, connection.member)) continue
      this.#servers.delete(id)
      connection.stop()
    }
    for (const [id, member] of wanted) {
      if (this.#servers.has(id) || this.#stopped) continue
      const connection = new Connection(this.#o, member)
      this.#servers.set(id, connection)
      connection.connect()
    }
  }

  /** @returns false: it was not sent */
  send(server: ServerId, request: ServerRequest | ReportRequest): boolean {
    return this.#servers.get(server)?.send(request) ?? false
  }

  isConnected(server: ServerId): boolean {
    return this.#servers.get(server)?.isConnected ?? false
  }

  isWritable(server: ServerId): boolean {
    return this.#servers.get(server)?.isWritable ?? false
  }

  flush(): void {
    for (const connection of this.#servers.values()) connection.flush()
  }

  stop(): void {
    this.#stopped = true
    for (const connection of this.#servers.values()) connection.stop()
    this.#servers.clear()
  }
}

/** @throws CommanderError `protocol_violation` for what no server says */
function answerOf(message: ReplicationMessage): ServerAnswer | ReportIsAnswer {
  if ('server' in message) return message
  throw new CommanderError(
    'protocol_violation',
    `a journal server said "${message.kind}", which is none of its answers`,
  )
}

const isSame = (a: Member, b: Member): boolean => a.address === b.address && a.identity === b.identity

class Connection {
  readonly member: Member
  readonly #o: ServerConnectionsOptions
  #channel: Channel | null = null
  #isOpen = false
  #delayMs = firstDelayMs
  /** Whoever listens there is a journal server. */
  #hasAnswered = false
  /** Why the last one ended. */
  #reason: string | null = null
  #stopped = false

  constructor(options: ServerConnectionsOptions, member: Member) {
    this.#o = options
    this.member = member
  }

  get isConnected(): boolean {
    return this.#isOpen
  }

  get isWritable(): boolean {
    return this.#isOpen && this.#channel?.writable === true
  }

  connect(): void {
    if (this.#stopped) return
    this.#o.transport.connect(this.member.address, (channel) => this.#handlers(channel))
  }

  send(request: ServerRequest | ReportRequest): boolean {
    if (this.#channel === null || !this.isWritable) return false
    const { kind, body } = encodeMessage(request)
    this.#channel.send(kind, ...body)
    return true
  }

  flush(): void {
    this.#channel?.flush()
  }

  stop(): void {
    this.#stopped = true
    this.#isOpen = false
    this.#channel?.close()
    this.#channel = null
  }

  #handlers(channel: Channel): ChannelHandlers {
    this.#channel = channel
    return {
      opened: () => {
        if (this.#channel !== channel) return
        this.#isOpen = true
        this.#hasAnswered = false
        this.#o.connected?.(this.member)
      },
      frame: (kind, body) => {
        if (this.#channel === channel) this.#take(answerOf(decodeMessage(kind, body)))
        channel.release(body.length)
      },
      writable: () => {
        if (this.#channel === channel) this.#o.writable?.(this.member)
      },
      closed: (error) => {
        if (this.#channel === channel) this.#closed(error)
      },
    }
  }

  #take(answer: ServerAnswer | ReportIsAnswer): void {
    this.#hasAnswered = true
    this.#delayMs = firstDelayMs
    if (answer.kind === 'reportIs') this.#o.reported?.(answer, this.member)
    else this.#o.answered(answer, this.member)
  }

  #closed(error: CommanderError | null): void {
    const { environment } = this.#o
    const was = this.#isOpen && this.#hasAnswered
    this.#channel = null
    this.#isOpen = false
    if (this.#stopped) return
    const { id } = this.member
    const reason = error === null ? null : messageOf(error)
    if (was) environment.log.warn({ server: id, error: reason }, `lost journal server ${id}`)
    // Tried again and again: it is said once.
    else if (reason !== this.#reason)
      environment.log.warn({ server: id, error: reason }, `no connection to journal server ${id}`)
    this.#reason = reason
    this.#o.disconnected?.(this.member, error)
    environment.scheduler.after(this.#delayMs, () => this.connect())
    this.#delayMs = Math.min(this.#delayMs * 2, longestDelayMs)
  }
}
