import type { Channel, ChannelHandlers, Transport } from '../ipc/channel.ts'
import type { Scheduler } from '../kernel/environment.ts'
import { decodeMessage, encodeMessage } from './message-codec.ts'
import type { NodeRecord } from './node-record.ts'

/** What a node that is there said. */
export interface SurveyedNode {
  /** As who leads says it; null from others, and while that one cannot be sure. */
  readonly committed: number | null
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
): Promise<ReadonlyMap<string, SurveyedNode>> {
  const said = await Promise.all(nodes.map((node) => ask(world, node, stream, timeoutMs)))
  return new Map(nodes.flatMap(({ id }, index) => (said[index] == null ? [] : [[id, said[index]] as const])))
}

/** null: no connection. */
function ask(
  { transport, scheduler }: NodeSurveyWorld,
  { address }: NodeRecord,
  stream: string,
  timeoutMs: number,
): Promise<SurveyedNode | null> {
  return new Promise((resolve) => {
    let isThere = false
    let channel: Channel | null = null
    const timer = scheduler.after(timeoutMs, () => end(null))
    const end = (committed: number | null): void => {
      timer.cancel()
      resolve(isThere ? { committed } : null)
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
          end(answer.kind === 'tailIs' ? answer.lsn : null)
        },
        closed: () => end(null),
      }
    })
  })
}
