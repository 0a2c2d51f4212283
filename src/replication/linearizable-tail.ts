import type { Channel, ChannelHandlers, Transport } from '../ipc/channel.ts'
import type { Environment, Timer } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Epoch, type Lsn, lsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import { decodeMessage, encodeMessage, type ReplicationMessage } from './message-codec.ts'
import type { ConfirmingLeader } from './node-server.ts'
import type { Peer } from './stream-meta.ts'

export interface LinearizableTailOptions {
  readonly environment: Environment
  readonly transport: Transport
  readonly stream: string
  readonly me: string
  /** null where this node does not lead. */
  readonly leader: () => ConfirmingLeader | null
  /** Who leads, as far as this node knows. */
  readonly known: () => Peer | null
}

/** What a leader has confirmed. */
export interface ConfirmedTail {
  /** Under which it led when it said so. */
  readonly epoch: Epoch
  readonly lsn: Lsn
}

interface Question {
  readonly id: number
  readonly resolve: (tail: ConfirmedTail) => void
  readonly reject: (error: CommanderError) => void
  readonly untilMs: number
  /** Whom it was put to: the leader of this node, or a connection to another one. Null: it is to be put again. */
  askedOf: ConfirmingLeader | Connection | null
}

interface Connection {
  readonly channel: Channel
  readonly address: string
}

const lookMs = 50
const idMax = 0x7fffffff

/**
 * How far must be applied for a read that sees everything acknowledged before it began: asked of the node that leads, wherever
 * that is, and again when it turns out to be another one.
 *
 * - T1: an answer is of a confirmation that began after the question: ids are not used twice, and whoever answers begins one then.
 * - T2: nothing but such an answer resolves a question. What does not get one within `limits.readConfirmMs` is refused.
 */
export class LinearizableTail {
  readonly #o: LinearizableTailOptions
  readonly #questions = new Map<number, Question>()
  #connection: Connection | null = null
  #nextId = 1
  #timer: Timer | null = null

  constructor(options: LinearizableTailOptions) {
    this.#o = options
  }

  /** @throws CommanderError `not_ready` (nobody is known to lead), `timeout`, `overloaded`: try again */
  ask(): Promise<ConfirmedTail> {
    if (this.#questions.size >= limits.confirmationsMax) return Promise.reject(tooMany())
    return new Promise((resolve, reject) => {
      const id = this.#nextId
      this.#nextId = (id % idMax) + 1
      const untilMs = this.#nowMs + limits.readConfirmMs
      this.#questions.set(id, { id, resolve, reject, untilMs, askedOf: null })
      this.#look()
    })
  }

  stop(): void {
    for (const { reject } of this.#questions.values()) reject(stopped())
    this.#questions.clear()
    this.#leave()
    this.#timer?.cancel()
    this.#timer = null
  }

  get #nowMs(): number {
    return this.#o.environment.clock.monotonicMs()
  }

  /** Refuses what waited for too long, and puts the others to whoever leads now. */
  #look(): void {
    for (const question of this.#questions.values()) {
      if (question.untilMs > this.#nowMs) continue
      this.#questions.delete(question.id) // T2
      question.reject(this.#late())
    }
    this.#timer?.cancel()
    this.#timer = null
    if (this.#questions.size === 0) return
    this.#timer = this.#o.environment.scheduler.after(lookMs, () => this.#look())
    const own = this.#o.leader()
    if (own !== null) for (const question of this.#questions.values()) this.#askOwn(own, question)
    else this.#askOther(this.#other)
  }

  /** A record may still name this node, or the process that was it before. */
  get #other(): Peer | null {
    const leader = this.#o.known()
    return leader?.id === this.#o.me ? null : leader
  }

  #askOwn(leader: ConfirmingLeader, question: Question): void {
    if (question.askedOf === leader) return
    question.askedOf = leader
    leader.confirm().then(
      // Asked for after it: a roll in between leaves it in the segment before.
      (confirmed) => this.#answered(question.id, { epoch: leader.meta.epoch, lsn: confirmed }),
      () => {
        // Deposed, or too many ask: looked at again soon.
        if (question.askedOf === leader) question.askedOf = null
      },
    )
  }

  #askOther(leader: Peer | null): void {
    if (leader === null) return
    if (this.#connection !== null && this.#connection.address !== leader.address) this.#leave()
    const connection = this.#connection ?? this.#connect(leader.address)
    for (const question of this.#questions.values()) {
      if (question.askedOf === connection || !connection.channel.writable) continue
      question.askedOf = connection
      send(connection.channel, { kind: 'tail', id: question.id, stream: this.#o.stream })
    }
  }

  #connect(address: string): Connection {
    let connection: Connection | null = null
    this.#o.transport.connect(address, (channel) => {
      connection = { channel, address }
      return this.#handlersOf(connection)
    })
    this.#connection = connection as unknown as Connection
    return this.#connection
  }

  #handlersOf(connection: Connection): ChannelHandlers {
    return {
      frame: (kind, body) => {
        connection.channel.release(body.length)
        this.#take(connection, decodeMessage(kind, body))
      },
      closed: () => this.#lost(connection),
    }
  }

  #take(connection: Connection, answer: ReplicationMessage): void {
    if (answer.kind === 'tailIs') this.#answered(answer.id, { epoch: answer.epoch, lsn: lsn(answer.lsn) })
    else if (answer.kind === 'notLeader') {
      const question = this.#questions.get(answer.id)
      if (question?.askedOf === connection) question.askedOf = null
    } else connection.channel.close(notAsked(answer.kind))
  }

  #answered(id: number, tail: ConfirmedTail): void {
    const question = this.#questions.get(id)
    this.#questions.delete(id)
    question?.resolve(tail)
  }

  #lost(connection: Connection): void {
    if (this.#connection === connection) this.#connection = null
    for (const question of this.#questions.values()) if (question.askedOf === connection) question.askedOf = null
  }

  #leave(): void {
    const connection = this.#connection
    if (connection === null) return
    this.#lost(connection)
    connection.channel.close()
  }

  #late(): CommanderError {
    const who = this.#o.leader() === null ? this.#other : { id: this.#o.me }
    if (who === null) return nobodyLeads()
    const message =
      `node ${who.id} has not confirmed within ${limits.readConfirmMs} ms that it leads, so what this node has may be stale: ` +
      'try again, or read what is known (consistency known)'
    return new CommanderError('timeout', message, { details: { leader: who.id } })
  }
}

function send(channel: Channel, message: ReplicationMessage): void {
  const { kind, body } = encodeMessage(message)
  channel.send(kind, ...body)
  channel.flush()
}

const nobodyLeads = (): CommanderError =>
  new CommanderError(
    'not_ready',
    `no node is known to lead the journal, and none came to lead within ${limits.readConfirmMs} ms: try again, or read what is known (consistency known)`,
    { retryable: true },
  )

const tooMany = (): CommanderError =>
  new CommanderError('overloaded', `${limits.confirmationsMax} reads wait for a confirmation already; try again later`)

const stopped = (): CommanderError => new CommanderError('not_ready', 'this node stops', { retryable: true })

const notAsked = (kind: string): CommanderError =>
  new CommanderError('protocol_violation', `a node said "${kind}", which is no answer to what it was asked`)
