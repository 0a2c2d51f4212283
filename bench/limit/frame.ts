/**
 * Frames of the limit:
 *
 * | bytes | what                                                             |
 * |-------|------------------------------------------------------------------|
 * | 0-3   | length of the frame, this field included                         |
 * | 4-7   | kind                                                             |
 * | 8-15  | a double: the LSN, or of `subscribe` 1 when it wants the flushes |
 * | 16-   | payload, msgpack                                                 |
 */
export const headerBytes = 16

export const kinds = { subscribe: 0, received: 1, started: 2, completed: 3, flushed: 4, welcome: 5 } as const

export const kindAt = (buffer: Buffer, at: number): number => buffer.readUInt32LE(at + 4)

export const numberAt = (buffer: Buffer, at: number): number => buffer.readDoubleLE(at + 8)

export function headerOnly(kind: number, value: number): Buffer {
  const frame = Buffer.allocUnsafe(headerBytes)
  frame.writeUInt32LE(headerBytes, 0)
  frame.writeUInt32LE(kind, 4)
  frame.writeDoubleLE(value, 8)
  return frame
}

export type OnFrame = (buffer: Buffer, at: number, length: number) => void

/** Cuts a stream into frames, without copying those that came whole. */
export class Deframer {
  readonly #onFrame: OnFrame
  #rest: Buffer | null = null

  constructor(onFrame: OnFrame) {
    this.#onFrame = onFrame
  }

  push(chunk: Buffer): void {
    const buffer = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    while (buffer.length - at >= 4) {
      const length = buffer.readUInt32LE(at)
      if (buffer.length - at < length) break
      this.#onFrame(buffer, at, length)
      at += length
    }
    this.#rest = at < buffer.length ? buffer.subarray(at) : null
  }
}

const gatherBytes = 65_536

/** Gathers the frames of one turn of the event loop for one write. */
export class Gatherer {
  readonly #write: (batch: Buffer) => void
  #buffer: Buffer = Buffer.allocUnsafe(gatherBytes)
  #at = 0
  #isDue = false

  constructor(write: (batch: Buffer) => void) {
    this.#write = write
  }

  add(kind: number, payload: Buffer): void {
    const length = headerBytes + payload.length
    if (this.#at + length > this.#buffer.length) {
      this.#flush()
      if (length > this.#buffer.length) this.#buffer = Buffer.allocUnsafe(length * 2)
    }
    this.#buffer.writeUInt32LE(length, this.#at)
    this.#buffer.writeUInt32LE(kind, this.#at + 4)
    this.#buffer.writeDoubleLE(0, this.#at + 8)
    payload.copy(this.#buffer, this.#at + headerBytes)
    this.#at += length
    if (this.#isDue) return
    this.#isDue = true
    setImmediate(() => {
      this.#isDue = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#at === 0) return
    this.#write(this.#buffer.subarray(0, this.#at))
    this.#buffer = Buffer.allocUnsafe(this.#buffer.length)
    this.#at = 0
  }
}
