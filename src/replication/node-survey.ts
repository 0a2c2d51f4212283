import type { Channel, ChannelHandlers, Transport } from '../ipc/channel.ts'
import type { Scheduler } from '../kernel/environment.ts'
import { decodeMessage, encodeMessage } from './message-codec.ts'
import type { NodeRecord } from './node-record.ts'
import { connectionEnd, noAnswer } from './silence-text.ts'

/** What a node that is there said. */
export interface SurveyedNode {
  /** As who leads says it; null from others, and while that one cannot be sure. */
  readonly committed: number | null
}

/** By the ids of nodes. */
export interface SurveyedNodes {
  readonly up: ReadonlyMap<string, SurveyedNode>
  /** Why there was no answer. */
  readonly errors: ReadonlyMap<string, string>
}

export interface NodeSurveyWorld {
  readonly transport: Transport
  readonly scheduler: Scheduler
}

/** Which nodes are there, whatever their keys say: where nobody looks after the metadata store, keys outlive their leases. */
export async function surveyNodes(
  world: NodeSurveyWorld,
  nodes: readonly NodeRecord[],
  stream: string,
  timeoutMs: number,
): Promise<SurveyedNodes> {
  const up = new Map<string, SurveyedNode>()
  const errors = new Map<string, string>()
  const answers = nodes.map(async (node) => ({ id: node.id, said: await ask(world, node, stream, timeoutMs) }))
  for (const { id, said } of await Promise.all(answers))
    if (typeof said === 'string') errors.set(id, said)
    else up.set(id, said)
  return { up, errors }
}

/** A text: why it did not answer. */
function ask(
  { transport, scheduler }: NodeSurveyWorld,
  { address }: NodeRecord,
  stream: string,
  timeoutMs: number,
): Promise<SurveyedNode | string> {
  return new Promise((resolve) => {
    let isThere = false
    let channel: Channel | null = null
    const timer = scheduler.after(timeoutMs, () => end(isThere ? { committed: null } : noAnswer(address, timeoutMs)))
    const end = (said: SurveyedNode | string): void => {
      timer.cancel()
      resolve(said)
      channel?.close()
    }
    transport.connect(address, (opened): ChannelHandlers => {
      channel = opened
      return {
        opened: () => {
          isThere = true
          const { kind, body } = encodeMessage({ kind: 'tail', id: 1, stream })
          opened.send(kind, ...body)
        },
        frame: (kind, body) => {
          const answer = decodeMessage(kind, body)
          opened.release(body.length)
          end({ committed: answer.kind === 'tailIs' ? answer.lsn : null })
        },
        // One that does not accept us says so when it has greeted.
        closed: (error) => end(isThere && error === null ? { committed: null } : connectionEnd(address, error)),
      }
    })
  })
}
