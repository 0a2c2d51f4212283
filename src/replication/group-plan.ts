import { isCommanderError } from '../kernel/errors.ts'
import { type GroupView, memberOf } from './group-view.ts'
import type { ServerId } from './messages.ts'
import { chooseGroup } from './placement.ts'
import type { RecoveryPlan } from './recovery-state.ts'
import type { RegisteredServer } from './registered-server.ts'
import type { ReplicationPolicy } from './replication-policy.ts'
import { satisfiableGroup } from './satisfiable-group.ts'
import { openSegmentOf, type StreamMeta } from './stream-meta.ts'

export type GroupPlan = Omit<RecoveryPlan, 'members'>

/**
 * On which servers the next segment is to lie, and which may help to repair the one before.
 *
 * @param configured how the first segment is kept. Then the record says it, which an operator may have changed
 * @throws CommanderError `policy_unsatisfiable`
 */
export function planGroup(
  { meta, servers, mayShareDevice, isConnected }: GroupView,
  configured: ReplicationPolicy,
): GroupPlan {
  const open = openSegmentOf(meta)
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

/** Of the open segment's group, as they are registered. */
export function membersOfOpen(
  meta: StreamMeta,
  servers: ReadonlyMap<ServerId, RegisteredServer>,
): RecoveryPlan['members'] {
  const group = openSegmentOf(meta)?.group ?? []
  const known = group.flatMap((id) => servers.get(id) ?? [])
  return new Map(known.map((server) => [server.id, memberOf(server)]))
}

/** @returns null where the policy cannot be kept with these; anything else is thrown */
export function groupOrNull(plan: () => GroupPlan, note: (because: string) => void): GroupPlan | null {
  try {
    return plan()
  } catch (error) {
    if (!isCommanderError(error)) throw error
    note(error.message)
    return null
  }
}
