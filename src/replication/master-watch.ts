import type { Log } from '../kernel/environment.ts'
import { isCommanderError } from '../kernel/errors.ts'
import type { ServerId } from './messages.ts'
import { type MetadataChange, type MetadataStore, type MetadataWatch, metadataKeys } from './metadata-store.ts'
import { decodeNode, type NodeRecord } from './node-record.ts'
import { decodeServer, type RegisteredServer } from './registered-server.ts'
import type { StreamMeta } from './stream-meta.ts'
import { decodeStreamMeta } from './stream-meta-codec.ts'

/** What a master sees of its cluster in the metadata store: all streams, all registered servers, and the nodes whose leases last. */
export class MasterWatch {
  readonly streams: Map<string, StreamMeta> = new Map()
  readonly servers: Map<ServerId, RegisteredServer> = new Map()
  readonly nodes: Map<string, NodeRecord> = new Map()
  readonly #log: Log
  readonly #changed: () => void
  readonly #watches: readonly MetadataWatch[]
  readonly #current = new Set<string>()

  /** @param changed something of it is another */
  constructor(metadata: MetadataStore, log: Log, changed: () => void) {
    this.#log = log
    this.#changed = changed
    this.#watches = [
      this.#watch(metadata, metadataKeys.streams, this.streams, decodeStreamMeta),
      this.#watch(metadata, metadataKeys.servers, this.servers, decodeServer),
      this.#watch(metadata, metadataKeys.nodes, this.nodes, decodeNode),
    ]
  }

  /** All of it was seen, and no watch is interrupted: only then does the absence of somebody mean anything. */
  get isCurrent(): boolean {
    return this.#current.size === this.#watches.length
  }

  close(): void {
    for (const watch of this.#watches) watch.close()
  }

  #watch<Value>(
    metadata: MetadataStore,
    prefix: string,
    known: Map<string, Value>,
    decode: (text: string) => Value | null,
  ): MetadataWatch {
    return metadata.watch(prefix, {
      values: (changes) => {
        for (const change of changes) this.#saw(change, prefix, known, decode)
        this.#current.add(prefix)
        this.#changed()
      },
      lost: (error) => {
        this.#current.delete(prefix)
        this.#log.warn({ error: error.message }, 'the metadata store is out of reach; nothing is suggested meanwhile')
      },
    })
  }

  #saw<Value>(
    { key, value }: MetadataChange,
    prefix: string,
    known: Map<string, Value>,
    decode: (text: string) => Value | null,
  ): void {
    const name = key.slice(prefix.length)
    try {
      const decoded = value === null ? null : decode(value.value)
      if (decoded === null) known.delete(name)
      else known.set(name, decoded)
    } catch (error) {
      if (!isCommanderError(error)) throw error
      this.#log.error({ key, error: error.message }, `what the metadata store has under ${key} is not understood`)
    }
  }
}
