import { crc32 } from '../kernel/checksum.ts'

/** A small JSON file for people to read, with a checksum behind it that damage does not pass. */
export function encodeChecked(record: object): Buffer {
  const text = JSON.stringify(record)
  return Buffer.from(`${text}\n${sumOf(text)}\n`)
}

/** null: these are not bytes that `encodeChecked` wrote. */
export function decodeChecked(bytes: Buffer): object | null {
  const [text = '', sum, rest, ...more] = bytes.toString('utf8').split('\n')
  if (sum !== sumOf(text) || rest !== '' || more.length > 0) return null
  try {
    const record: unknown = JSON.parse(text)
    return typeof record === 'object' ? record : null
  } catch {
    return null
  }
}

const sumOf = (text: string): string => `crc32 ${crc32(Buffer.from(text)).toString(16).padStart(8, '0')}`
