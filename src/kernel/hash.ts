/**
 * FNV-1a over UTF-16 code units, u32, with a final avalanche (murmur3 fmix32) so that low bits can be used.
 * Public domain: http://www.isthe.com/chongo/tech/comp/fnv/ and https://github.com/aappleby/smhasher.
 */
export function hash32(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** The aggregates' hash space is cut into this many partitions; a constant of the format. */
export const partitionCount = 256

export const partitionOf = (hash: number): number => hash % partitionCount
