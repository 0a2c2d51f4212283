import { type Lsn, lsn, noLsn } from '../kernel/identifiers.ts'
import { lookBehind, magicsIn } from './behind.ts'
import { decodeFrameHeader, type FrameHeader, frameBytes, frameMagic, hasSalt, payloadHolds } from './frame.ts'
import { frameHeaderBytes, journalLimits, segmentHeaderBytes } from './options.ts'
import { carryOut } from './recovery-steps.ts'
import { readSegmentChain, type SegmentFile } from './segment-chain.ts'
import { isZero } from './segment-cursor.ts'
import { segmentsOf } from './segment-name.ts'
import type { JournalFile, JournalStorage } from './storage.ts'

/** A sound frame of a damaged journal. */
export interface FramePlace {
  readonly segment: string
  readonly offset: number
  readonly firstLsn: Lsn
  readonly entryCount: number
  readonly payloadBytes: number
}

export interface Salvage {
  /** All sound frames with entries, in the order of their LSNs. */
  readonly frames: readonly FramePlace[]
  /** The highest LSN that anything says was there: a sound frame, one whose payload is damaged, or one that was flushed before. */
  readonly lastLsn: Lsn
  /** The highest LSN that a frame says had been flushed. */
  readonly durableLsn: Lsn
  /** Behind the last sound frame of the last segment there are only zeros. */
  readonly endIsClean: boolean
}

/**
 * What is left of a journal that cannot be opened: every frame that holds and lies in its place, whatever is between them.
 * For a copy that others have too; alone, it says nothing about what is missing at the end.
 */
export function salvage(storage: JournalStorage): Salvage {
  const frames: FramePlace[] = []
  let last = noLsn
  let durable = noLsn
  let endIsClean = true
  for (const segment of readSegmentChain(storage, null).segments) {
    const file = storage.openReadOnly(segment.name)
    try {
      let soundEnd = segment.header === null ? 0 : segmentHeaderBytes
      for (const { header, offset, isSound } of framesOf(file, segment)) {
        const lastLsn = header.firstLsn + header.entryCount - 1
        last = lsn(Math.max(last, lastLsn, header.durableLsn))
        durable = lsn(Math.max(durable, header.durableLsn))
        if (isSound) soundEnd = offset + frameBytes(header.payloadBytes)
        if (isSound && header.entryCount > 0) frames.push(placeOf(header, segment.name, offset))
      }
      endIsClean = lookBehind(file, soundEnd, lsn(Number.MAX_SAFE_INTEGER), null).usedEnd === soundEnd
    } finally {
      file.close()
    }
  }
  frames.sort((a, b) => a.firstLsn - b.firstLsn)
  return { frames, lastLsn: last, durableLsn: durable, endIsClean }
}

/** R8: what may not be on the medium is written again and flushed before anybody counts on it. */
export async function makeSalvageDurable(storage: JournalStorage, { frames, durableLsn }: Salvage): Promise<void> {
  const unsure = frames.filter(({ firstLsn, entryCount }) => firstLsn + entryCount - 1 > durableLsn)
  const names = segmentsOf(storage.list()).map(({ name }) => name)
  await carryOut(storage, [
    ...unsure.map(({ segment, offset, payloadBytes }) => ({
      kind: 'writeBack' as const,
      name: segment,
      from: offset,
      to: offset + frameBytes(payloadBytes),
    })),
    ...names.map((name) => ({ kind: 'flush' as const, name })),
    { kind: 'flushNames' },
  ])
}

/** The payload of a frame that `salvage` found. */
export function readSalvaged(storage: JournalStorage, { segment, offset, payloadBytes }: FramePlace): Buffer {
  const payload = Buffer.allocUnsafe(payloadBytes)
  const file = storage.openReadOnly(segment)
  try {
    file.read(payload, offset + frameHeaderBytes)
    return payload
  } finally {
    file.close()
  }
}

interface Found {
  readonly header: FrameHeader
  readonly offset: number
  readonly isSound: boolean
}

function* framesOf(file: JournalFile, segment: SegmentFile): Generator<Found> {
  const size = file.size()
  const sliceBytes = journalLimits.copySliceBytes
  let free = 0
  for (let at = 0; at < size; at += sliceBytes) {
    // the magic of a frame may lie across two slices
    const slice = Buffer.allocUnsafe(Math.min(sliceBytes + frameMagic.length - 1, size - at))
    file.read(slice, at)
    if (isZero(slice)) continue
    for (const offset of magicsIn(slice, at)) {
      if (offset < free) continue
      const found = frameAt(file, segment, offset)
      if (found === null) continue
      if (found.isSound) free = offset + frameBytes(found.header.payloadBytes)
      yield found
    }
  }
}

function frameAt(file: JournalFile, { header: of }: SegmentFile, offset: number): Found | null {
  const head = Buffer.alloc(frameHeaderBytes)
  if (file.read(head, offset) < head.length) return null
  const header = decodeFrameHeader(head, 0)
  if (header === null || header.fileOffset !== offset || header.codec !== 0) return null
  if (of !== null && (!hasSalt(head, 0, of.salt) || header.segEpoch !== of.segEpoch)) return null
  const bytes = frameBytes(header.payloadBytes)
  const whole = Buffer.allocUnsafe(Math.min(bytes, file.size() - offset))
  file.read(whole, offset)
  const isSound = whole.length === bytes && payloadHolds(whole, 0, header.payloadBytes, 'digest')
  return { header, offset, isSound }
}

const placeOf = (header: FrameHeader, segment: string, offset: number): FramePlace => ({
  segment,
  offset,
  firstLsn: header.firstLsn,
  entryCount: header.entryCount,
  payloadBytes: header.payloadBytes,
})
