import { type GroupView, memberOf } from './group-view.ts'
import type { Wish } from './leader-state.ts'
import type { ServerId } from './messages.ts'
import { type Candidate, chooseGroup } from './placement.ts'
import type { RegisteredServer } from './registered-server.ts'
import { openSegmentOf, type SealedSegment } from './stream-meta.ts'

/**
 * What a leader does by itself about a server that is to leave the cluster, so that no segment names it any more.
 *
 * | the server is in the group of | done |
 * |---|---|
 * | the open segment | another one is begun, with a server that is up in its place |
 * | a sealed segment | that is copied to another server, which then stands in its place |
 *
 * @param wishes that wait already
 * @returns null where there is nothing to do, or nobody to take the place
 */
export function careWish(view: GroupView, wishes: readonly Wish[]): Wish | null {
  const leaving = [...view.servers.values()].filter(({ state }) => state === 'leaving').map(({ id }) => id)
  if (leaving.length === 0) return null
  const names = ({ group }: { readonly group: readonly ServerId[] }): boolean =>
    group.some((id) => leaving.includes(id))
  const open = openSegmentOf(view.meta)
  if (open !== null && names(open)) {
    const group = replaced(open.group, open.policy.replicas, view)
    return group === null ? null : { kind: 'roll', group, policy: open.policy }
  }
  const isWished = (segmentEpoch: number): boolean =>
    wishes.some((wish) => wish.kind === 'regroup' && wish.segmentEpoch === segmentEpoch)
  // One after the other: each is a copy of a whole segment.
  if (wishes.some(({ kind }) => kind === 'regroup')) return null
  const segment = view.meta.segments.find(
    (one): one is SealedSegment => one.state === 'sealed' && names(one) && !isWished(one.epoch),
  )
  if (segment === undefined) return null
  // As many as before; or, where there are not so many any more, as many as keep the open one.
  const least = Math.min(segment.group.length, open?.policy.replicas ?? segment.group.length)
  for (let size = segment.group.length; size >= least; size--) {
    const group = replaced(segment.group, size, view)
    if (group !== null) return { kind: 'regroup', segmentEpoch: segment.epoch, group }
  }
  return null
}

/** Everybody that is there and stays, up or not, and others that are up in the place of those that leave. */
function replaced(
  present: readonly ServerId[],
  size: number,
  view: GroupView,
): Extract<Wish, { kind: 'roll' }>['group'] | null {
  const { servers, isConnected, mayShareDevice } = view
  const candidates = [...servers.values()].map(
    (server): Candidate => ({
      ...server,
      isAlive: server.state === 'active' && (isConnected(server.id) || present.includes(server.id)),
      segments: 0,
      bytes: 0,
    }),
  )
  const ids = chooseGroup(candidates, size, present, mayShareDevice)
  return ids?.map((id) => memberOf(servers.get(id) as RegisteredServer)) ?? null
}
