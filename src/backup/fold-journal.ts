import { lengthOf, lsnOf, padded } from '../actions/entry-layout.ts'
import type { JournalBatch } from '../journal/batch.ts'
import { JournalReader } from '../journal/reader.ts'
import { readSegmentHeader } from '../journal/segment-chain.ts'
import { segmentsOf } from '../journal/segment-name.ts'
import type { JournalStorage } from '../journal/storage.ts'
import { isCommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { reduce } from '../state/root.ts'
import { stateHash } from '../state/snapshot.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { keyLookup } from '../tables/idempotency-keys.ts'
import { readPosition, readRoot } from '../tables/meta.ts'

const readBytes = 4_194_304

/** How a part of the journal ends. */
export interface FoldedEnd {
  readonly stateHash: string
  /** Of the frame that ends there; empty where that is no longer in the journal. */
  readonly digest: Buffer
  readonly wallMs: number
  /** When the last frame was written that the store's tables hold something of. */
  readonly appliedWallMs: number
}

/** Reduces what came after a store's root, up to an entry that ends a frame, without touching the store. */
export async function foldJournal(
  storage: JournalStorage,
  store: KeyValueStore,
  toLsn: Lsn,
  pause: () => Promise<void>,
): Promise<FoldedEnd> {
  const state = readRoot(store, { lookup: keyLookup(store), keepsPayloads: true })
  const { applied } = readPosition(store)
  let end = endBefore(storage)
  let appliedWallMs = 0
  const reader = new JournalReader(storage, lsn(Math.max(1, Math.min(state.lsn + 1, applied))))
  try {
    for (let batches = readOn(reader, toLsn); batches.length > 0; batches = readOn(reader, toLsn)) {
      for (const { payload, digest, wallMs, firstLsn } of batches) {
        for (let o = 0; o < payload.length; o += padded(lengthOf(payload, o)))
          if (lsnOf(payload, o) > state.lsn) reduce(state, payload, o)
        end = { digest, wallMs }
        if (firstLsn <= applied) appliedWallMs = wallMs
      }
      await pause()
    }
  } finally {
    reader.close()
  }
  return { ...end, appliedWallMs: appliedWallMs || end.wallMs, stateHash: stateHash(state) }
}

/** Nothing, when all that there is to fold has been removed: the store is as far as the journal. */
function readOn(reader: JournalReader, toLsn: Lsn): JournalBatch[] {
  try {
    return reader.read(readBytes, toLsn)
  } catch (error) {
    const { firstLsn } = (isCommanderError(error) ? (error.details ?? {}) : {}) as { readonly firstLsn?: number | null }
    if (typeof firstLsn === 'number' && firstLsn > toLsn) return []
    throw error
  }
}

function endBefore(storage: JournalStorage): Pick<FoldedEnd, 'digest' | 'wallMs'> {
  const last = segmentsOf(storage.list()).at(-1)
  const header = last === undefined ? null : readSegmentHeader(storage, last.name)
  return { digest: Buffer.alloc(0), wallMs: header?.createdWallMs ?? 0 }
}
