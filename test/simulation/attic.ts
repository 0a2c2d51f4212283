import type { MemoryStorage } from '../../src/journal/memory-storage.ts'
import { segmentsOf } from '../../src/journal/segment-name.ts'
import type { StorageOperation } from '../../src/journal/storage-faults.ts'

/** Keeps what the journal removes, so that a history can be read from its first entry on. */
export class Attic {
  readonly #kept = new Map<string, Buffer>()

  /** Before a segment loses its name. */
  look({ kind, name }: StorageOperation, disk: MemoryStorage): void {
    if ((kind !== 'remove' && kind !== 'rename') || segmentsOf([name]).length === 0) return
    const bytes = disk.readWhole(name)
    if (bytes !== null) this.#kept.set(name, Buffer.from(bytes))
  }

  /** The journal as it would be if nothing had been removed. */
  wholeOf(disk: MemoryStorage): MemoryStorage {
    const whole = disk.clone()
    for (const [name, bytes] of this.#kept) if (disk.readWhole(name) === null) whole.replace(name, bytes)
    return whole
  }
}
