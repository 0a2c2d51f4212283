import type { JournalStorage } from '../journal/storage.ts'

/**
 * Directories of a journal server. Paths are relative, of one or two names, with `/` between them; '' is the server's own. Over the file system, or
 * virtual ones that lose power on demand.
 */
export interface ServerDisk {
  /** For messages. */
  readonly place: string
  /** Names of the directories right below it, sorted. */
  directories(path: string): string[]
  /** The files of a directory, which is made where it is missing; its name is durable when it returns. */
  open(path: string): JournalStorage
  /** With everything in it. Gone for good when it returns, or there as a whole. */
  remove(path: string): void
}
