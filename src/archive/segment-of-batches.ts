import { encodeFrame, frameBytes, frameFlags } from '../journal/frame.ts'
import {
  alignUp,
  defaultJournalOptions,
  firstFrameOffset,
  frameHeaderBytes,
  frameOverheadBytes,
  journalLimits,
} from '../journal/options.ts'
import { encodeSegmentHeader, type SegmentHeader } from '../journal/segment-header.ts'
import { digest16, digestBytes } from '../kernel/checksum.ts'
import { lsn } from '../kernel/identifiers.ts'
import type { ReplicatedBatch } from '../replication/batch.ts'
import type { BatchObjectHeader } from './batch-object.ts'

/** Where a segment that was made ends: what the next one follows. */
export interface SegmentEnd {
  readonly digest: Buffer
  readonly wallMs: number
}

export interface SegmentOfBatches {
  readonly header: BatchObjectHeader
  readonly segNo: number
  /** null where the one before is not known. */
  readonly before: SegmentEnd | null
  readonly wallMsOf: (payload: Buffer) => number
}

type Pieces = AsyncIterable<{ readonly batches: readonly ReplicatedBatch[] }>

const { blockBytes } = defaultJournalOptions

/**
 * A segment of a journal that holds the entries of an object of a stream: a frame for each batch, and a seal. Batches know no time, so a frame
 * says that of its newest entry. The same object always gives the same segment, behind the same one.
 */
export function segmentOfBatches(
  source: SegmentOfBatches,
  batches: Pieces,
  ended: (end: SegmentEnd) => void,
): { readonly bytes: number; readonly pieces: AsyncGenerator<Buffer, void> } {
  const bytes = sizeOf(source.header)
  return { bytes, pieces: piecesOf(source, batches, headerOf(source, bytes), ended) }
}

function sizeOf({ payloadBytes, batches }: BatchObjectHeader): number {
  const bytes = firstFrameOffset(blockBytes) + payloadBytes + (batches + 1) * frameOverheadBytes
  return alignUp(Math.max(bytes, journalLimits.segmentBytesMin), blockBytes)
}

function headerOf({ header, segNo, before }: SegmentOfBatches, segmentBytes: number): SegmentHeader {
  return {
    journalId: header.journalId,
    serverId: header.journalId,
    streamId: 1,
    segEpoch: 1,
    timeline: 1,
    blockBytes,
    segNo,
    baseLsn: header.base,
    segmentBytes,
    salt: digest16(header.baseDigest, header.tailDigest),
    prevSegDigest: before?.digest ?? Buffer.alloc(digestBytes),
    createdWallMs: 0,
  }
}

async function* piecesOf(
  { header, before, wallMsOf }: SegmentOfBatches,
  source: Pieces,
  segment: SegmentHeader,
  ended: (end: SegmentEnd) => void,
): AsyncGenerator<Buffer, void> {
  let wallMs = before?.wallMs ?? 0
  let digest = segment.prevSegDigest
  let offset = firstFrameOffset(blockBytes)
  const frame = (firstLsn: number, entryCount: number, flags: number, payload: readonly Buffer[]): Buffer => {
    const head = Buffer.alloc(frameHeaderBytes)
    const done = lsn(firstLsn - 1)
    const { salt, segEpoch } = segment
    const place = { flags, entryCount, firstLsn: lsn(firstLsn), fileOffset: offset, segEpoch, salt }
    digest = encodeFrame(
      head,
      { ...place, committedLsn: done, durableLsn: done, wallMs, prevDigest: digest },
      ...payload,
    )
    offset += frameBytes(payload.reduce((sum, part) => sum + part.length, 0))
    return head
  }
  const head = encodeSegmentHeader(segment)
  yield Buffer.concat([head, Buffer.alloc(offset - head.length)])
  for await (const { batches } of source)
    for (const { firstLsn, entryCount, payload } of batches) {
      wallMs = Math.max(wallMs, wallMsOf(payload))
      yield frame(firstLsn, entryCount, 0, [payload])
      yield payload
      yield digest
    }
  yield frame(header.tail + 1, 0, frameFlags.seal, [])
  yield digest
  ended({ digest, wallMs })
  yield Buffer.alloc(segment.segmentBytes - offset)
}
