import { sep } from 'node:path'
import { limits } from '../kernel/limits.ts'

/** Keeps the journal on several servers, with one node at a time that leads and others that stand by. */
export interface ReplicationConfig {
  /** `local`: this node keeps its journal alone. `replicated`: journal servers keep it. Default `local`. */
  readonly journal?: 'local' | 'replicated'
  /** Name of this node in the cluster: up to 63 small letters, digits and hyphens. Needed where the journal is replicated. */
  readonly nodeId?: string
  /** Id of the cluster, where the metadata store may already be another one's. Default: that of the metadata store. */
  readonly clusterId?: string
  /**
   * Where the nodes agree on who leads: `etcd://HOST:PORT,HOST:PORT`, `etcds://…` over TLS, or `file:DIRECTORY` on one host. Needed where
   * the journal is replicated.
   */
  readonly metadata?: string
  readonly policy?: {
    /** Journal servers that keep each segment, 1 to 16. Default 3. */
    readonly replicas?: number
    /** Of them so many have flushed an entry before it is acknowledged, 1 to `replicas`. Default 2. */
    readonly ackQuorum?: number
    /** `fanout`: the leader sends to all of them. `chain`: each sends to the next. Default `fanout`. */
    readonly topology?: 'fanout' | 'chain'
  }
  /**
   * Journal servers that this node begins with, 0 to 16: usually one on each host. For trying it out, `dev` and as many as the policy
   * wants. It counts at the first start; later it runs those that it finds, and `commanderdb cluster provision` makes more. Default 0.
   */
  readonly servers?: number
  /**
   * What the segments of each of these servers may take on its disk, in bytes: 128 MiB at least, and twice `journal.maxJournalBytes` of
   * the nodes or so. At this the server takes nothing more until some are trimmed. Default: all there is.
   */
  readonly serverBytes?: number
  /** This host runs journal servers and no database. Default false. */
  readonly serversOnly?: boolean
  /** A leader that is silent for so long is replaced, 500 to 60,000 ms. Default 2,000. */
  readonly leaseMs?: number
  /**
   * A master runs here, which suggests leaders and groups. Several may run: one is at work. Default true, and false where there are
   * `serversOnly`.
   */
  readonly master?: boolean
  /** A journal server that is silent for so long is replaced in its group, where there is a spare one; 500 to 3,600,000 ms. Default 10,000. */
  readonly serverSilenceMs?: number
  /** The master at work has its own host start journal servers until so many are spare, 0 to 16. Default: it starts none and ends none. */
  readonly sparesMin?: number
  /** With `sparesMin`: of more spare ones it ends those of its host that hold nothing, 0 to 16. Default 16. */
  readonly sparesMax?: number
  /** A node that is a member already waits so long for the metadata store when it starts, 0 to 3,600,000 ms. Default 60,000. */
  readonly metadataWaitMs?: number
  /** Address that other nodes reach this one at, `HOST:PORT`; port 0 takes any free one. Default 127.0.0.1:7500. */
  readonly listen?: string
  /** Mutual TLS between nodes and servers, PEM files: all three or none. Default none, on this host only. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string }
  /** For trying it out on one host: members of a group may share a device, and other hosts are reached without TLS. Default false. */
  readonly dev?: boolean
}

export interface ResolvedReplication {
  readonly journal: 'local' | 'replicated'
  readonly nodeId: string | null
  readonly clusterId: string | null
  /** Paths in it are absolute. */
  readonly metadata: string | null
  readonly policy: { readonly replicas: number; readonly ackQuorum: number; readonly topology: 'fanout' | 'chain' }
  readonly servers: number
  readonly serverBytes: number
  readonly serversOnly: boolean
  readonly leaseMs: number
  readonly master: boolean
  readonly serverSilenceMs: number
  readonly sparesMin: number | null
  readonly sparesMax: number
  readonly metadataWaitMs: number
  readonly listen: string
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string } | null
  readonly dev: boolean
}

/** Leaves that were checked one by one, any of which may be missing. */
type Leaves = Partial<Omit<ResolvedReplication, 'tls'>> & { readonly tls?: Partial<ResolvedReplication['tls']> }

/** What was not given is null. */
export const replicationOf = (leaves: Leaves): ResolvedReplication => {
  const none = { nodeId: null, clusterId: null, metadata: null, tls: null, sparesMin: null }
  return { ...none, master: leaves.serversOnly !== true, ...leaves } as ResolvedReplication
}

export interface ReplicationSurroundings {
  /** Absolute; null where there is no such archive. */
  readonly archiveDirectory: string | null
  readonly dataDir: string
  readonly journal: { readonly maxJournalBytes: number; readonly segmentBytes: number }
}

/**
 * What no single key can check.
 *
 * @returns the key that is wrong, what is wrong with it, and the key whose place is to be named; null when all is well
 */
export function replicationFault(
  replication: ResolvedReplication,
  { archiveDirectory, dataDir, journal: bounds }: ReplicationSurroundings,
): readonly [key: string, what: string, because: string] | null {
  const { journal, nodeId, metadata, policy, tls } = replication
  const { replicas, ackQuorum } = policy
  if (ackQuorum > replicas) {
    const what = `is ${ackQuorum}, but there are only ${replicas} replicas to acknowledge (replication.policy.replicas)`
    const key = 'replication.policy.ackQuorum'
    return [key, what, key]
  }
  const names = ['ca', 'cert', 'key'] as const
  const given = names.find((name) => tls?.[name] !== undefined)
  const missing = names.find((name) => tls?.[name] === undefined)
  if (given !== undefined && missing !== undefined) {
    const what = 'is missing: give ca, cert and key, or none of them'
    return [`replication.tls.${missing}`, what, `replication.tls.${given}`]
  }
  if (journal === 'local') return null
  const because = 'replication.journal'
  const needed = (what: string): string => `is missing, and a replicated journal needs it: ${what}`
  if (nodeId === null) return ['replication.nodeId', needed('the name of this node, for example --node-id a'), because]
  if (metadata === null)
    return ['replication.metadata', needed('for example --metadata etcd://127.0.0.1:2379'), because]
  if (tls === null && !replication.dev && !isLoopback(replication.listen)) {
    const what = `is "${replication.listen}", which other hosts reach, but there is no replication.tls: give it, or listen on 127.0.0.1`
    return ['replication.listen', what, 'replication.listen']
  }
  if (replication.serversOnly && replication.servers === 0) {
    const what = 'is 0, but this node is to run journal servers only: say how many, for example --journal-servers 1'
    return ['replication.servers', what, 'replication.serversOnly']
  }
  const least = serverBytesMin(bounds)
  if (replication.servers > 0 && !replication.serversOnly && replication.serverBytes < least) {
    const what =
      `is ${replication.serverBytes}, but must be at least ${least}: what journal.maxJournalBytes of the nodes, ` +
      `${bounds.maxJournalBytes}, can take in whole files`
    return ['replication.serverBytes', what, 'replication.serverBytes']
  }
  if (archiveDirectory !== null && isWithin(archiveDirectory, dataDir)) {
    const what =
      `is "${archiveDirectory}", which lies in the data directory of this node, but each node that comes to lead archives there and ` +
      'reads what others archived: give a directory that all nodes of the cluster share, or a bucket'
    return ['archive.directory', what, 'archive.directory']
  }
  if (replication.sparesMin !== null && replication.sparesMin > replication.sparesMax) {
    const what = `is ${replication.sparesMin}, which is more than replication.sparesMax allows (${replication.sparesMax})`
    return ['replication.sparesMin', what, 'replication.sparesMin']
  }
  return null
}

/**
 * Less, and nodes that need as much of the stream as they may could never get further, since what they would say so with is refused. Segments
 * of the stream are as large as those of the nodes, and more of them are there than the nodes need: one that ends behind what they need,
 * one that is being written, and one that is begun.
 */
function serverBytesMin({ maxJournalBytes, segmentBytes }: ReplicationSurroundings['journal']): number {
  const segments = Math.ceil(maxJournalBytes / segmentBytes) + 3
  const files = Math.ceil((1.1 * segmentBytes) / limits.serverFileBytes)
  return (segments * files + 1) * limits.serverFileBytes
}

/** Both are absolute. */
const isWithin = (path: string, directory: string): boolean =>
  path === directory || path.startsWith(`${directory}${sep}`)

const isLoopback = (listen: string): boolean => /^(127\.\d+\.\d+\.\d+|localhost|\[::1\]):\d+$/.test(listen)
