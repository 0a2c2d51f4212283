import type { JournalFile } from './storage.ts'

/** Reads a file front to back in slices of some megabytes, each in fresh memory, so that parts of it may be kept without a copy. */
export class SliceReader {
  private readonly file: JournalFile
  private readonly sliceBytes: number
  private slice: Buffer = Buffer.alloc(0)
  private start = 0

  constructor(file: JournalFile, sliceBytes: number) {
    this.file = file
    this.sliceBytes = sliceBytes
  }

  /** The bytes at this place; fewer than asked for only at the end of the file. */
  at(offset: number, bytes: number): Buffer {
    if (offset < this.start || offset + bytes > this.start + this.slice.length)
      this.read(offset, Math.max(0, Math.min(Math.max(bytes, this.sliceBytes), this.file.size() - offset)))
    return this.slice.subarray(offset - this.start, offset - this.start + bytes)
  }

  drop(): void {
    this.slice = Buffer.alloc(0)
  }

  private read(offset: number, bytes: number): void {
    const fresh = Buffer.allocUnsafeSlow(bytes)
    this.slice = fresh.subarray(0, this.file.read(fresh, offset))
    this.start = offset
  }
}
