import { assert } from '../kernel/assert.ts'
import { keyBytesMax } from './store-limits.ts'

/**
 * A key is a list of parts, and keys compare bytewise as their lists compare part by part.
 * A number takes 8 bytes, big-endian, unsigned. A string takes its UTF-8 bytes and a terminating 0x00, so that a
 * string sorts before the ones it is a prefix of; a byte 0x00 or 0x01 in it becomes 0x01 0x01 or 0x01 0x02, which
 * keeps both the order and the one-to-one meaning. Strings sort by code point.
 */
export type KeyPart = string | number

const terminator = 0x00
const escapeByte = 0x01
const numberBytes = 8
const high = 4294967296

/** Room for a key of the largest size and one more string of it, at UTF-8's 3 bytes for each code unit. */
const scratch = Buffer.allocUnsafeSlow(4 * keyBytesMax)

/**
 * @throws AssertionError for a number that is not a safe integer of 0 or more, a string with a lone surrogate, and
 * a key of more than `keyBytesMax` bytes.
 */
export function encodeKey(...parts: readonly KeyPart[]): Buffer {
  let end = 0
  for (const part of parts) {
    end = typeof part === 'number' ? writeKeyNumber(scratch, part, end) : writeText(scratch, part, end)
    assert(end <= keyBytesMax, `a key has at most ${keyBytesMax} bytes; this one has ${end} or more`)
  }
  const key = Buffer.allocUnsafe(end)
  scratch.copy(key, 0, 0, end)
  return key
}

export function numberKey(value: number): Buffer {
  const key = Buffer.allocUnsafe(numberBytes)
  writeKeyNumber(key, value, 0)
  return key
}

/** Writes 8 bytes, big-endian, so that bytewise order is numeric order. Returns the offset behind them. */
export function writeKeyNumber(target: Buffer, value: number, offset: number): number {
  assert(Number.isSafeInteger(value) && value >= 0, `a number in a key must be a safe integer of 0 or more: ${value}`)
  target.writeUInt32BE(Math.floor(value / high), offset)
  target.writeUInt32BE(value % high, offset + 4)
  return offset + numberBytes
}

export function readKeyNumber(key: Buffer, offset: number): number {
  return key.readUInt32BE(offset) * high + key.readUInt32BE(offset + 4)
}

/** The parts of a key made by `encodeKey` with parts of these kinds. */
export function decodeKey(key: Buffer, kinds: readonly ('string' | 'number')[]): KeyPart[] {
  const parts: KeyPart[] = []
  let offset = 0
  for (const kind of kinds) {
    if (kind === 'number') {
      parts.push(readKeyNumber(key, offset))
      offset += numberBytes
    } else {
      const end = key.indexOf(terminator, offset)
      assert(end >= 0, 'the key ends within a string')
      parts.push(unescapeText(key.subarray(offset, end)).toString('utf8'))
      offset = end + 1
    }
  }
  assert(offset === key.length, `the key has ${key.length} bytes, its parts ${offset}`)
  return parts
}

export interface KeyRange {
  readonly from: Buffer
  /** Left out when no key sorts behind the prefix. */
  readonly to?: Buffer
}

/** All keys that begin with the prefix. */
export function prefixRange(prefix: Buffer): KeyRange {
  const to = successor(prefix)
  return to === undefined ? { from: prefix } : { from: prefix, to }
}

/** The smallest key above every key that begins with the prefix. */
function successor(prefix: Buffer): Buffer | undefined {
  let last = prefix.length - 1
  while (last >= 0 && prefix[last] === 0xff) last--
  if (last < 0) return undefined
  const next = Buffer.from(prefix.subarray(0, last + 1))
  next[last] = (next[last] ?? 0) + 1
  return next
}

function writeText(target: Buffer, text: string, offset: number): number {
  assert(text.isWellFormed(), 'a string in a key must not have lone surrogates: two of them would be the same key')
  assert(text.length < keyBytesMax, `a key has at most ${keyBytesMax} bytes; this string has ${text.length} or more`)
  const end = offset + target.write(text, offset)
  const specials = countSpecials(target, offset, end)
  if (specials > 0) escapeInPlace(target, offset, end, specials)
  target[end + specials] = terminator
  return end + specials + 1
}

function countSpecials(target: Buffer, start: number, end: number): number {
  let count = 0
  for (let i = start; i < end; i++) if ((target[i] as number) <= escapeByte) count++
  return count
}

/** From the back, so that no byte is overwritten before it has moved. */
function escapeInPlace(target: Buffer, start: number, end: number, specials: number): void {
  let to = end + specials - 1
  for (let from = end - 1; from >= start; from--) {
    const byte = target[from] as number
    target[to--] = byte <= escapeByte ? byte + 1 : byte
    if (byte <= escapeByte) target[to--] = escapeByte
  }
}

function unescapeText(text: Buffer): Buffer {
  if (!text.includes(escapeByte)) return text
  const bytes: number[] = []
  for (let i = 0; i < text.length; i++) {
    const byte = text[i] as number
    bytes.push(byte === escapeByte ? (text[++i] as number) - 1 : byte)
  }
  return Buffer.from(bytes)
}
