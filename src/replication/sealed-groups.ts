import type { Environment } from '../kernel/environment.ts'
import { type CommanderError, isCommanderError } from '../kernel/errors.ts'
import type { Epoch } from '../kernel/identifiers.ts'
import type { ClusterRegistry } from './cluster-registry.ts'
import { memberOf } from './group-view.ts'
import type { LeaderShell } from './leader-shell.ts'
import type { Member, ServerId } from './messages.ts'

export interface SealedGroupsOptions {
  readonly environment: Environment
  readonly registry: ClusterRegistry
  readonly isConnected: (server: ServerId) => boolean
  readonly leader: LeaderShell
}

const pauseMs = 500

/**
 * C2 for sealed segments, of which a repair or a move has named further servers. Nothing waits for it, since what is there is committed;
 * but a copy that is nobody's any more is made again elsewhere.
 */
export class SealedGroups {
  readonly #o: SealedGroupsOptions

  constructor(options: SealedGroupsOptions) {
    this.#o = options
  }

  /** @param members - those that were not in the group before */
  named(segmentEpoch: Epoch, members: readonly Member[]): void {
    if (members.length > 0) void this.#confirm(segmentEpoch, members)
  }

  async #confirm(segmentEpoch: Epoch, members: readonly Member[]): Promise<void> {
    const { registry, environment, leader } = this.#o
    while (leader.failed === null) {
      try {
        await registry.confirmGroup(members)
        return
      } catch (error) {
        if (!isCommanderError(error)) throw error
        const { stream } = leader.meta
        environment.log.warn(
          { stream, segmentEpoch, error: error.message },
          'a server of a sealed segment is not confirmed',
        )
        if (await this.#replaced(segmentEpoch, error)) return
      }
      await new Promise<void>((resolve) => environment.scheduler.after(pauseMs, resolve))
    }
  }

  /** @returns false: not yet */
  async #replaced(segmentEpoch: Epoch, error: CommanderError): Promise<boolean> {
    if (error.code !== 'unknown_identity') return false
    const { registry, isConnected, leader } = this.#o
    const { id: refused } = error.details as { readonly id: ServerId }
    const servers = await registry.servers().catch(() => [])
    const segment = leader.meta.segments.find(({ epoch, state }) => epoch === segmentEpoch && state === 'sealed')
    // Trimmed by now.
    if (segment === undefined || leader.failed !== null) return true
    const { replicas } = segment.policy
    const kept = servers.filter(
      ({ id }) => id !== refused && segment.group.includes(id) && this.#isWhole(segmentEpoch, id),
    )
    const spares = servers.filter(
      ({ id, state }) => state === 'active' && !segment.group.includes(id) && isConnected(id),
    )
    const group = [...kept, ...spares.slice(0, Math.max(1, replicas - kept.length))]
    // Of the others nobody knows when they come back, and what is wished for waits until all have all.
    if (spares.length === 0 || group.length < replicas) return false
    // It is told when that is recorded, and asks about the new one.
    leader.wish({ kind: 'regroup', segmentEpoch, group: group.map(memberOf) })
    return true
  }

  /** A segment of which nobody lacked anything is not looked at any more. */
  #isWhole(segmentEpoch: Epoch, server: ServerId): boolean {
    const track = this.#o.leader.state.sealed.find((one) => one.segmentEpoch === segmentEpoch)
    const progress = track?.members.get(server)
    if (track === undefined || progress === undefined) return track === undefined
    return progress.isFinished && progress.damagedFrom === null && progress.flushed >= (track.end?.tail ?? 0)
  }
}
