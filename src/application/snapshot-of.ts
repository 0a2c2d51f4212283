import { isDeepStrictEqual } from 'node:util'
import type { AggregateSnapshot } from '../actions/action.ts'
import { pack, unpack } from '../actions/message-pack.ts'
import type { LiveAggregate } from './live-aggregates.ts'

/** A state that packs to more than this is not saved as a snapshot: its events are read back instead. */
const snapshotBytesMax = 262_144

/** Whether a snapshot is due when the aggregate goes on from a revision to where it is now. */
export function isSnapshotDue({ revision, hosted }: LiveAggregate, before: number): boolean {
  const { snapshotEvery } = hosted.definition
  return snapshotEvery > 0 && Math.floor(before / snapshotEvery) !== Math.floor(revision / snapshotEvery)
}

/** null when the state is large or does not come back from its encoding as it was. */
export function snapshotOf(aggregate: LiveAggregate, roomBytes: number): AggregateSnapshot | null {
  try {
    const snapshot = { definition: aggregate.hosted.fingerprint, state: aggregate.state }
    const packed = Buffer.from(pack(snapshot))
    if (packed.length > Math.min(snapshotBytesMax, roomBytes)) return null
    const { state } = unpack(packed, 0, packed.length) as { state: unknown }
    return isDeepStrictEqual(state, aggregate.state) ? snapshot : null
  } catch {
    return null
  }
}
