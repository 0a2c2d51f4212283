import type { Channel, Transport } from '../ipc/channel.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { Epoch, Lsn } from '../kernel/identifiers.ts'
import { decodeMessage, encodeMessage } from './message-codec.ts'

/** What a leader says: everything that was acknowledged before is at or below `lsn`, which is in the segment of that epoch or before it. */
export interface LeaderTail {
  readonly epoch: Epoch
  readonly lsn: Lsn
}

interface Asked {
  resolve(tail: LeaderTail): void
  reject(error: CommanderError): void
}

interface Leader {
  channel: Channel | null
  readonly asked: Map<number, Asked>
}

/** Asks nodes that lead how far a read must go that is to see everything that was acknowledged. One connection to each. */
export class LeaderTails {
  readonly #transport: Transport
  readonly #leaders = new Map<string, Leader>()
  #nextId = 1

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** @throws CommanderError `not_leader`: it does not lead (any more); `connection_lost` and others: it cannot be reached */
  ask(address: string, stream: string): Promise<LeaderTail> {
    const leader = this.#leaders.get(address) ?? this.#connect(address)
    const id = this.#nextId++
    const { kind, body } = encodeMessage({ kind: 'tail', id, stream })
    return new Promise((resolve, reject) => {
      leader.asked.set(id, { resolve, reject })
      leader.channel?.send(kind, ...body)
    })
  }

  close(): void {
    for (const [address, leader] of this.#leaders) {
      leader.channel?.close()
      this.#closed(address, leader, null)
    }
  }

  #connect(address: string): Leader {
    const leader: Leader = { channel: null, asked: new Map() }
    this.#leaders.set(address, leader)
    this.#transport.connect(address, (channel) => {
      leader.channel = channel
      return {
        frame: (kind, body) => {
          this.#answered(leader, kind, body)
          channel.release(body.length)
        },
        closed: (error) => this.#closed(address, leader, error),
      }
    })
    return leader
  }

  #answered({ asked }: Leader, kind: number, body: Buffer): void {
    const answer = decodeMessage(kind, body)
    const asker = asked.get(answer.id)
    asked.delete(answer.id)
    if (answer.kind === 'tailIs') asker?.resolve({ epoch: answer.epoch, lsn: answer.lsn })
    else if (answer.kind === 'notLeader') {
      const { stream, epoch, leader } = answer
      const message = `who was taken for the leader of ${stream} does not lead it`
      asker?.reject(new CommanderError('not_leader', message, { details: { epoch, leader } }))
    } else throw new CommanderError('protocol_violation', `a node that was asked for its tail said "${answer.kind}"`)
  }

  #closed(address: string, leader: Leader, error: CommanderError | null): void {
    if (this.#leaders.get(address) === leader) this.#leaders.delete(address)
    const because = error ?? new CommanderError('connection_lost', `the node at ${address} closed the connection`)
    for (const { reject } of leader.asked.values()) reject(because)
    leader.asked.clear()
  }
}
