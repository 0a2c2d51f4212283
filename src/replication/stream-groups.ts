import type { Log } from '../kernel/environment.ts'
import { type GroupPlan, groupOrNull, planGroup } from './group-plan.ts'
import type { GroupView } from './group-view.ts'
import type { ServerId } from './messages.ts'
import type { RegisteredServer } from './registered-server.ts'
import type { ReplicationPolicy } from './replication-policy.ts'
import type { StreamMeta } from './stream-meta.ts'

export interface StreamGroupsOptions {
  readonly log: Log
  /** How the first segment of a stream is kept. */
  readonly policy: ReplicationPolicy
  /** Members of a group may share a device: development only. */
  readonly mayShareDevice: boolean
  readonly isConnected: (server: ServerId) => boolean
  /** As they are known to be registered. */
  readonly registered: () => ReadonlyMap<ServerId, RegisteredServer>
}

/** What a node knows when it decides on which journal servers a segment is to lie. */
export class StreamGroups {
  readonly #o: StreamGroupsOptions
  /** By stream why none can be had, as it was said last: it is asked for again and again. */
  readonly #said = new Map<string, string>()

  constructor(options: StreamGroupsOptions) {
    this.#o = options
  }

  get registered(): ReadonlyMap<ServerId, RegisteredServer> {
    return this.#o.registered()
  }

  view(meta: StreamMeta, servers: ReadonlyMap<ServerId, RegisteredServer> = this.registered): GroupView {
    const { isConnected, mayShareDevice } = this.#o
    return { meta, servers, isConnected, mayShareDevice }
  }

  /** For the next segment; null: no group can be had for now. */
  plan(meta: StreamMeta, servers: ReadonlyMap<ServerId, RegisteredServer> = this.registered): GroupPlan | null {
    const plan = groupOrNull(
      () => planGroup(this.view(meta, servers), this.#o.policy),
      (why) => this.#say(meta.stream, [...servers.keys()], why),
    )
    if (plan !== null) this.#said.delete(meta.stream)
    return plan
  }

  #say(stream: string, servers: readonly ServerId[], error: string): void {
    if (error === this.#said.get(stream)) return
    this.#said.set(stream, error)
    this.#o.log.warn({ stream, servers, error }, `no group of journal servers can be had, waiting for one: ${error}`)
  }
}
