import fs from 'node:fs'
import path from 'node:path'
import { attempt, syncDirectory } from '../journal/file-calls.ts'
import { FileStorage } from '../journal/file-storage.ts'
import { shortFlush } from '../journal/short-flush-adapter.ts'
import type { JournalStorage } from '../journal/storage.ts'
import type { ServerDisk } from './server-disk.ts'

/** Directories on their way out: after a crash in between they are removed at the next start. */
const goneSuffix = '.gone'

/** Which disk a directory lies on, of those of this host: two directories of one are lost together. */
export const deviceOf = (directory: string): string => attempt('stat', directory, () => `${fs.statSync(directory).dev}`)

/** A journal server's directory in the file system, made when missing. One process may have it. */
export class FileServerDisk implements ServerDisk {
  readonly place: string
  /** All of it is on one device. */
  private readonly flushFile = shortFlush()

  constructor(directory: string) {
    this.place = path.resolve(directory)
  }

  directories(at: string): string[] {
    const directory = this.path(at)
    const names = attempt('list', directory, () => fs.readdirSync(directory, { withFileTypes: true }))
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
    for (const name of names) if (name.endsWith(goneSuffix)) this.erase(path.join(directory, name))
    return names.filter((name) => !name.endsWith(goneSuffix)).sort()
  }

  open(at: string): JournalStorage {
    const storage = new FileStorage(this.path(at), this.flushFile)
    // whoever made it may have died before its name was durable
    syncDirectory(path.dirname(this.path(at)))
    return storage
  }

  remove(at: string): void {
    const directory = this.path(at)
    const gone = directory + goneSuffix
    this.erase(gone)
    attempt('rename', directory, () => fs.renameSync(directory, gone))
    syncDirectory(path.dirname(directory))
    this.erase(gone)
  }

  private erase(directory: string): void {
    attempt('remove', directory, () => fs.rmSync(directory, { recursive: true, force: true }))
  }

  private path(at: string): string {
    return path.join(this.place, at)
  }
}
