const chunkMax = 512

/**
 * An ordered set of strings, kept in chunks so that an insertion moves few of them. Keys of the memory store are
 * Latin-1 strings, whose order is the bytewise order of the bytes that they stand for.
 */
export class SortedKeys {
  private readonly chunks: string[][] = [[]]

  add(key: string): void {
    const index = this.chunkOf(key)
    const chunk = this.chunk(index)
    const at = lowerBound(chunk, key)
    if (chunk[at] === key) return
    chunk.splice(at, 0, key)
    if (chunk.length > chunkMax) this.chunks.splice(index + 1, 0, chunk.splice(chunkMax >> 1))
  }

  remove(key: string): void {
    const index = this.chunkOf(key)
    const chunk = this.chunk(index)
    const at = lowerBound(chunk, key)
    if (chunk[at] !== key) return
    chunk.splice(at, 1)
    if (chunk.length === 0 && this.chunks.length > 1) this.chunks.splice(index, 1)
  }

  /** The first key that is `from` or above it; the first of all without `from`. */
  atOrAbove(from: string): string | undefined {
    const index = this.chunkOf(from)
    const chunk = this.chunk(index)
    return chunk[lowerBound(chunk, from)] ?? this.chunks[index + 1]?.[0]
  }

  /** The last key below `to`; the last of all without `to`. */
  below(to: string | undefined): string | undefined {
    if (to === undefined) return this.chunks.at(-1)?.at(-1)
    const index = this.chunkOf(to)
    const chunk = this.chunk(index)
    const at = lowerBound(chunk, to)
    return at > 0 ? chunk[at - 1] : this.chunks[index - 1]?.at(-1)
  }

  /** The last chunk that begins at or below the key, or the first chunk. */
  private chunkOf(key: string): number {
    let low = 0
    let high = this.chunks.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.chunk(middle)[0] as string) <= key) low = middle
      else high = middle - 1
    }
    return low
  }

  private chunk(index: number): string[] {
    return this.chunks[index] as string[]
  }
}

function lowerBound(chunk: readonly string[], key: string): number {
  let low = 0
  let high = chunk.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((chunk[middle] as string) < key) low = middle + 1
    else high = middle
  }
  return low
}
