import { type Epoch, epoch, type Lsn, lsn } from '../../../src/kernel/identifiers.ts'
import { emptyDigest, makeBatch, type ReplicatedBatch } from '../../../src/replication/batch.ts'
import type { Member, SegmentState, ServerAnswer } from '../../../src/replication/messages.ts'

export const stream = 's'

/** Batches of one entry each, from the first entry on. */
export function batches(count: number, text = 'entry'): readonly ReplicatedBatch[] {
  const made: ReplicatedBatch[] = []
  for (let i = 1; i <= count; i++) {
    const before = made.at(-1)?.digest ?? emptyDigest
    made.push(makeBatch(before, lsn(i), 1, Buffer.from(`${text} ${i}`.padEnd(16))))
  }
  return made
}

export const member = (id: string): Member => ({ id, identity: `${id}-disk`, address: id })

export const segmentState = (flushed: number, more: Partial<SegmentState> = {}): SegmentState => ({
  segmentEpoch: epoch(1),
  base: lsn(1),
  baseDigest: emptyDigest,
  flushed: lsn(flushed),
  flushedDigest: flushed === 0 ? emptyDigest : (batches(flushed).at(-1)?.digest ?? null),
  committed: lsn(0),
  atLeast: false,
  damaged: [],
  finished: false,
  ...more,
})

const from = (id: string, request: number) => ({ id: request, stream, server: id, identity: `${id}-disk` })

export const appended = (id: string, flushed: number, of: Epoch, segmentEpoch = of): ServerAnswer => ({
  ...from(id, 0),
  kind: 'appended',
  epoch: of,
  segmentEpoch,
  acks: [{ server: id, identity: `${id}-disk`, flushed: lsn(flushed) }],
})

export const stateAnswer = (id: string, request: number, of: Epoch, segment: SegmentState): ServerAnswer => ({
  ...from(id, request),
  kind: 'segmentState',
  epoch: of,
  segment,
})

export const sealedAnswer = (id: string, promised: Epoch, segment: SegmentState | null): ServerAnswer => ({
  ...from(id, 0),
  kind: 'sealed',
  promised,
  segment,
})

export const fencedAnswer = (id: string, of: Epoch, promised: Epoch): ServerAnswer => ({
  ...from(id, 0),
  kind: 'refused',
  epoch: of,
  segmentEpoch: null,
  refusal: { reason: 'fenced', promised },
})

export const gapAnswer = (id: string, request: number, of: Epoch, matched: Lsn): ServerAnswer => ({
  ...from(id, request),
  kind: 'refused',
  epoch: of,
  segmentEpoch: of,
  refusal: { reason: 'gap', matched },
})
