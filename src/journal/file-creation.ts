import fs from 'node:fs'
import path from 'node:path'
import { CommanderError } from '../kernel/errors.ts'
import { syncDirectory } from './file-calls.ts'
import { journalLimits } from './options.ts'
import { type Creation, temporarySuffix } from './storage.ts'

/** Slice by slice on the thread pool, each flushed by itself: one flush of a whole segment would hold up those of the running one. */
export class FileCreation implements Creation {
  private readonly path: string
  private readonly temporary: string
  private readonly bytes: number
  private readonly zeroFill: boolean
  private cancelled = false
  private hurried = false

  constructor(filePath: string, bytes: number, zeroFill: boolean) {
    this.path = filePath
    this.temporary = filePath + temporarySuffix
    this.bytes = bytes
    this.zeroFill = zeroFill
  }

  cancel(): void {
    this.cancelled = true
  }

  hurry(): void {
    this.hurried = true
  }

  async run(recycled: string | null): Promise<void> {
    try {
      if (recycled !== null) this.takeOver(recycled)
      await this.fill(recycled !== null)
      fs.renameSync(this.temporary, this.path)
    } catch (error) {
      fs.rmSync(this.temporary, { force: true })
      throw error
    }
    syncDirectory(path.dirname(this.path))
  }

  /** Its old name must be gone for good before its bytes are: else a crash could leave an old segment of zeros. */
  private takeOver(recycled: string): void {
    fs.renameSync(recycled, this.temporary)
    syncDirectory(path.dirname(this.path))
  }

  private async fill(recycled: boolean): Promise<void> {
    const file = await fs.promises.open(this.temporary, recycled ? 'r+' : 'w', 0o600)
    try {
      if (this.zeroFill) await this.writeZeros(file)
      else await file.truncate(0)
      await file.truncate(this.bytes)
      await file.sync()
      this.stopWhenCancelled()
    } finally {
      await file.close()
    }
  }

  private async writeZeros(file: fs.promises.FileHandle): Promise<void> {
    const zeros = Buffer.alloc(Math.min(journalLimits.fillSliceBytes, this.bytes))
    for (let at = 0; at < this.bytes; ) {
      this.stopWhenCancelled()
      const { bytesWritten } = await file.write(zeros, 0, Math.min(zeros.length, this.bytes - at), at)
      at += bytesWritten
      await this.giveWay(file)
    }
  }

  /** Flushes the slice and leaves the disk alone for twice as long as that took, unless somebody waits for the file. */
  private async giveWay(file: fs.promises.FileHandle): Promise<void> {
    if (this.hurried) return
    const startMs = performance.now()
    await file.datasync()
    const pauseMs = 2 * (performance.now() - startMs)
    await new Promise<void>((resolve) => {
      setTimeout(resolve, pauseMs)
    })
  }

  private stopWhenCancelled(): void {
    if (this.cancelled) throw new CommanderError('not_ready', `making ${this.path} was cancelled`)
  }
}
