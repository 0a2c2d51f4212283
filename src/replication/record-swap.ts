import type { Log } from '../kernel/environment.ts'
import { isCommanderError } from '../kernel/errors.ts'
import { type MetadataStore, metadataKeys } from './metadata-store.ts'
import type { StreamMeta } from './stream-meta.ts'
import { decodeStreamMeta, encodeStreamMeta } from './stream-meta-codec.ts'

export interface WantedRecord {
  readonly meta: StreamMeta
  readonly expectedRevision: number
  readonly nonce: string
}

/** What became of a swap of a stream's record; `swapLost`: its answer did not come, so it may have been made. */
export type SwapEvent =
  | { readonly kind: 'swapped'; readonly nonce: string; readonly revision: number }
  | {
      readonly kind: 'conflict'
      readonly nonce: string
      readonly current: { readonly meta: StreamMeta; readonly revision: number } | null
    }
  | { readonly kind: 'swapLost'; readonly nonce: string }

/** Never rejects: whatever goes wrong is a lost answer. */
export async function swapRecord(metadata: MetadataStore, wanted: WantedRecord, log: Log): Promise<SwapEvent> {
  const { meta, expectedRevision, nonce } = wanted
  try {
    const result = await metadata.compareAndSwap(
      metadataKeys.stream(meta.stream),
      expectedRevision,
      encodeStreamMeta(meta),
    )
    if (result.swapped) return { kind: 'swapped', nonce, revision: result.revision }
    const { current } = result
    if (current === null) return { kind: 'conflict', nonce, current }
    return { kind: 'conflict', nonce, current: { meta: decodeStreamMeta(current.value), revision: current.revision } }
  } catch (error) {
    if (!isCommanderError(error)) throw error
    log.warn(
      { stream: meta.stream, error: error.message },
      'the record of the stream could not be changed; trying again',
    )
    return { kind: 'swapLost', nonce }
  }
}
