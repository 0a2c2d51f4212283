import type { JournalOptions } from '../journal/options.ts'
import type { Identity } from '../journal/segment-chain.ts'
import type { JournalStorage } from '../journal/storage.ts'
import type { Environment } from '../kernel/environment.ts'

/** What a segment of a stream on a server is made with. */
export interface SegmentParts {
  readonly storage: JournalStorage
  readonly environment: Environment
  readonly identity: Identity
  readonly options: JournalOptions
}
