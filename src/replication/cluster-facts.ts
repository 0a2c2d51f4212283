import { masterIn } from './master-turn.ts'
import { type MetadataStore, metadataKeys } from './metadata-store.ts'
import { decodeNode, type NodeRecord } from './node-record.ts'
import { decodeServer, type RegisteredServer } from './registered-server.ts'
import type { StreamMeta } from './stream-meta.ts'
import { decodeStreamMeta } from './stream-meta-codec.ts'

/** What the metadata store says of a cluster, read once. */
export interface ClusterFacts {
  /** null: nobody was there yet. */
  readonly clusterId: string | null
  /** null: no node has led yet. */
  readonly meta: StreamMeta | null
  /** Whether the lease of the stream's leader lasts. */
  readonly isLeased: boolean
  /** Those whose leases last. */
  readonly nodes: readonly NodeRecord[]
  readonly servers: readonly RegisteredServer[]
  /** Whose master is at work; null: none is. */
  readonly master: ReturnType<typeof masterIn>
}

/** @throws CommanderError `metadata_unavailable`, `unsupported_version` */
export async function readClusterFacts(metadata: MetadataStore, stream: string): Promise<ClusterFacts> {
  const [cluster, record, lease, nodes, servers, master] = await Promise.all([
    metadata.get(metadataKeys.cluster),
    metadata.get(metadataKeys.stream(stream)),
    metadata.get(metadataKeys.lease(stream)),
    metadata.list(metadataKeys.nodes),
    metadata.list(metadataKeys.servers),
    metadata.get(metadataKeys.master),
  ])
  return {
    clusterId: cluster?.value ?? null,
    meta: record === null ? null : decodeStreamMeta(record.value),
    isLeased: lease !== null,
    nodes: nodes.flatMap(({ value }) => decodeNode(value) ?? []),
    servers: servers.map(({ value }) => decodeServer(value)),
    master: masterIn(master?.value),
  }
}
