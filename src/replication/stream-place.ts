import type { Lsn } from '../kernel/identifiers.ts'
import type { Digest } from './batch.ts'

/** A place in a stream: everything up to this entry, by its digest. */
export interface StreamPlace {
  readonly lsn: Lsn
  /** null: not known yet; what comes next says it. */
  readonly digest: Digest | null
}
