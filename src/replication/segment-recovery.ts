import { recover } from '../journal/recovery.ts'
import { makeSalvageDurable, type Salvage, salvage } from '../journal/salvage.ts'
import type { ChainPoint } from '../journal/segment-cursor.ts'
import { isCommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn, noLsn } from '../kernel/identifiers.ts'
import { type Digest, emptyDigest, lastLsnOf, type ReplicatedBatch } from './batch.ts'
import type { SegmentMark } from './segment-mark.ts'
import type { SegmentParts } from './segment-parts.ts'
import { SegmentRemains } from './segment-remains.ts'
import { decodeStored } from './stored-batch.ts'

/** What lies on the disk of a segment, durable as it is. */
export interface RecoveredSegment {
  readonly tail: Lsn
  readonly tailDigest: Digest | null
  readonly committed: Lsn
  readonly atLeast: boolean
  /** null: it is sound. */
  readonly remains: SegmentRemains | null
}

/** Of a segment without entries, or whose entries were all dropped. */
export const emptySegment = ({ from, fromDigest }: SegmentMark): RecoveredSegment => ({
  tail: lsn(from - 1),
  tailDigest: fromDigest,
  committed: noLsn,
  atLeast: false,
  remains: null,
})

/**
 * Recovers the journal of a segment as a local one is. Where that is refused because of damage, the server goes on with what is
 * left and says what is missing: damaged is not absent (I14). A bad frame at the end is torn only if it was not written as a whole.
 * @throws CommanderError foreign_database | unsupported_version | journal_full | journal_failed
 */
export async function recoverSegment(parts: SegmentParts, mark: SegmentMark): Promise<RecoveredSegment> {
  const { storage, environment, identity } = parts
  let found = emptySegment(mark)
  try {
    await recover({
      storage,
      environment,
      ...identity,
      floorLsn: mark.floor,
      replayFrom: mark.from,
      base: journalBaseOf(mark),
      strictEnd: true,
      onBatch: ({ firstLsn, entryCount, payload }) => {
        const { batch, committed } = decodeStored(firstLsn, entryCount, payload)
        found = { ...found, tail: lastLsnOf(batch), tailDigest: Buffer.from(batch.digest), committed }
      },
    })
    return found
  } catch (error) {
    if (!isCommanderError(error) || error.code !== 'journal_corrupt') throw error
    environment.log.error({ code: error.code, err: error }, `a replicated segment is damaged: ${error.message}`)
    const left = salvage(storage)
    await makeSalvageDurable(storage, left)
    return leftOf(parts, mark, left, placeOf(error.details))
  }
}

/** Where the journal begins that has no file yet. The chain of its frames is its own, whatever it begins with. */
export const journalBaseOf = ({ from, fromDigest }: SegmentMark): ChainPoint => ({
  nextLsn: from,
  digest: fromDigest ?? emptyDigest,
})

/** @param bad an entry that is missing or damaged, as far as the recovery says */
export function leftOf(parts: SegmentParts, mark: SegmentMark, left: Salvage, bad: Lsn): RecoveredSegment {
  const { ceiling, floor, from } = mark
  const remains = new SegmentRemains(parts.storage, left, ceiling)
  const last = lsn(Math.max(left.lastLsn, floor, bad, from - 1))
  const tail = ceiling === null ? last : lsn(Math.min(last, ceiling))
  const lastBatch: ReplicatedBatch | null = tail < from ? null : remains.batchOf(tail)
  return {
    tail,
    tailDigest: tail < from ? mark.fromDigest : (lastBatch?.digest ?? null),
    committed: remains.committed,
    atLeast: (ceiling === null || last < ceiling) && !(left.endIsClean && lastBatch !== null),
    remains,
  }
}

function placeOf(details: unknown): Lsn {
  const { lsn: at } = details as { readonly lsn: Lsn | null }
  return at ?? noLsn
}
