import { CommanderError } from '../kernel/errors.ts'
import type { ServerId } from './messages.ts'
import { chooseGroup } from './placement.ts'
import type { RegisteredServer } from './registered-server.ts'
import { checkPolicy, type ReplicationPolicy } from './replication-policy.ts'

export interface GroupWish {
  readonly policy: ReplicationPolicy
  /** Who is in it by now, and stays where possible. */
  readonly present?: readonly ServerId[]
  /** Development: members may share a device. */
  readonly mayShareDevice: boolean
}

/**
 * Members for a segment, of the servers that are registered and not leaving. For a first group: who has heard how they are may choose
 * better (the master).
 * @throws CommanderError `policy_unsatisfiable`, which says what is missing; `invalid_config`
 */
export function satisfiableGroup(servers: readonly RegisteredServer[], wish: GroupWish): readonly RegisteredServer[] {
  const { replicas } = checkPolicy(wish.policy)
  const active = servers.filter(({ state }) => state === 'active')
  const candidates = active.map((server) => ({ ...server, isAlive: true, segments: 0, bytes: 0 }))
  const ids = chooseGroup(candidates, replicas, wish.present ?? [], wish.mayShareDevice)
  if (ids === null) throw unsatisfiable(active, replicas, wish.mayShareDevice)
  return ids.map((id) => active.find((server) => server.id === id) as RegisteredServer)
}

/**
 * Whether a group that somebody names keeps what the policy promises.
 * @throws CommanderError `policy_unsatisfiable`
 */
export function checkGroup(group: readonly RegisteredServer[], wish: Omit<GroupWish, 'present'>): void {
  const { replicas } = checkPolicy(wish.policy)
  const ids = new Set(group.map(({ id }) => id))
  const isShared = !wish.mayShareDevice && sharedDevices(group).length > 0
  if (ids.size < replicas || isShared) throw unsatisfiable(group, replicas, wish.mayShareDevice)
}

function unsatisfiable(
  servers: readonly RegisteredServer[],
  replicas: number,
  mayShareDevice: boolean,
): CommanderError {
  const shared = mayShareDevice ? [] : sharedDevices(servers)
  const texts = shared.map(({ host, device, ids }) => `${ids.join(', ')} share the device ${device} of ${host}`)
  const because = texts.length === 0 ? '' : `; of those ${texts.join(', and ')}, and are lost together`
  const advice =
    texts.length === 0 ? '' : ', put them on devices of their own, or accept that for development (--replication-dev)'
  const message = `the policy wants ${replicas} journal servers, ${servers.length} can be had${because}: start more${advice}`
  return new CommanderError('policy_unsatisfiable', message, { details: { replicas, servers: servers.length, shared } })
}

interface SharedDevice {
  readonly host: string
  readonly device: string
  readonly ids: readonly ServerId[]
}

/** Where more than one of these lies. */
export function sharedDevices(servers: readonly RegisteredServer[]): readonly SharedDevice[] {
  const places = Map.groupBy(servers, ({ host, device }) => JSON.stringify([host, device]))
  return [...places.values()]
    .filter(({ length }) => length > 1)
    .map((sharing) => {
      const { host, device } = sharing[0] as RegisteredServer
      return { host, device, ids: sharing.map(({ id }) => id) }
    })
}
