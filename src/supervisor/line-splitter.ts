/** Cuts a byte stream into lines. A line over the bound is handed over in pieces, so that nothing grows (G10). */
export class LineSplitter {
  readonly #take: (line: string) => void
  readonly #lineBytesMax: number
  #rest: Buffer = Buffer.alloc(0)

  constructor(take: (line: string) => void, lineBytesMax: number = 64 << 10) {
    this.#take = take
    this.#lineBytesMax = lineBytesMax
  }

  push(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    for (let end = lineEnd(bytes, this.#lineBytesMax); end !== -1; end = lineEnd(bytes, this.#lineBytesMax)) {
      this.#emit(bytes.subarray(0, end))
      bytes = bytes.subarray(bytes[end] === lineFeed ? end + 1 : end)
    }
    this.#rest = Buffer.from(bytes)
  }

  /** The stream is over: what is left is a line too. */
  end(): void {
    this.#emit(this.#rest)
    this.#rest = Buffer.alloc(0)
  }

  #emit(bytes: Buffer): void {
    const line = bytes.toString('utf8').trimEnd()
    if (line !== '') this.#take(line)
  }
}

const lineFeed = 10

function lineEnd(bytes: Buffer, lineBytesMax: number): number {
  const end = bytes.indexOf(lineFeed)
  if (end !== -1 && end <= lineBytesMax) return end
  return bytes.length > lineBytesMax ? lineBytesMax : -1
}
