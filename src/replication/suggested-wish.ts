import { isCommanderError } from '../kernel/errors.ts'
import { type GroupView, memberOf } from './group-view.ts'
import type { Wish } from './leader-state.ts'
import type { Suggestion } from './master-state.ts'
import type { ServerId } from './messages.ts'
import type { RegisteredServer } from './registered-server.ts'
import type { ReplicationPolicy } from './replication-policy.ts'
import { checkGroup, satisfiableGroup } from './satisfiable-group.ts'
import { openSegmentOf } from './stream-meta.ts'

/** What comes of a suggestion: something to do, nothing, or why it is not done. */
export type Suggested =
  | { readonly kind: 'wish'; readonly wish: Wish }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'refused'; readonly why: string }

const nothing: Suggested = { kind: 'nothing' }

/** What the node `me`, which leads, does by a suggestion. It is asked again whenever anything changes, and then says the same. */
export function suggestedWish(suggestion: Suggestion, me: string, view: GroupView): Suggested {
  const { meta } = view
  if (suggestion.epoch !== meta.epoch) return nothing
  if (suggestion.leader !== null && suggestion.leader !== me) return { kind: 'wish', wish: { kind: 'resign' } }
  const open = openSegmentOf(meta)
  if (open === null) return nothing
  const policy = suggestion.policy ?? open.policy
  const isOther = suggestion.group !== null && !isSameGroup(suggestion.group, open.group)
  if (!isOther && !suggestion.seal && isSamePolicy(policy, open.policy)) return nothing
  return rollTo(suggestion.group, policy, open.group, view)
}

function rollTo(
  wanted: readonly ServerId[] | null,
  policy: ReplicationPolicy,
  present: readonly ServerId[],
  view: GroupView,
): Suggested {
  try {
    const group = wanted === null ? chosenGroup(policy, present, view) : namedGroup(wanted, policy, view)
    if (typeof group === 'string') return { kind: 'refused', why: group }
    const connected = group.filter(({ id }) => view.isConnected(id))
    if (connected.length < policy.ackQuorum) return { kind: 'refused', why: tooFew(group, connected, policy) }
    return { kind: 'wish', wish: { kind: 'roll', group: group.map(memberOf), policy } }
  } catch (error) {
    if (!isCommanderError(error)) throw error
    return { kind: 'refused', why: error.message }
  }
}

/** Who is in it stays, as far as it is up. */
function chosenGroup(
  policy: ReplicationPolicy,
  present: readonly ServerId[],
  view: GroupView,
): readonly RegisteredServer[] {
  const { servers, isConnected, mayShareDevice } = view
  const connected = [...servers.values()].filter(({ id }) => isConnected(id))
  return satisfiableGroup(connected, { policy, present, mayShareDevice })
}

function namedGroup(
  ids: readonly ServerId[],
  policy: ReplicationPolicy,
  { servers, mayShareDevice }: GroupView,
): readonly RegisteredServer[] | string {
  const known = ids.map((id) => servers.get(id))
  const unknown = ids.filter((_, index) => known[index]?.state !== 'active')
  if (unknown.length > 0) return `${unknown.join(', ')}: not registered, or leaving`
  const group = known as RegisteredServer[]
  checkGroup(group, { policy, mayShareDevice })
  if (group.length !== policy.replicas) return `${ids.length} servers for ${policy.replicas} replicas`
  return group
}

const tooFew = (
  group: readonly RegisteredServer[],
  connected: readonly RegisteredServer[],
  { ackQuorum }: ReplicationPolicy,
): string =>
  `of ${group.map(({ id }) => id).join(', ')} only ${connected.length} can be reached, and ${ackQuorum} must acknowledge`

export const isSameGroup = (a: readonly ServerId[], b: readonly ServerId[]): boolean =>
  a.length === b.length && a.every((id) => b.includes(id))

export const isSamePolicy = (a: ReplicationPolicy, b: ReplicationPolicy): boolean =>
  a.replicas === b.replicas && a.ackQuorum === b.ackQuorum && a.topology === b.topology
