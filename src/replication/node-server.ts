import type { Channel, ChannelHandlers } from '../ipc/channel.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { Epoch, Lsn } from '../kernel/identifiers.ts'
import { decodeMessage, encodeMessage, type ReplicationMessage } from './message-codec.ts'
import type { TailRequest } from './messages.ts'
import { isSeedFrame } from './seed-protocol.ts'
import type { SeedServer } from './seed-server.ts'
import type { Peer } from './stream-meta.ts'

/** What leads on a node. */
export interface ConfirmingLeader {
  readonly meta: { readonly epoch: Epoch }
  /** Everything acknowledged before the call is at or below the LSN that it resolves with. */
  confirm(): Promise<Lsn>
}

export interface NodeServerOptions {
  /** Gives the store of this node to others; null where it does not. */
  readonly seeds?: SeedServer | null
  /** null where this node does not lead the stream. */
  readonly leader: (stream: string) => ConfirmingLeader | null
  /** Who leads, as far as this node knows. */
  readonly known: (stream: string) => { readonly epoch: Epoch; readonly leader: Peer | null }
}

/** What a node answers to other nodes: how far they must have applied for a read that sees everything that was acknowledged. */
export class NodeServer {
  readonly #o: NodeServerOptions

  constructor(options: NodeServerOptions) {
    this.#o = options
  }

  readonly accept = (channel: Channel): ChannelHandlers => this.#handlers(channel, this.#o.seeds ?? null)

  #handlers(channel: Channel, seeds: SeedServer | null): ChannelHandlers {
    return {
      frame: (kind, body) => {
        channel.release(body.length)
        if (seeds !== null && isSeedFrame(kind)) {
          seeds.frame(channel, kind, body)
          return
        }
        const request = decodeMessage(kind, body)
        if (request.kind === 'tail') void this.#tail(channel, request)
        else channel.close(notAsked(request.kind))
      },
      writable: () => seeds?.writable(channel),
      closed: () => seeds?.closed(channel),
    }
  }

  async #tail(channel: Channel, { id, stream }: TailRequest): Promise<void> {
    const leader = this.#o.leader(stream)
    if (leader === null) {
      this.#notLeader(channel, id, stream)
      return
    }
    try {
      const lsn = await leader.confirm()
      send(channel, { kind: 'tailIs', id, stream, epoch: leader.meta.epoch, lsn })
    } catch {
      // Deposed, or too many ask: whoever asks looks for the leader again.
      this.#notLeader(channel, id, stream)
    }
  }

  #notLeader(channel: Channel, id: number, stream: string): void {
    const { epoch, leader } = this.#o.known(stream)
    const known = leader === null ? null : { id: leader.id, address: leader.address }
    send(channel, { kind: 'notLeader', id, stream, epoch, leader: known })
  }
}

function send(channel: Channel, message: ReplicationMessage): void {
  const { kind, body } = encodeMessage(message)
  channel.send(kind, ...body)
}

/** Whoever takes a node for a journal server hears what it is. */
const notAsked = (kind: string): CommanderError =>
  new CommanderError('protocol_violation', `this is a node of a database, which is not asked "${kind}"`)
