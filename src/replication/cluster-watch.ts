import type { Environment } from '../kernel/environment.ts'
import { isCommanderError } from '../kernel/errors.ts'
import type { Suggestion } from './master-state.ts'
import type { ServerId } from './messages.ts'
import { type MetadataStore, type MetadataWatch, metadataKeys } from './metadata-store.ts'
import { decodeNode, type NodeRecord } from './node-record.ts'
import { decodeServer, type RegisteredServer } from './registered-server.ts'
import type { StreamMeta } from './stream-meta.ts'
import { decodeStreamMeta } from './stream-meta-codec.ts'
import { decodeSuggestion } from './suggestion.ts'

/** What a node sees of its cluster: hints, for each may be late. */
export interface ClusterView {
  /** null: the stream does not exist. */
  readonly record: { readonly meta: StreamMeta; readonly revision: number } | null
  readonly servers: ReadonlyMap<ServerId, RegisteredServer>
  /** Those whose leases last. */
  readonly nodes: ReadonlyMap<string, NodeRecord>
  /** Whether anybody holds the lease of the stream's leader. */
  readonly isLeased: boolean
  readonly suggestion: Suggestion | null
}

/** Watches what concerns one stream. */
export class ClusterWatch {
  readonly #log: Environment['log']
  readonly #stream: string
  readonly #changed: () => void
  readonly #watches: MetadataWatch[]
  readonly #servers = new Map<ServerId, RegisteredServer>()
  readonly #nodes = new Map<string, NodeRecord>()
  readonly #current = new Set<string>()
  #record: ClusterView['record'] = null
  #isLeased = false
  #suggestion: Suggestion | null = null

  /** @param changed something of the view is another */
  constructor(metadata: MetadataStore, stream: string, log: Environment['log'], changed: () => void) {
    this.#log = log
    this.#stream = stream
    this.#changed = changed
    const keys = [
      metadataKeys.stream(stream),
      metadataKeys.servers,
      metadataKeys.nodes,
      metadataKeys.lease(stream),
      metadataKeys.suggestion(stream),
    ]
    this.#watches = keys.map((prefix) =>
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
    const [record, servers, nodes] = [this.#record, this.#servers, this.#nodes]
    return { record, servers, nodes, isLeased: this.#isLeased, suggestion: this.#suggestion }
  }

  close(): void {
    for (const watch of this.#watches) watch.close()
  }

  #saw(key: string, value: { readonly value: string; readonly revision: number } | null): void {
    try {
      if (key === metadataKeys.stream(this.#stream))
        this.#record = value === null ? null : { meta: decodeStreamMeta(value.value), revision: value.revision }
      else if (key.startsWith(metadataKeys.servers)) this.#sawServer(key.slice(metadataKeys.servers.length), value)
      else if (key.startsWith(metadataKeys.nodes)) this.#sawNode(key.slice(metadataKeys.nodes.length), value)
      else if (key === metadataKeys.lease(this.#stream)) this.#isLeased = value !== null
      else if (key === metadataKeys.suggestion(this.#stream))
        this.#suggestion = value === null ? null : decodeSuggestion(value.value)
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
