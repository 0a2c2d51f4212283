import type { Random, Scheduler } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type FaultyDisk, OpenVirtualFile } from './open-virtual-file.ts'
import { type Creation, type Done, type JournalFile, type JournalStorage, temporarySuffix } from './storage.ts'
import { fullError, PowerLoss, type StorageFault, type StorageOperation } from './storage-faults.ts'
import { VirtualDirectory } from './virtual-directory.ts'
import { type Landing, type Layer, VirtualFile } from './virtual-file.ts'

export { PowerLoss, type StorageFault, type StorageOperation } from './storage-faults.ts'

export interface MemoryStorageOptions {
  readonly scheduler: Scheduler
  /** Time from the start of a flush, or of a creation, to its end. Default 0. */
  readonly flushDelayMs?: number
  /** Asked before every operation. Default: nothing fails. */
  fault?(operation: StorageOperation): StorageFault | null
}

const ofDirectory: StorageOperation = { kind: 'flushNames', name: '' }

/**
 * A virtual disk: keeps what was written apart from what was flushed, so that a crash can drop, keep or tear it per block
 * of 512 bytes. The memory twin of `FileStorage`; both pass one contract suite.
 */
export class MemoryStorage implements JournalStorage, FaultyDisk {
  /** Bytes that `create` still has room for; lower it to fill the disk. */
  freeBytes: number = Number.MAX_SAFE_INTEGER
  private readonly directory = new VirtualDirectory()
  private generation = 0
  private readonly options: MemoryStorageOptions

  constructor(options: MemoryStorageOptions) {
    this.options = options
  }

  list(): string[] {
    return this.directory.names()
  }

  open(name: string): JournalFile {
    return new OpenVirtualFile(this, name, this.find(name), true)
  }

  openReadOnly(name: string): JournalFile {
    return new OpenVirtualFile(this, name, this.find(name), false)
  }

  create(name: string, bytes: number, _zeroFill: boolean, done: Done, recycled?: string): Creation {
    let cancelled = false
    const temporary = name + temporarySuffix
    let failure = this.attempt({ kind: 'create', name }, () => {
      if (recycled !== undefined) this.rename(recycled, temporary)
      if (recycled === undefined) this.allocate(temporary, bytes)
      else this.find(temporary).clear(bytes)
    })
    this.later(() => {
      if (cancelled) failure ??= new CommanderError('not_ready', `making ${name} was cancelled`)
      failure ??= this.attempt({ kind: 'rename', name: temporary }, () => this.renameNow(temporary, name))
      failure ??= this.attempt(ofDirectory, () => this.directory.sync())
      if (failure !== null) this.directory.change([temporary, null])
      done(failure)
    })
    return {
      cancel: () => {
        cancelled = true
      },
      hurry: () => undefined,
    }
  }

  createNow(name: string, bytes: number): void {
    const temporary = name + temporarySuffix
    this.guard({ kind: 'create', name }, () => this.allocate(temporary, bytes))
    this.rename(temporary, name)
  }

  rename(from: string, to: string): void {
    this.find(from)
    this.guard({ kind: 'rename', name: from }, () => this.renameNow(from, to))
    this.flushNames()
  }

  remove(name: string): void {
    const { size } = this.find(name)
    this.guard({ kind: 'remove', name }, () => this.directory.change([name, null]))
    this.freeBytes += size
    this.flushNames()
  }

  writeWhole(name: string, bytes: Uint8Array): void {
    this.guard({ kind: 'writeWhole', name }, () => this.directory.change([name, VirtualFile.of(bytes)]))
    this.flushNames()
  }

  flushNames(): void {
    this.guard(ofDirectory, () => this.directory.sync())
  }

  readWhole(name: string): Buffer | null {
    return this.directory.get(name)?.bytes() ?? null
  }

  // ---- what only a virtual disk can do

  /** Puts these bytes there, durable, past every check: to plant files and damage. */
  replace(name: string, bytes: Uint8Array): void {
    this.directory.plant(name, VirtualFile.of(bytes))
  }

  /** Another file with the same bytes, or with those that would be there if the medium had not failed. */
  copyOf(name: string, which: 'seen' | 'flawless' = 'seen'): VirtualFile {
    const file = this.find(name)
    return which === 'seen' ? file.copy() : file.flawlessCopy()
  }

  /** The same as `replace`, with what `copyOf` gave. */
  plant(name: string, file: VirtualFile): void {
    this.directory.plant(name, file.copy())
  }

  flipBit(name: string, bitIndex: number, layers?: readonly Layer[]): void {
    this.find(name).flipBit(bitIndex, layers)
  }

  /** Programs see what is on the medium of this file from now on. */
  reread(name: string): void {
    this.find(name).reread()
  }

  usedPages(name: string): number[] {
    return this.find(name).usedPages()
  }

  /** Files of which programs see, or would see once they are read again, what the medium has got wrong. */
  damaged(layer: Layer): string[] {
    return [...this.directory.files()].filter(([, file]) => file.isDamaged(layer)).map(([name]) => name)
  }

  /** Somebody puts back what was there before the medium failed. */
  repair(name: string): void {
    this.find(name).repair()
  }

  /** From this byte on, what is there now is right. */
  accept(name: string, from: number): void {
    this.find(name).accept(from)
  }

  /** An independent disk with what would be on this one if the medium had never failed. */
  flawless(): MemoryStorage {
    const copy = new MemoryStorage(this.options)
    for (const [name, file] of this.directory.files()) copy.directory.plant(name, file.flawlessCopy())
    return copy
  }

  /** Bytes as programs see them, or as they are on the medium: where the two differ, something was not flushed, or lost. */
  peek(name: string, position: number, length: number, layer: Layer): Buffer {
    return this.find(name).peek(position, length, layer)
  }

  /** Changes bytes behind everybody's back; on the medium alone it shows once the power has failed. */
  poke(name: string, position: number, bytes: Buffer, layer: Layer): void {
    this.find(name).poke(bytes, position, layer)
  }

  /** The power fails: handles die, flushes never end, and what was not flushed is there, gone or torn as `random` has it. */
  crash(random: Random): void {
    this.generation++
    this.directory.crash(random)
    const mood = random.uint32() % 4
    for (const [, file] of this.directory.files())
      file.crash(() => (mood === 0 ? false : mood === 1 ? true : random.uint32() % 2 === 0))
  }

  /** The process dies and the operating system lives: handles die, everything written is still there, flushed or not. */
  kill(): void {
    this.generation++
  }

  /** An independent disk with the same bytes, all durable. */
  clone(options: MemoryStorageOptions = this.options): MemoryStorage {
    const copy = new MemoryStorage(options)
    for (const [name, file] of this.directory.files()) copy.directory.plant(name, file.copy())
    return copy
  }

  // ---- for its files

  get currentGeneration(): number {
    return this.generation
  }

  later(run: () => void): void {
    const generation = this.generation
    this.options.scheduler.after(this.options.flushDelayMs ?? 0, () => {
      if (generation === this.generation) run()
    })
  }

  landing(fault: StorageFault | null): Landing | undefined {
    if (fault === 'dropped') return null
    if (fault === null || typeof fault === 'string') return undefined
    return { file: this.find(fault.name), position: fault.position }
  }

  /** @throws CommanderError journal_full | journal_failed, or PowerLoss, as the fault hook says */
  guard(operation: StorageOperation, run: (fault: StorageFault | null) => void): void {
    const fault = this.options.fault?.(operation) ?? null
    if (fault === 'crash') throw new PowerLoss(`before ${operation.kind} ${operation.name}`)
    if (fault === 'eio') throw new CommanderError('journal_failed', `cannot ${operation.kind} ${operation.name}: EIO`)
    if (fault === 'enospc') throw fullError(operation)
    if (fault !== 'lost') run(fault)
    if (fault === 'short') throw fullError(operation)
    if (fault === 'crashAfter') throw new PowerLoss(`after ${operation.kind} ${operation.name}`)
  }

  attempt(operation: StorageOperation, run: () => void): CommanderError | null {
    try {
      this.guard(operation, run)
      return null
    } catch (error) {
      if (error instanceof CommanderError) return error
      throw error
    }
  }

  private allocate(name: string, bytes: number): void {
    if (bytes > this.freeBytes) throw fullError({ kind: 'create', name })
    this.freeBytes -= bytes
    this.directory.change([name, VirtualFile.zeros(bytes)])
  }

  private renameNow(from: string, to: string): void {
    this.directory.change([from, null], [to, this.find(from)])
  }

  private find(name: string): VirtualFile {
    const file = this.directory.get(name)
    if (!file) throw new CommanderError('not_found', `${name} does not exist`)
    return file
  }
}
