import { isZero } from './segment-cursor.ts'

const pageBytes = 4096
/** What a disk writes as a whole. */
const sectorBytes = 512

/** What programs see, or what is on the medium. */
export type Layer = 'seen' | 'medium'

interface UnsyncedWrite {
  readonly position: number
  readonly bytes: Buffer
}

/** One file of the virtual disk: what programs see, what is on the medium, and the writes in between. Absent pages are zeros. */
export class VirtualFile {
  private seen = new Map<number, Buffer>()
  private medium = new Map<number, Buffer>()
  private unsynced: UnsyncedWrite[] = []
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

  write(bytes: Buffer, position: number): void {
    const copy = Buffer.from(bytes)
    put(this.seen, copy, position)
    this.bytesSeen = Math.max(this.bytesSeen, position + copy.length)
    this.unsynced.push({ position, bytes: copy })
  }

  /** Counts writes since the file was made; what `sync` is told to cover. */
  writesSoFar(): number {
    return this.syncedWrites + this.unsynced.length
  }

  sync(coveredWrites: number): void {
    while (this.syncedWrites < coveredWrites) {
      const write = this.unsynced.shift()
      if (!write) break
      this.toMedium(write.bytes, write.position)
      this.syncedWrites++
    }
  }

  /** A flush of these failed: the system takes them for clean from now on, and they are not on the medium. */
  giveUp(coveredWrites: number): void {
    while (this.syncedWrites < coveredWrites && this.unsynced.shift() !== undefined) this.syncedWrites++
  }

  crash(survives: () => boolean): void {
    for (const { bytes, position } of this.unsynced) {
      for (let done = 0; done < bytes.length; ) {
        const length = Math.min(sectorBytes - ((position + done) % sectorBytes), bytes.length - done)
        if (survives()) this.toMedium(bytes.subarray(done, done + length), position + done)
        done += length
      }
    }
    this.unsynced = []
    this.seen = copyOf(this.medium)
    this.bytesSeen = this.bytesOnMedium
  }

  flipBit(bitIndex: number): void {
    const at = bitIndex >> 3
    for (const pages of [this.seen, this.medium]) {
      const page = pageOf(pages, Math.floor(at / pageBytes))
      page.writeUInt8(page.readUInt8(at % pageBytes) ^ (1 << (bitIndex & 7)), at % pageBytes)
    }
  }

  peek(position: number, length: number, layer: Layer): Buffer {
    const bytes = Buffer.alloc(length)
    get(this[layer], bytes, position, length)
    return bytes
  }

  poke(bytes: Buffer, position: number, layer: Layer): void {
    put(this[layer], bytes, position)
  }

  private toMedium(bytes: Buffer, position: number): void {
    put(this.medium, bytes, position)
    this.bytesOnMedium = Math.max(this.bytesOnMedium, position + bytes.length)
  }
}

const copyOf = (pages: ReadonlyMap<number, Buffer>): Map<number, Buffer> =>
  new Map([...pages].map(([index, page]) => [index, Buffer.from(page)]))

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
