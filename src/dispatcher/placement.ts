import { aggregateTypeOf } from '../actions/aggregate-key.ts'
import type { NumberMap } from '../kernel/number-map.ts'
import { ownerOf } from '../state/applications.ts'
import type { PendingCommand } from '../state/commands.ts'
import type { RootState } from '../state/root.ts'

/**
 * The instance that a command is to be started on; null where nobody hosts its aggregate. Sticky: where the aggregate has
 * commands under way they stay together, and with its workflow's code; otherwise the owner of its partition.
 *
 * @param scheduled by command, where it is about to be started
 */
export function instanceFor(
  { activations, applications }: RootState,
  scheduled: NumberMap<string>,
  { queue, lsn: at }: PendingCommand,
): string | null {
  const active = activations.byKey.get(queue.key)?.instance
  if (active !== undefined && applications.byInstance.has(active)) return active
  for (const other of queue.commands) {
    if (other.lsn === at) continue
    const instance = other.token === 0 ? scheduled.get(other.lsn) : other.instance
    // One that has gone since voids its drafts: to follow them there would make one void draft after the other.
    if (instance !== undefined && applications.byInstance.has(instance)) return instance
  }
  return ownerOf(applications, aggregateTypeOf(queue.key), queue.hash)?.instance ?? null
}
