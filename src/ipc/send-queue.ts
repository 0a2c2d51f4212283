import { creditFrameBytes, headerBytes, writeCredit, writeHeader } from './wire-format.ts'

/** Parts below this are copied into the run of small ones (cheaper than a vector each); the others go by reference. */
export const referenceBytesMin = 2048

/**
 * Frames that wait for the end of the turn or for credit, as parallel lists: a million small frames a second leave
 * no time for an object each. `take` turns as many as the credit allows into the buffers of one gathered write.
 */
export class SendQueue {
  #kinds: number[] = []
  #bodies: (Buffer | readonly Buffer[])[] = []
  #bodyBytes: number[] = []
  #head = 0
  #queuedBytes = 0

  /** Headers and bodies of the frames that wait. */
  get queuedBytes(): number {
    return this.#queuedBytes
  }

  get isEmpty(): boolean {
    return this.#head === this.#kinds.length
  }

  push(kind: number, body: readonly Buffer[], bodyBytes: number): void {
    this.#kinds.push(kind)
    this.#bodies.push(body.length === 1 ? (body[0] as Buffer) : body)
    this.#bodyBytes.push(bodyBytes)
    this.#queuedBytes += headerBytes + bodyBytes
  }

  clear(): void {
    this.#kinds = []
    this.#bodies = []
    this.#bodyBytes = []
    this.#head = 0
    this.#queuedBytes = 0
  }

  /**
   * Takes frames while any of `allowanceBytes` is left: the last one may go beyond it, or a frame larger than the
   * window could never leave. All headers and small parts of one call share one new buffer.
   *
   * @param creditBytes granted to the peer in front of all frames; 0: no such frame.
   * @param out gets the buffers to write, in order.
   * @returns bytes taken, headers included.
   */
  take(allowanceBytes: number, creditBytes: number, out: Buffer[]): number {
    const [tail, takenBytes, copiedBytes] = this.#plan(allowanceBytes)
    const run = Buffer.allocUnsafe(copiedBytes + (creditBytes > 0 ? creditFrameBytes : 0))
    let offset = creditBytes > 0 ? writeCredit(run, 0, creditBytes) : 0
    let runStart = 0
    for (let i = this.#head; i < tail; i++) {
      const body = this.#bodies[i] as Buffer | readonly Buffer[]
      offset = writeHeader(run, offset, this.#kinds[i] as number, this.#bodyBytes[i] as number)
      for (let p = 0, count = Array.isArray(body) ? body.length : 1; p < count; p++) {
        const part = Array.isArray(body) ? (body[p] as Buffer) : (body as Buffer)
        if (part.length < referenceBytesMin) {
          run.set(part, offset)
          offset += part.length
          continue
        }
        if (offset > runStart) out.push(run.subarray(runStart, offset))
        runStart = offset
        out.push(part)
      }
    }
    if (offset > runStart) out.push(run.subarray(runStart, offset))
    this.#drop(tail, takenBytes)
    return takenBytes
  }

  #plan(allowanceBytes: number): [tail: number, takenBytes: number, copiedBytes: number] {
    let tail = this.#head
    let takenBytes = 0
    let copiedBytes = 0
    for (; tail < this.#kinds.length && takenBytes < allowanceBytes; tail++) {
      const body = this.#bodies[tail] as Buffer | readonly Buffer[]
      takenBytes += headerBytes + (this.#bodyBytes[tail] as number)
      copiedBytes += headerBytes + copiedBytesOf(body)
    }
    return [tail, takenBytes, copiedBytes]
  }

  #drop(tail: number, takenBytes: number): void {
    if (tail === this.#kinds.length) {
      this.clear()
      return
    }
    this.#queuedBytes -= takenBytes
    this.#bodies.fill([], this.#head, tail)
    this.#head = tail
    if (this.#head * 2 < this.#kinds.length) return
    this.#kinds = this.#kinds.slice(this.#head)
    this.#bodies = this.#bodies.slice(this.#head)
    this.#bodyBytes = this.#bodyBytes.slice(this.#head)
    this.#head = 0
  }
}

function copiedBytesOf(body: Buffer | readonly Buffer[]): number {
  if (!Array.isArray(body)) return body.length < referenceBytesMin ? (body as Buffer).length : 0
  let bytes = 0
  for (const part of body as readonly Buffer[]) if (part.length < referenceBytesMin) bytes += part.length
  return bytes
}
