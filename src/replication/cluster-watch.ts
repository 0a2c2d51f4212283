import type { Environment } from '../kernel/environment.ts'
import { isCommanderError } from '../kernel/errors.ts'
import type { ServerId } from './messages.ts'
import { type MetadataStore, type MetadataWatch, metadataKeys } from './metadata-store.ts'
import { decodeNode, type NodeRecord } from './node-record.ts'
import { decodeServer, type RegisteredServer } from './registered-server.ts'

/** What a node sees of its cluster: hints, for each may be late. */
export interface ClusterView {
  readonly servers: ReadonlyMap<ServerId, RegisteredServer>
  /** Those whose leases last. */
  readonly nodes: ReadonlyMap<string, NodeRecord>
}

/** Watches who belongs to the cluster, and lives. What concerns a stream its role watches. */
export class ClusterWatch {
  readonly #log: Environment['log']
  readonly #changed: () => void
  readonly #watches: MetadataWatch[]
  readonly #servers = new Map<ServerId, RegisteredServer>()
  readonly #nodes = new Map<string, NodeRecord>()
  readonly #current = new Set<string>()

  /** @param changed something of the view is another */
  constructor(metadata: MetadataStore, log: Environment['log'], changed: () => void) {
    this.#log = log
    this.#changed = changed
    this.#watches = [metadataKeys.servers, metadataKeys.nodes].map((prefix) =>
      metadata.watch(prefix, {
        values: (changes) => {
          for (const { key, value } of changes) this.#saw(key, value)
          this.#current.add(prefix)
          if (this.isCurrent) this.#changed()
        },
        lost: (error) => {
          this.#current.delete(prefix)
          log.warn({ error: error.message }, 'the metadata store is out of reach; going on with what is known')
        },
      }),
    )
  }

  /** All of it was seen, and no watch is interrupted: only then does the absence of something mean anything. */
  get isCurrent(): boolean {
    return this.#current.size === this.#watches.length
  }

  get view(): ClusterView {
    return { servers: this.#servers, nodes: this.#nodes }
  }

  close(): void {
    for (const watch of this.#watches) watch.close()
  }

  #saw(key: string, value: { readonly value: string; readonly revision: number } | null): void {
    try {
      if (key.startsWith(metadataKeys.servers)) this.#sawServer(key.slice(metadataKeys.servers.length), value)
      else this.#sawNode(key.slice(metadataKeys.nodes.length), value)
    } catch (error) {
      if (!isCommanderError(error)) throw error
      this.#log.error({ key, error: error.message }, `what the metadata store has under ${key} is not understood`)
    }
  }

  #sawNode(id: string, value: { readonly value: string } | null): void {
    const record = value === null ? null : decodeNode(value.value)
    if (record === null) this.#nodes.delete(id)
    else this.#nodes.set(id, record)
  }

  #sawServer(id: ServerId, value: { readonly value: string } | null): void {
    if (value === null) this.#servers.delete(id)
    else this.#servers.set(id, decodeServer(value.value))
  }
}
