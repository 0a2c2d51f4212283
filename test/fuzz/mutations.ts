import type { SeededRandom } from '../../src/testing/seeded-random.ts'

/** Around these, lengths and counts go wrong. */
const numbers = [0, 1, 7, 8, 71, 72, 255, 256, 4095, 4096, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff]

type Mutation = (random: SeededRandom, bytes: Buffer, corpus: readonly Buffer[]) => Buffer

const at = (random: SeededRandom, { length }: Buffer): number => random.integer(0, Math.max(0, length - 1))

function overwritten(random: SeededRandom, bytes: Buffer, width: 1 | 2 | 4 | 8): Buffer {
  if (bytes.length < width) return bytes
  const copy = Buffer.from(bytes)
  const offset = random.integer(0, copy.length - width)
  const near = random.pick(numbers) + (random.chance(0.5) ? 0 : random.integer(-2, 2))
  const value = random.chance(0.3) ? random.uint32() : near
  if (width === 1) copy[offset] = value & 0xff
  else if (width === 2) copy.writeUInt16LE(value & 0xffff, offset)
  else if (width === 4) copy.writeUInt32LE(value >>> 0, offset)
  else {
    copy.writeUInt32LE(value >>> 0, offset)
    copy.writeUInt32LE(random.pick([0, 0, 1, 0x1fffff, 0x200000, 0xffffffff]), offset + 4)
  }
  return copy
}

const mutations: readonly Mutation[] = [
  (random, bytes) => {
    if (bytes.length === 0) return bytes
    const copy = Buffer.from(bytes)
    for (let flips = random.integer(1, 4); flips > 0; flips--) {
      const offset = at(random, copy)
      copy[offset] = (copy[offset] as number) ^ (1 << random.integer(0, 7))
    }
    return copy
  },
  (random, bytes) => overwritten(random, bytes, 1),
  (random, bytes) => overwritten(random, bytes, 2),
  (random, bytes) => overwritten(random, bytes, 4),
  (random, bytes) => overwritten(random, bytes, 8),
  (random, bytes) => bytes.subarray(0, at(random, bytes)),
  (random, bytes) => {
    const offset = at(random, bytes)
    return Buffer.concat([bytes.subarray(0, offset), bytes.subarray(offset + random.integer(1, 32))])
  },
  (random, bytes) => {
    const offset = at(random, bytes)
    const again = bytes.subarray(offset, offset + random.integer(1, 200))
    return Buffer.concat([bytes.subarray(0, offset), again, bytes.subarray(offset)])
  },
  (random, bytes) => {
    const offset = at(random, bytes)
    const noise = Buffer.from(Array.from({ length: random.integer(1, 32) }, () => random.uint32() & 0xff))
    return Buffer.concat([bytes.subarray(0, offset), noise, bytes.subarray(offset)])
  },
  (random, bytes, corpus) => {
    const other = random.pick(corpus)
    return Buffer.concat([bytes.subarray(0, at(random, bytes)), other.subarray(at(random, other))])
  },
]

/** One to a few changes to a valid input, each of which a decoder may stumble over; the input itself is left as it is. */
export function mutated(random: SeededRandom, bytes: Buffer, corpus: readonly Buffer[]): Buffer {
  let changed = bytes
  for (let count = random.chance(0.6) ? 1 : random.integer(2, 5); count > 0; count--)
    changed = random.pick(mutations)(random, changed, corpus)
  return changed
}
