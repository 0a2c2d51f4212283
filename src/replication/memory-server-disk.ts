import { MemoryStorage, type MemoryStorageOptions } from '../journal/memory-storage.ts'
import type { JournalStorage } from '../journal/storage.ts'
import type { Random } from '../kernel/environment.ts'
import type { ServerDisk } from './server-disk.ts'

/** Directories on a virtual disk that loses power on demand: the memory twin of `FileServerDisk`. */
export class MemoryServerDisk implements ServerDisk {
  readonly place = 'memory'
  readonly storages: Map<string, MemoryStorage> = new Map()
  private readonly options: MemoryStorageOptions

  constructor(options: MemoryStorageOptions) {
    this.options = options
  }

  directories(at: string): string[] {
    const prefix = at === '' ? '' : `${at}/`
    const below = [...this.storages.keys()].filter((name) => name !== '' && name.startsWith(prefix))
    return [...new Set(below.map((name) => name.slice(prefix.length).split('/')[0] ?? ''))].sort()
  }

  open(at: string): JournalStorage {
    let storage = this.storages.get(at)
    if (storage === undefined) {
      storage = new MemoryStorage(this.options)
      storage.guard({ kind: 'create', name: at }, () => undefined)
      this.storages.set(at, storage)
    }
    return storage
  }

  remove(at: string): void {
    const below = [...this.storages].filter(([name]) => name === at || name.startsWith(`${at}/`))
    below[0]?.[1].guard({ kind: 'remove', name: at }, () => undefined)
    for (const [name] of below) this.storages.delete(name)
  }

  /** The power fails on all of it. */
  crash(random: Random): void {
    for (const storage of this.storages.values()) storage.crash(random)
  }

  /** The process dies, the operating system lives. */
  kill(): void {
    for (const storage of this.storages.values()) storage.kill()
  }
}
