import { CommanderError } from '../kernel/errors.ts'
import type { ClusterFacts } from './cluster-facts.ts'
import type { ServerId } from './messages.ts'
import { checkPolicy, type ReplicationPolicy, type Topology } from './replication-policy.ts'
import { checkGroup, satisfiableGroup } from './satisfiable-group.ts'
import type { OpenSegment, Placement } from './stream-meta.ts'

/** What is to be another; the rest stays. */
export interface WantedChange {
  readonly group?: readonly ServerId[]
  readonly replicas?: number
  readonly ackQuorum?: number
  readonly topology?: Topology
}

/**
 * On whom the next segment is to be opened. A group that is named is taken as it is; otherwise who is in it and up stays.
 *
 * @param up those that have answered
 * @throws CommanderError `invalid_config`: no such policy; `not_found`: a server that is not registered; `policy_unsatisfiable`
 */
export function wantedPlacement(
  change: WantedChange,
  { group: present, policy: former }: OpenSegment,
  facts: Pick<ClusterFacts, 'servers' | 'nodes'>,
  up: ReadonlySet<ServerId>,
): Placement {
  const { group } = change
  const policy = checkPolicy({
    replicas: change.replicas ?? former.replicas,
    ackQuorum: change.ackQuorum ?? former.ackQuorum,
    topology: change.topology ?? former.topology,
  })
  const mayShareDevice = facts.nodes.some((node) => node.mayShareDevice)
  if (group !== undefined) return { group: checkedGroup(group, policy, facts, up, mayShareDevice), policy }
  const candidates = facts.servers.filter(({ id }) => up.has(id))
  return { group: satisfiableGroup(candidates, { policy, present, mayShareDevice }).map(({ id }) => id), policy }
}

function checkedGroup(
  group: readonly ServerId[],
  policy: ReplicationPolicy,
  { servers }: Pick<ClusterFacts, 'servers'>,
  up: ReadonlySet<ServerId>,
  mayShareDevice: boolean,
): readonly ServerId[] {
  const chosen = group.map((id) => {
    const server = servers.find((one) => one.id === id)
    if (server !== undefined) return server
    const known = servers.map((one) => one.id).join(', ')
    throw new CommanderError('not_found', `no journal server ${id} is registered; those that are: ${known}`)
  })
  if (new Set(group).size !== group.length) throw unsatisfiable(`the group ${group.join(',')} names a server twice`)
  if (group.length !== policy.replicas) throw otherSize(group.length, policy.replicas)
  const leaving = chosen.filter(({ state }) => state === 'leaving').map(({ id }) => id)
  if (leaving.length > 0) throw unsatisfiable(`${leaving.join(', ')} is leaving the cluster`)
  const silent = group.filter((id) => !up.has(id))
  if (silent.length > 0) throw unsatisfiable(`${silent.join(', ')} does not answer`)
  checkGroup(chosen, { policy, mayShareDevice })
  return group
}

/** Fewer replicas are less safe: nobody gets them by naming a group alone. */
const otherSize = (size: number, replicas: number): CommanderError => {
  const advice = `name ${replicas} servers, or say --replicas ${size} as well; nothing was changed`
  const message = `the group has ${size} ${size === 1 ? 'server' : 'servers'}, and the policy wants ${replicas} replicas: ${advice}`
  return new CommanderError('policy_unsatisfiable', message, { retryable: false })
}

const unsatisfiable = (what: string): CommanderError =>
  new CommanderError('policy_unsatisfiable', `${what}: name others; nothing was changed`, { retryable: false })
