import { CommanderError } from '../kernel/errors.ts'
import type { ServerId } from './messages.ts'
import { type MetadataStore, type MetadataValue, metadataKeys } from './metadata-store.ts'
import { decodeServer, encodeServer, type RegisteredServer } from './registered-server.ts'
import { type SwapWorld, settledSwap } from './settled-swap.ts'
import { decodeStreamMeta } from './stream-meta-codec.ts'

export type NewServer = Omit<RegisteredServer, 'state'> & { readonly clusterId: string }

/** `leaving`: it gets into no group any more, and votes in those that name it still. */
export type Deregistration =
  | { readonly state: 'gone' }
  | { readonly state: 'leaving'; readonly streams: readonly { readonly stream: string; readonly segments: number }[] }

/**
 * Who belongs to a cluster.
 *
 * - C1 A journal server is its identity, which lies with its data. One with the same id and another identity has lost its
 *   disk: it promised and acknowledged nothing, and must not vote in the other's place (I17).
 * - C2 So an id is free for another identity only when no segment of any stream names it: its record is marked first, then the
 *   streams are looked at, then it is deleted. Whoever puts servers into a group does it the other way round: names them by one
 *   swap, then asks `confirmGroup` before the first acknowledgement counts. One of the two sees the other.
 * - C3 An identity that was deregistered does not come back: whoever restarts its process would register it again.
 */
export class ClusterRegistry {
  readonly #store: MetadataStore
  readonly #world: SwapWorld

  constructor(store: MetadataStore, world: SwapWorld) {
    this.#store = store
    this.#world = world
  }

  /**
   * The cluster's id. Whoever comes first gives it one.
   * @param wanted - of the config or of the data; undefined: whichever it is
   * @throws CommanderError `foreign_cluster`
   */
  async join(wanted?: string): Promise<string> {
    const found = await this.#store.get(metadataKeys.cluster)
    if (found === null) {
      const value = wanted ?? this.#world.random.uuid()
      const swap = { key: metadataKeys.cluster, expectedRevision: 0, value }
      const result = await settledSwap(this.#store, this.#world, swap)
      return result.swapped ? value : this.join(wanted)
    }
    if (wanted === undefined || found.value === wanted) return found.value
    throw this.#foreign(wanted, found.value)
  }

  /**
   * Says who a journal server is and where: the first time that it is heard of, and whenever it starts.
   * @throws CommanderError `foreign_cluster`; `unknown_identity`: the id is another's, which lost its disk or is misconfigured; or
   *   this identity was deregistered
   */
  async register(server: NewServer): Promise<RegisteredServer> {
    const { clusterId, ...record } = server
    const cluster = await this.join(clusterId)
    const key = metadataKeys.server(record.id)
    for (;;) {
      const found = await this.#store.get(key)
      const known = found === null ? null : decodeServer(found.value)
      if (known !== null && known.identity !== record.identity) throw unknownIdentity(cluster, record, known)
      if (known === null && (await this.#store.get(metadataKeys.deregistered(record.identity))) !== null)
        throw deregistered(record)
      const wanted: RegisteredServer = { ...record, state: known?.state ?? 'active' }
      if (found !== null && found.value === encodeServer(wanted)) return wanted
      if (await this.#swap(key, found, encodeServer(wanted))) return wanted
    }
  }

  /**
   * Takes a server out of the cluster for good, as an operator does. While segments name it, it is only marked: leaders then put others
   * into its place. To be called again until it is gone.
   * @param identity - of the one that is meant, where there may be another by now
   * @throws CommanderError `not_found`, `unknown_identity`
   */
  async deregister(id: ServerId, identity?: string): Promise<Deregistration> {
    const key = metadataKeys.server(id)
    for (;;) {
      const found = await this.#store.get(key)
      if (found === null) throw new CommanderError('not_found', `no journal server ${id} is registered`)
      const known = decodeServer(found.value)
      if (identity !== undefined && known.identity !== identity) throw otherMeant(known, identity)
      if (known.state === 'active') {
        await this.#swap(key, found, encodeServer({ ...known, state: 'leaving' }))
        continue
      }
      // C2: after the mark.
      const streams = await this.#streamsWith(id)
      if (streams.length > 0) return { state: 'leaving', streams }
      // C3: before the record goes.
      const burnt = { key: metadataKeys.deregistered(known.identity), expectedRevision: 0, value: id }
      await settledSwap(this.#store, this.#world, burnt)
      if (await this.#swap(key, found, null)) return { state: 'gone' }
    }
  }

  async servers(): Promise<readonly RegisteredServer[]> {
    return (await this.#store.list(metadataKeys.servers)).map(({ value }) => decodeServer(value))
  }

  /**
   * C2: after the swap that named them in a group, and before an acknowledgement of theirs counts.
   * @param group - as they were registered when they were chosen
   * @returns them as they are registered
   * @throws CommanderError `unknown_identity`: choose another group
   */
  async confirmGroup(
    group: readonly Pick<RegisteredServer, 'id' | 'identity'>[],
  ): Promise<readonly RegisteredServer[]> {
    const servers = await this.servers()
    return group.map(({ id, identity }) => {
      const known = servers.find((server) => server.id === id)
      if (known?.state === 'active' && known.identity === identity) return known
      const now = known === undefined ? 'is deregistered' : known.state === 'leaving' ? 'is leaving' : 'lost its disk'
      throw new CommanderError('unknown_identity', `journal server ${id} (${identity}) ${now}: choose another group`, {
        details: { id, identity },
      })
    })
  }

  async #swap(key: string, found: MetadataValue | null, value: string | null): Promise<boolean> {
    const expectedRevision = found?.revision ?? 0
    if (value !== null) {
      // Whoever wrote the same value meant the same: it needs no nonce.
      return (await settledSwap(this.#store, this.#world, { key, expectedRevision, value })).swapped
    }
    return (await this.#store.compareAndSwap(key, expectedRevision, null)).swapped
  }

  async #streamsWith(id: ServerId): Promise<readonly { readonly stream: string; readonly segments: number }[]> {
    const metas = (await this.#store.list(metadataKeys.streams)).map(({ value }) => decodeStreamMeta(value))
    return metas
      .map(({ stream, segments }) => ({ stream, segments: segments.filter(({ group }) => group.includes(id)).length }))
      .filter(({ segments }) => segments > 0)
  }

  #foreign(wanted: string, found: string): CommanderError {
    const message =
      `the metadata store ${this.#store.location} is of cluster ${found}, not of ${wanted}: correct replication.metadata ` +
      'or replication.clusterId, or start with empty data'
    return new CommanderError('foreign_cluster', message, { details: { wanted, found } })
  }
}

type Known = Pick<RegisteredServer, 'id' | 'identity' | 'host' | 'address'>

function unknownIdentity(cluster: string, { id, identity }: Known, known: Known): CommanderError {
  const message =
    `journal server ${id} has the identity ${identity}, and ${known.identity} is registered in cluster ${cluster} (last on ` +
    `${known.host}, ${known.address}): its disk was lost, or two servers have one id. It does not vote. Bring the former data ` +
    `back, give it another id, or deregister ${id} first`
  return new CommanderError('unknown_identity', message, { details: { id, identity, registered: known.identity } })
}

function deregistered({ id, identity }: Known): CommanderError {
  const message =
    `journal server ${id} (${identity}) was deregistered and does not come back: end it, or start it with an empty ` +
    'directory, which is a new identity'
  return new CommanderError('unknown_identity', message, { details: { id, identity } })
}

function otherMeant({ id, identity }: Known, meant: string): CommanderError {
  const message = `journal server ${id} is registered with the identity ${identity}, not ${meant}: nothing was changed`
  return new CommanderError('unknown_identity', message, { details: { id, identity: meant, registered: identity } })
}
