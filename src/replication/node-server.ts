import type { Channel, ChannelHandlers } from '../ipc/channel.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { Epoch } from '../kernel/identifiers.ts'
import type { LeaderShell } from './leader-shell.ts'
import { decodeMessage, encodeMessage, type ReplicationMessage } from './message-codec.ts'
import type { TailRequest } from './messages.ts'
import type { Peer } from './stream-meta.ts'

export interface NodeServerOptions {
  /** null where this node does not lead the stream. */
  readonly leader: (stream: string) => Pick<LeaderShell, 'confirm' | 'meta'> | null
  /** Who leads, as far as this node knows. */
  readonly known: (stream: string) => { readonly epoch: Epoch; readonly leader: Peer | null }
}

/** What a node answers to other nodes: how far they must have applied for a read that sees everything that was acknowledged. */
export class NodeServer {
  readonly #o: NodeServerOptions

  constructor(options: NodeServerOptions) {
    this.#o = options
  }

  readonly accept = (channel: Channel): ChannelHandlers => ({
    frame: (kind, body) => {
      const request = decodeMessage(kind, body)
      channel.release(body.length)
      if (request.kind !== 'tail')
        throw new CommanderError('protocol_violation', `a node is not asked "${request.kind}"`)
      void this.#tail(channel, request)
    },
    closed: () => {},
  })

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
