import type { SegmentCodec } from '../archive/segment-codec.ts'
import type { Transport } from '../ipc/channel.ts'
import type { JournalStorage } from '../journal/storage.ts'
import type { Environment } from '../kernel/environment.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import type { StreamVault } from '../tables/archived-streams.ts'

/** Where the roles of one database find each other. */
export interface Addresses {
  readonly journal: string
  readonly gateway: string
  /** The projection applier's: for rebuilds and checkpoints by hand. */
  readonly applier: string
}

/**
 * What a role stands in: processes give it sockets and files, the embedded database memory channels and files, the
 * simulator memory and virtual time. The roles do not know which.
 */
export interface Surroundings {
  readonly environment: Environment
  readonly transport: Transport
  readonly addresses: Addresses
  readonly openStorage: () => JournalStorage
  readonly openStore: (access: 'read' | 'write') => KeyValueStore
  /** Where archived events lie; null without an archive. */
  readonly vault?: StreamVault | null
  /** How archived segments are packed. Default: zstd. */
  readonly segmentCodec?: SegmentCodec
  /** 16 bytes that tell this database's journal from any other. */
  readonly journalId: Uint8Array
  /** The role cannot go on: the process ends, or the embedded database closes with this error. */
  readonly failed: (error: Error) => void
}

/** A role that runs. */
export interface RunningRole {
  stop(): Promise<void>
}
