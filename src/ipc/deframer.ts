import type { CommanderError } from '../kernel/errors.ts'
import { headerBytes, lengthBytesMin, violation } from './wire-format.ts'

/**
 * Cuts a stream of bytes into frames. A body that lies within one chunk is handed up as a view into it. One that
 * spans chunks is copied once, into a buffer of its length: not a list of chunks, because a peer that sends one byte
 * at a time would make the list many times larger than the frame.
 */
export class Deframer {
  /** Highest `length` accepted in a frame's header. */
  frameBytesMax: number
  readonly #onFrame: (kind: number, body: Buffer) => void
  readonly #header = Buffer.alloc(headerBytes)
  #headerFilled = 0
  #bodyBytes = 0
  #body: Buffer | null = null
  #bodyFilled = 0
  #stopped = false

  constructor(frameBytesMax: number, onFrame: (kind: number, body: Buffer) => void) {
    this.frameBytesMax = frameBytesMax
    this.#onFrame = onFrame
  }

  /** Bytes of a frame that has begun and not ended: at the end of the stream, what was cut off. */
  get pendingBytes(): number {
    return this.#headerFilled + this.#bodyFilled
  }

  /** No frame is handed up from here on, not even from the chunk at hand. */
  stop(): void {
    this.#stopped = true
    this.#headerFilled = 0
    this.#bodyFilled = 0
    this.#body = null
  }

  /** @returns what is wrong with the stream, which is then over; null while all is well. What `onFrame` throws passes through. */
  push(chunk: Buffer): CommanderError | null {
    let offset = 0
    if (this.#headerFilled > 0) {
      offset = this.#finishFrame(chunk)
      if (offset < 0) return this.#refuse(this.#header, 0)
    }
    const end = chunk.length
    while (!this.#stopped && end - offset >= headerBytes) {
      const length = chunk.readUInt32LE(offset)
      const kindAndFlags = chunk.readUInt32LE(offset + 4)
      if (length < lengthBytesMin || length > this.frameBytesMax || kindAndFlags > 0xffff)
        return this.#refuse(chunk, offset)
      const bodyEnd = offset + lengthBytesMin + length
      if (bodyEnd > end) break
      const bodyStart = offset + headerBytes
      offset = bodyEnd
      this.#onFrame(kindAndFlags, chunk.subarray(bodyStart, bodyEnd))
    }
    if (!this.#stopped && offset < end) this.#beginFrame(chunk, offset)
    return null
  }

  /** Keeps what the chunk has of a frame that it does not hold whole; `push` has checked a whole header. */
  #beginFrame(chunk: Buffer, start: number): void {
    const offset = this.#fillHeader(chunk, start)
    if (offset < chunk.length) this.#fillBody(chunk, offset)
  }

  /** Goes on with a frame of earlier chunks; returns where the next one begins, -1 for an invalid header. */
  #finishFrame(chunk: Buffer): number {
    let offset = 0
    if (this.#headerFilled < headerBytes) {
      offset = this.#fillHeader(chunk, 0)
      if (this.#headerFilled < headerBytes) return offset
      if (!this.#headerIsValid()) return -1
      if (offset === chunk.length && this.#bodyBytes > 0) return offset
    }
    if (this.#body === null && chunk.length - offset >= this.#bodyBytes) {
      const body = chunk.subarray(offset, offset + this.#bodyBytes)
      this.#emit(body)
      return offset + body.length
    }
    offset = this.#fillBody(chunk, offset)
    if (this.#body !== null && this.#bodyFilled === this.#bodyBytes) this.#emit(this.#body)
    return offset
  }

  #fillHeader(chunk: Buffer, start: number): number {
    const copied = chunk.copy(this.#header, this.#headerFilled, start, start + headerBytes - this.#headerFilled)
    this.#headerFilled += copied
    if (this.#headerFilled === headerBytes) this.#bodyBytes = this.#header.readUInt32LE(0) - lengthBytesMin
    return start + copied
  }

  #fillBody(chunk: Buffer, start: number): number {
    this.#body ??= Buffer.allocUnsafe(this.#bodyBytes)
    const copied = chunk.copy(this.#body, this.#bodyFilled, start, start + this.#bodyBytes - this.#bodyFilled)
    this.#bodyFilled += copied
    return start + copied
  }

  #emit(body: Buffer): void {
    this.#headerFilled = 0
    this.#bodyFilled = 0
    this.#body = null
    this.#onFrame(this.#header.readUInt16LE(4), body)
  }

  #headerIsValid(): boolean {
    const length = this.#bodyBytes + lengthBytesMin
    return length >= lengthBytesMin && length <= this.frameBytesMax && this.#header.readUInt16LE(6) === 0
  }

  #refuse(source: Buffer, offset: number): CommanderError {
    this.stop()
    const length = source.readUInt32LE(offset)
    const flags = source.readUInt16LE(offset + 6)
    const header = `header 0x${source.toString('hex', offset, offset + headerBytes)}`
    if (length > this.frameBytesMax)
      return violation(`a frame of ${length} bytes is over the limit of ${this.frameBytesMax} (${header})`)
    if (length < lengthBytesMin)
      return violation(`a frame of ${length} bytes is too short to have a kind; at least ${lengthBytesMin} (${header})`)
    return violation(`a frame has the unknown flags ${flags} (${header})`)
  }
}
