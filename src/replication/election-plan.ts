import { type GroupView, memberOf } from './group-view.ts'
import { chooseGroup } from './placement.ts'
import type { RecoveryPlan } from './recovery-state.ts'
import type { RegisteredServer } from './registered-server.ts'
import type { ReplicationPolicy } from './replication-policy.ts'
import { satisfiableGroup } from './satisfiable-group.ts'
import { openSegmentOf, type StreamMeta } from './stream-meta.ts'

/**
 * On whom a node opens the next segment, when it leads.
 * @param configured how the first segment is kept. Then the record says it, which an operator may have changed
 * @throws CommanderError `policy_unsatisfiable`
 */
export function electionPlan(
  meta: StreamMeta | null,
  configured: ReplicationPolicy,
  { servers, isConnected, mayShareDevice }: Omit<GroupView, 'meta'>,
): Omit<RecoveryPlan, 'members'> {
  const open = meta === null ? null : openSegmentOf(meta)
  const policy = open?.policy ?? configured
  const present = open?.group ?? []
  const active = [...servers.values()].filter(({ state }) => state === 'active')
  const candidates = active.map((server) => ({ ...server, isAlive: isConnected(server.id), segments: 0, bytes: 0 }))
  const alive = candidates.filter(({ isAlive }) => isAlive).map(({ id }) => id)
  const preferred = [...present.filter((id) => alive.includes(id)), ...alive]
  const spares = active.filter(({ id }) => !present.includes(id)).map(memberOf)
  // With some of them down the group is still whole: those that are up are enough, or nobody leads.
  const ids = chooseGroup(candidates, policy.replicas, present, mayShareDevice)
  const chosen =
    ids?.map((id) => servers.get(id) as RegisteredServer) ??
    satisfiableGroup(active, { policy, present: preferred, mayShareDevice })
  return { group: chosen.map(memberOf), policy, spares }
}
