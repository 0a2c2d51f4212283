import type { Lsn } from '../kernel/identifiers.ts'

export interface WrittenRange {
  readonly segment: string
  readonly from: number
  readonly to: number
  readonly lastLsn: Lsn
}

/** The scanned frames that nothing vouches for yet: bounded by what the writer lets gather between two flushes. */
export class UnflushedFrames {
  private ranges: WrittenRange[] = []
  private start = 0

  push(range: WrittenRange): void {
    this.ranges.push(range)
  }

  /** Everything up to here was flushed. */
  drop(durableLsn: Lsn): void {
    for (let range = this.ranges[this.start]; range && range.lastLsn <= durableLsn; range = this.ranges[this.start])
      this.start++
    if (this.start < 1024) return
    this.ranges = this.ranges.slice(this.start)
    this.start = 0
  }

  list(): WrittenRange[] {
    return this.ranges.slice(this.start)
  }
}
