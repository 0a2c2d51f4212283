import type { Environment } from '../kernel/environment.ts'

export interface LmdbStoreOptions {
  /** Directory of the store. The writer makes it when it is absent or empty; its parent must be there. */
  readonly path: string
  /** The writer makes those that are absent. At most 60. */
  readonly tables: readonly string[]
  readonly readOnly: boolean
  /** Largest size of the store in bytes; only address space is set aside for it. Default: 64 GiB. */
  readonly mapBytesMax?: number
  /** How much of the store may stay mapped into this process's memory, in bytes. Default: 64 MiB. */
  readonly residentBytesMax?: number
  readonly environment: Environment
}
