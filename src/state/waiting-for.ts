import { aggregateTypeOf } from '../actions/aggregate-key.ts'
import { ownerOf } from './applications.ts'
import type { PendingCommand } from './commands.ts'
import { shortageOf } from './queues.ts'
import type { RootState } from './root-state.ts'

/**
 * Why a pending command is not started, for people; null: it is.
 * @param nowMs wall time
 */
export function waitingFor(state: RootState, command: PendingCommand, nowMs: number): string | null {
  const { queue, before, place, retryAtMs, attempts } = command
  if (command.token !== 0) return null
  if (queue.blockedBy !== 0) return `command ${queue.blockedBy}, which is parked and blocks ${queue.key}`
  if (before !== null && before.token === 0) return `command ${before.lsn}, which is before it on ${queue.key}`
  if (retryAtMs !== 0) return `${attempts === 0 ? 'delayed' : 'tried again, but not'} until ${timeOf(retryAtMs)}`
  const type = aggregateTypeOf(queue.key)
  const owner = ownerOf(state.applications, type, queue.hash)
  if (owner === undefined) return `no instance hosts ${type}`
  if (place !== null && attempts === 0) {
    const { queues, applications } = state
    const shortage = shortageOf(queues, applications.queues, place, Math.max(nowMs, queues.latestMs))
    const lane = `queue ${place.name}${place.partition === '' ? '' : ` of ${JSON.stringify(place.partition)}`}`
    if (shortage?.what === 'slots') return `${lane}: ${shortage.taken} of ${shortage.of} slots taken`
    if (shortage?.what === 'rate') return `${lane}: rate limit, next at ${timeOf(shortage.nextMs)}`
  }
  return `its turn on ${owner.instance}`
}

/** The start of a workflow that waits its turn, or for a while: nothing else that comes to one does. */
export const pendingStartOf = ({ commands }: RootState, key: string): PendingCommand | undefined =>
  commands.byAggregate
    .get(key)
    ?.commands.find(({ place, retryAtMs, attempts }) => place !== null || (retryAtMs !== 0 && attempts === 0))

const timeOf = (wallMs: number): string => new Date(wallMs).toISOString()
