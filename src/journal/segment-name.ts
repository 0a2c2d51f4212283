import { type Lsn, lsn } from '../kernel/identifiers.ts'

/** What the name of a segment says; its header must say the same. */
export interface SegmentName {
  readonly name: string
  /** 1, 2, 3… without gaps; older ones may be gone. */
  readonly segNo: number
  /** LSN of its first entry. */
  readonly baseLsn: Lsn
}

/** Both numbers are in the name, so that the segment of an LSN is found without opening any (as in etcd's wal). */
const pattern = /^(\d{10})-(\d{16})\.segment$/

export const spareName = 'spare.segment'
/** A segment on its way to its name, made in a hurry because there was no spare. */
export const nextName = 'next.segment'
export const cleanStopName = 'clean-stop'

export function segmentName(segNo: number, baseLsn: Lsn): string {
  return `${String(segNo).padStart(10, '0')}-${String(baseLsn).padStart(16, '0')}.segment`
}

/** The segments among these files, oldest first. */
export function segmentsOf(names: readonly string[]): SegmentName[] {
  const segments: SegmentName[] = []
  for (const name of names) {
    const match = pattern.exec(name)
    if (match) segments.push({ name, segNo: Number(match[1]), baseLsn: lsn(Number(match[2])) })
  }
  return segments.sort((a, b) => a.segNo - b.segNo || a.baseLsn - b.baseLsn)
}

/** Where recovery keeps what it cut off: `torn` was never acknowledged, `lost` was given up by an operator. */
export function asideName(why: 'torn' | 'lost', segment: string, offset: number, wallMs: number): string {
  return `${why}-${segment.replace(/\.segment$/, '')}-${offset}-${wallMs}.bin`
}

/** Oldest first by the wall time in their names. */
export function tornCopiesOf(names: readonly string[]): string[] {
  const stamp = (name: string): number => Number(/-(\d+)\.bin$/.exec(name)?.[1] ?? 0)
  return names.filter((name) => /^torn-.*\.bin$/.test(name)).sort((a, b) => stamp(a) - stamp(b))
}
