import { assert } from '../kernel/assert.ts'
import type { CommanderError } from '../kernel/errors.ts'
import type { Done, JournalFile } from './storage.ts'
import type { StorageFault, StorageOperation } from './storage-faults.ts'
import type { Landing, VirtualFile } from './virtual-file.ts'

/** What an open file needs of its disk. */
export interface FaultyDisk {
  /** Grows with every crash. */
  readonly currentGeneration: number
  later(run: () => void): void
  /** Where a write arrives on the medium under this fault; undefined: where it should. */
  landing(fault: StorageFault | null): Landing | undefined
  guard(operation: StorageOperation, run: (fault: StorageFault | null) => void): void
  attempt(operation: StorageOperation, run: () => void): CommanderError | null
}

/** A file of the virtual disk, opened; of no use any more once the machine has crashed. */
export class OpenVirtualFile implements JournalFile {
  readonly name: string
  private readonly storage: FaultyDisk
  private readonly file: VirtualFile
  private readonly writable: boolean
  private readonly generation: number
  private closed = false

  constructor(storage: FaultyDisk, name: string, file: VirtualFile, writable: boolean) {
    this.storage = storage
    this.name = name
    this.file = file
    this.writable = writable
    this.generation = storage.currentGeneration
  }

  size(): number {
    return this.file.size
  }

  read(target: Buffer, position: number): number {
    this.mustBeOpen()
    let count = 0
    this.storage.guard({ kind: 'read', name: this.name }, () => {
      count = this.file.read(target, position)
    })
    return count
  }

  write(parts: readonly Buffer[], position: number): void {
    this.mustBeOpen()
    assert(this.writable, `${this.name} was opened for reading`)
    const all = Buffer.concat(parts)
    this.storage.guard({ kind: 'write', name: this.name, position, bytes: all.length }, (fault) =>
      this.file.write(
        fault === 'short' ? all.subarray(0, all.length >> 1) : all,
        position,
        this.storage.landing(fault),
      ),
    )
  }

  flush(done: Done): void {
    this.mustBeOpen()
    const covered = this.file.writesSoFar()
    this.storage.later(() => {
      const error = this.storage.attempt({ kind: 'flush', name: this.name }, () => this.file.sync(covered))
      if (error !== null) this.file.giveUp(covered)
      done(error)
    })
  }

  close(): void {
    this.mustBeOpen()
    this.closed = true
  }

  private mustBeOpen(): void {
    assert(!this.closed, `${this.name} is closed`)
    assert(this.generation === this.storage.currentGeneration, `${this.name} was open when the machine crashed`)
  }
}
