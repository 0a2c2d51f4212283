import { isZero } from './segment-cursor.ts'

const pageBytes = 4096
/** What a disk writes as a whole. */
const sectorBytes = 512

/** What programs see, or what is on the medium. */
export type Layer = 'seen' | 'medium'

/** Where a write arrives on the medium that is not where it was meant for; `null`: nowhere. */
export type Landing = { readonly file: VirtualFile; readonly position: number } | null

interface UnsyncedWrite {
  readonly position: number
  readonly bytes: Buffer
  readonly landing: Landing | undefined
}

/**
 * One file of the virtual disk: what programs see, what is on the medium, and the writes in between. Absent pages are
 * zeros. Once the medium has failed it, what would be there without that is kept as well, for whoever judges.
 */
export class VirtualFile {
  private seen = new Map<number, Buffer>()
  private medium = new Map<number, Buffer>()
  private unsynced: UnsyncedWrite[] = []
  /** The medium as it would be if it had never failed; null while that is what it is. */
  private flawless: Map<number, Buffer> | null = null
  /** A flush of these failed: programs see them until the file is read again. */
  private unkept: UnsyncedWrite[] = []
  private syncedWrites = 0
  private bytesSeen = 0
  private bytesOnMedium = 0

  static zeros(bytes: number): VirtualFile {
    const file = new VirtualFile()
    file.bytesSeen = bytes
    file.bytesOnMedium = bytes
    return file
  }

  static of(bytes: Uint8Array): VirtualFile {
    const file = VirtualFile.zeros(bytes.length)
    const copy = Buffer.from(bytes)
    for (let at = 0; at < copy.length; at += pageBytes) {
      const page = copy.subarray(at, at + pageBytes)
      if (isZero(page)) continue
      put(file.seen, page, at)
      put(file.medium, page, at)
    }
    return file
  }

  /** Another one with the bytes that programs see, all durable. */
  copy(): VirtualFile {
    const file = VirtualFile.zeros(this.bytesSeen)
    file.seen = copyOf(this.seen)
    file.medium = copyOf(this.seen)
    return file
  }

  get size(): number {
    return this.bytesSeen
  }

  /** All zeros again, durable; those who have it open see it happen. */
  clear(bytes: number): void {
    this.seen.clear()
    this.medium.clear()
    this.syncedWrites = this.writesSoFar()
    this.unsynced = []
    this.unkept = []
    this.flawless = null
    this.bytesSeen = bytes
    this.bytesOnMedium = bytes
  }

  bytes(): Buffer {
    const all = Buffer.allocUnsafe(this.bytesSeen)
    this.read(all, 0)
    return all
  }

  read(target: Buffer, position: number): number {
    const count = Math.max(0, Math.min(target.length, this.bytesSeen - position))
    get(this.seen, target, position, count)
    return count
  }

  write(bytes: Buffer, position: number, landing?: Landing): void {
    const copy = Buffer.from(bytes)
    put(this.seen, copy, position)
    this.bytesSeen = Math.max(this.bytesSeen, position + copy.length)
    this.unsynced.push({ position, bytes: copy, landing })
  }

  /** Counts writes since the file was made; what `sync` is told to cover. */
  writesSoFar(): number {
    return this.syncedWrites + this.unsynced.length
  }

  sync(coveredWrites: number): void {
    while (this.syncedWrites < coveredWrites) {
      const write = this.unsynced.shift()
      if (!write) break
      this.toMedium(write.bytes, write.position, write.landing)
      this.syncedWrites++
    }
  }

  /** A flush of these failed: the system takes them for clean from now on, and they are not on the medium. */
  giveUp(coveredWrites: number): void {
    while (this.syncedWrites < coveredWrites) {
      const write = this.unsynced.shift()
      if (!write) break
      this.unkept.push(write)
      this.syncedWrites++
    }
  }

  crash(survives: () => boolean): void {
    for (const { bytes, position, landing } of this.unsynced) {
      for (let done = 0; done < bytes.length; ) {
        const length = Math.min(sectorBytes - ((position + done) % sectorBytes), bytes.length - done)
        const landed = landing == null ? landing : { file: landing.file, position: landing.position + done }
        if (survives()) this.toMedium(bytes.subarray(done, done + length), position + done, landed)
        done += length
      }
    }
    this.unsynced = []
    this.unkept = []
    this.seen = copyOf(this.medium)
    this.bytesSeen = this.bytesOnMedium
  }

  /** @param layers a bit that flips in memory is not flipped on the medium, nor the other way round. */
  flipBit(bitIndex: number, layers: readonly Layer[] = ['seen', 'medium']): void {
    this.judge()
    const at = bitIndex >> 3
    for (const layer of layers) {
      const page = pageOf(this[layer], Math.floor(at / pageBytes))
      page.writeUInt8(page.readUInt8(at % pageBytes) ^ (1 << (bitIndex & 7)), at % pageBytes)
    }
  }

  /** Programs see what is on the medium from now on, and what was not flushed yet. */
  reread(): void {
    this.unkept = []
    this.seen = this.withUnsynced(this.medium)
  }

  /** Whether programs see, or would see once it is read again, what is not right. */
  isDamaged(layer: Layer): boolean {
    if (this.flawless === null) return false
    if (layer === 'medium') return !isSame(this.medium, this.flawless)
    return !isSame(this.seen, this.withUnsynced(this.flawless))
  }

  /** Another one with the bytes that programs would see if the medium had never failed. */
  flawlessCopy(): VirtualFile {
    const file = this.copy()
    if (this.flawless === null) return file
    file.seen = this.withUnsynced(this.flawless)
    file.medium = copyOf(file.seen)
    return file
  }

  /** Somebody puts back what was there. */
  repair(): void {
    if (this.flawless === null) return
    this.medium = copyOf(this.flawless)
    this.flawless = null
    this.reread()
  }

  /** From this byte on, what programs see now is right, whatever was there. */
  accept(from: number): void {
    if (this.flawless === null) return
    const before = Buffer.alloc(from)
    get(this.flawless, before, 0, from)
    // what programs have flushed is what they see, wherever the medium has put it
    this.flawless = copyOf(this.unsynced.length === 0 ? this.seen : this.medium)
    put(this.flawless, before, 0)
  }

  /** Indices of the pages of 4096 bytes that hold anything. */
  usedPages(): number[] {
    return [...this.seen.keys()].sort((a, b) => a - b)
  }

  peek(position: number, length: number, layer: Layer): Buffer {
    const bytes = Buffer.alloc(length)
    get(this[layer], bytes, position, length)
    return bytes
  }

  poke(bytes: Buffer, position: number, layer: Layer): void {
    put(this[layer], bytes, position)
  }

  private withUnsynced(pages: ReadonlyMap<number, Buffer>): Map<number, Buffer> {
    const all = copyOf(pages)
    for (const { bytes, position } of [...this.unkept, ...this.unsynced]) put(all, bytes, position)
    return all
  }

  private judge(): void {
    this.flawless ??= copyOf(this.medium)
  }

  private toMedium(bytes: Buffer, position: number, landing: Landing | undefined): void {
    for (const unkept of this.unkept) cover(unkept, bytes, position)
    if (landing !== undefined) this.judge()
    if (this.flawless !== null) put(this.flawless, bytes, position)
    if (landing === undefined) put(this.medium, bytes, position)
    else landing?.file.hit(bytes, landing.position)
    this.bytesOnMedium = Math.max(this.bytesOnMedium, position + bytes.length)
  }

  /** A write arrives that was meant for another place. */
  private hit(bytes: Buffer, position: number): void {
    this.judge()
    put(this.medium, bytes.subarray(0, Math.max(0, this.bytesOnMedium - position)), position)
  }
}

/** A later write counts, where both have been. */
function cover(earlier: UnsyncedWrite, bytes: Buffer, position: number): void {
  const from = Math.max(earlier.position, position)
  const to = Math.min(earlier.position + earlier.bytes.length, position + bytes.length)
  if (from < to) bytes.copy(earlier.bytes, from - earlier.position, from - position, to - position)
}

const copyOf = (pages: ReadonlyMap<number, Buffer>): Map<number, Buffer> =>
  new Map([...pages].map(([index, page]) => [index, Buffer.from(page)]))

const zeroPage = Buffer.alloc(pageBytes)

function isSame(one: ReadonlyMap<number, Buffer>, other: ReadonlyMap<number, Buffer>): boolean {
  for (const index of new Set([...one.keys(), ...other.keys()]))
    if (!(one.get(index) ?? zeroPage).equals(other.get(index) ?? zeroPage)) return false
  return true
}

function get(pages: ReadonlyMap<number, Buffer>, target: Buffer, position: number, count: number): void {
  for (let done = 0; done < count; ) {
    const at = position + done
    const length = Math.min(pageBytes - (at % pageBytes), count - done)
    const page = pages.get(Math.floor(at / pageBytes))
    if (page) page.copy(target, done, at % pageBytes, (at % pageBytes) + length)
    else target.fill(0, done, done + length)
    done += length
  }
}

function put(pages: Map<number, Buffer>, bytes: Buffer, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    const at = position + done
    const length = Math.min(pageBytes - (at % pageBytes), bytes.length - done)
    pageOf(pages, Math.floor(at / pageBytes)).set(bytes.subarray(done, done + length), at % pageBytes)
    done += length
  }
}

function pageOf(pages: Map<number, Buffer>, index: number): Buffer {
  let page = pages.get(index)
  if (!page) {
    page = Buffer.alloc(pageBytes)
    pages.set(index, page)
  }
  return page
}
