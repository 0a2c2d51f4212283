import type { MemoryStorage } from '../../src/journal/memory-storage.ts'
import { segmentsOf } from '../../src/journal/segment-name.ts'
import type { StorageOperation } from '../../src/journal/storage-faults.ts'
import type { VirtualFile } from '../../src/journal/virtual-file.ts'

interface Kept {
  readonly name: string
  readonly file: VirtualFile
}

/** Keeps what the journal removes, so that a history can be read from its first entry on. */
export class Attic {
  /** By number. A segment that recovery removed at the torn end gets a successor of the same number, which goes later. */
  readonly #kept = new Map<number, Kept>()

  /** Before a segment loses its name. */
  look({ kind, name }: StorageOperation, disk: MemoryStorage): void {
    if (kind !== 'remove' && kind !== 'rename') return
    if (!disk.list().includes(name)) return
    for (const { segNo } of segmentsOf([name])) this.#kept.set(segNo, { name, file: disk.copyOf(name, 'flawless') })
  }

  /** The journal as it would be if no old segment had been removed. */
  wholeOf(disk: MemoryStorage): MemoryStorage {
    const whole = disk.clone()
    const oldest = segmentsOf(disk.list())[0]?.segNo ?? 0
    for (const [segNo, { name, file }] of this.#kept) if (segNo < oldest) whole.plant(name, file)
    return whole
  }
}
