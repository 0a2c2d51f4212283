import type { MemoryStorage } from '../../src/journal/memory-storage.ts'
import { segmentsOf, spareName } from '../../src/journal/segment-name.ts'
import type { StorageFault, StorageOperation } from '../../src/journal/storage-faults.ts'
import type { SeededRandom } from '../../src/testing/seeded-random.ts'

export const mediaFaultKinds = [
  'bitFlip',
  'bitFlip',
  'bitFlip',
  'misdirect',
  'dropWrite',
  'dropWrite',
  'reread',
] as const
export type MediaFaultKind = (typeof mediaFaultKinds)[number]

const pageBytes = 4096
const sectorBytes = 512

/** What a medium does without saying so: it changes bits, and takes writes that it puts elsewhere, or nowhere. */
export class MediaFaults {
  /** Those that struck, not those that were only meant to. */
  readonly counts: Record<string, number> = {}
  readonly #disk: MemoryStorage
  readonly #random: SeededRandom
  /** What happens to the next write to a segment. */
  #next: 'misdirect' | 'dropWrite' | null = null

  /** What is only in memory is lost, as with the power: files are read again, or copies are put in their place. */
  readonly forget: () => void

  constructor(disk: MemoryStorage, random: SeededRandom, forget: () => void) {
    this.forget = forget
    this.#disk = disk
    this.#random = random
  }

  get hasStruck(): boolean {
    return Object.keys(this.counts).length > 0
  }

  strike(kind: MediaFaultKind): void {
    switch (kind) {
      case 'bitFlip':
        return this.#flipBit()
      case 'reread':
        return this.reread()
      default:
        this.#next = kind
    }
  }

  stop(): void {
    this.#next = null
  }

  /** Nothing is kept in memory any more: what is on the medium shows. */
  reread(): void {
    this.#count('reread')
    this.forget()
    for (const { name } of segmentsOf(this.#disk.list())) this.#disk.reread(name)
  }

  /** How the medium does this write. */
  onWrite({ name, position, bytes }: StorageOperation): StorageFault | null {
    if (this.#next === null || segmentsOf([name]).length === 0) return null
    const kind = this.#next
    this.#next = null
    this.#count(kind)
    if (kind === 'dropWrite') return 'dropped'
    const elsewhere = this.#random.chance(0.5) ? name : this.#random.pick(this.#files())
    const away = sectorBytes * this.#random.pick([1, 8, this.#random.integer(1, 64)])
    const at = Math.max(0, (position ?? 0) + (this.#random.chance(0.5) ? away : -away))
    return { kind: 'misdirected', name: elsewhere, position: bytes === undefined ? 0 : at }
  }

  #files(): string[] {
    const names = this.#disk.list()
    return [...segmentsOf(names).map(({ name }) => name), ...names.filter((name) => name === spareName)]
  }

  /** Mostly in the newest segments, where what is there matters to more. */
  #flipBit(): void {
    const files = this.#files().filter((name) => this.#disk.usedPages(name).length > 0)
    if (files.length === 0) return
    const name = this.#random.chance(0.5) ? (files.at(-1) as string) : this.#random.pick(files)
    const pages = this.#disk.usedPages(name)
    const page = this.#random.chance(0.3) ? (pages.at(-1) as number) : this.#random.pick(pages)
    const bit = this.#random.integer(0, pageBytes * 8 - 1)
    const layers = this.#random.pick([['seen', 'medium'], ['seen', 'medium'], ['medium'], ['seen']] as const)
    this.#disk.flipBit(name, page * pageBytes * 8 + bit, layers)
    this.#count('bitFlip')
  }

  #count(kind: string): void {
    this.counts[kind] = (this.counts[kind] ?? 0) + 1
  }
}
