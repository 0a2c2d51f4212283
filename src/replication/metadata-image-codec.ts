import { crc32 } from '../kernel/checksum.ts'
import { messageOf } from '../kernel/errors.ts'
import type { HeldValue, MetadataImage } from './metadata-image.ts'
import type { MetadataValue } from './metadata-store.ts'

export const metadataFormat = 1

interface Header {
  readonly format: number
  readonly revision: number
  /** Of all that follows the header's line. */
  readonly crc32: number
}

/** One line for the header, one for each value: JSON that people can read. */
export function encodeImage({ revision, values }: MetadataImage): Buffer {
  const lines = [...values.values()].map(({ key, value, revision, lease }) => {
    const bound = lease === null ? {} : { lease }
    return `${JSON.stringify({ key, revision, ...bound, value })}\n`
  })
  const body = Buffer.from(lines.join(''))
  const header: Header = { format: metadataFormat, revision, crc32: crc32(body) }
  return Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), body])
}

/** @returns what is wrong with the bytes where something is. */
export function decodeImage(bytes: Buffer): MetadataImage | { readonly fault: string } {
  const end = bytes.indexOf(0x0a)
  const body = bytes.subarray(end + 1)
  try {
    const { format, revision, crc32: sum } = JSON.parse(bytes.toString('utf8', 0, Math.max(0, end))) as Header
    if (typeof format === 'number' && format > metadataFormat)
      return { fault: `it has format ${format}, this version knows up to ${metadataFormat}; upgrade CommanderDB` }
    if (format !== metadataFormat || !Number.isSafeInteger(revision)) return { fault: 'its first line is no header' }
    if (sum !== crc32(body)) return { fault: 'its checksum does not match; restore it from a copy' }
    const lines = body.toString('utf8').split('\n').slice(0, -1)
    const values = lines.map((line): HeldValue => {
      const { key, value, revision, lease } = JSON.parse(line) as Partial<HeldValue> & MetadataValue
      return { key, value, revision, lease: lease ?? null }
    })
    return { revision, values: new Map(values.map((value) => [value.key, value])) }
  } catch (error) {
    return { fault: `it is damaged (${messageOf(error)}); restore it from a copy` }
  }
}
