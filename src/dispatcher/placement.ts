import { aggregateTypeOf } from '../actions/aggregate-key.ts'
import { type Lsn, noLsn } from '../kernel/identifiers.ts'
import type { NumberMap } from '../kernel/number-map.ts'
import { ownerOf } from '../state/applications.ts'
import type { AggregateQueue, PendingCommand } from '../state/commands.ts'
import type { RootState } from '../state/root.ts'

/** Where the other desk has something of an aggregate under way, also in a draft that has not come back; undefined for nowhere. */
export type PlaceOf = (key: string) => string | undefined

/**
 * The instance that a command is to be started on; null where nobody hosts its aggregate. Sticky: where the aggregate has
 * commands under way they stay together, and with its workflow's code; otherwise the owner of its partition.
 *
 * @param scheduled by command, where it is about to be started
 * @param resuming where its workflow is about to go on
 */
export function instanceFor(
  state: RootState,
  scheduled: NumberMap<string>,
  resuming: PlaceOf,
  { queue, lsn: at }: PendingCommand,
): string | null {
  const { activations, applications } = state
  const { key, hash } = queue
  for (const instance of [activations.byKey.get(key)?.instance, resuming(key)])
    if (instance !== undefined && applications.byInstance.has(instance)) return instance
  return (
    placeOfCommands(state, scheduled, queue, at) ?? ownerOf(applications, aggregateTypeOf(key), hash)?.instance ?? null
  )
}

/** Where commands of an aggregate are under way or about to be started, but for one of them. */
export function placeOfCommands(
  { applications }: RootState,
  scheduled: NumberMap<string>,
  { commands }: AggregateQueue,
  except: Lsn = noLsn,
): string | undefined {
  for (const { lsn: at, token, instance: started } of commands) {
    if (at === except) continue
    const instance = token === 0 ? scheduled.get(at) : started
    // One that has gone since voids its drafts: to follow them there would make one void draft after the other.
    if (instance !== undefined && applications.byInstance.has(instance)) return instance
  }
  return undefined
}
