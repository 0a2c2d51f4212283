import fs from 'node:fs'

/** Looking at the memory costs some 30 microseconds: it is done once in so many reads and writes. */
const operationsPerLook = 4096

/**
 * Every page of the store that a process touches stays in its map, and counts as its memory although the system could
 * take it back at any time: after a scan of everything that is the size of the store. This says when the map has grown
 * so much that it should be let go of and made anew, which costs some milliseconds.
 */
export class Residency {
  private readonly bytesMax: number
  private readonly tooLarge: () => void
  private baseBytes: number
  private operations = 0

  /** `tooLarge` is called from within `count`. */
  constructor(bytesMax: number, tooLarge: () => void) {
    this.bytesMax = bytesMax
    this.tooLarge = tooLarge
    this.baseBytes = mappedBytes()
  }

  /** After the map was made anew. */
  reset(): void {
    this.baseBytes = mappedBytes()
  }

  count(operations: number): void {
    this.operations += operations
    if (this.operations < operationsPerLook) return
    this.operations = 0
    if (mappedBytes() - this.baseBytes > this.bytesMax) this.tooLarge()
  }
}

/** Bytes of mapped files in this process's memory; 0 where the system does not say. */
export function mappedBytes(): number {
  try {
    const status = fs.readFileSync('/proc/self/status', 'latin1')
    return Number(/^RssFile:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}
