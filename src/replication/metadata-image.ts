import { assert } from '../kernel/assert.ts'
import { CommanderError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import type { MetadataValue, SwapResult } from './metadata-store.ts'
import type { MetadataListing } from './watched-values.ts'

export interface HeldValue extends MetadataValue {
  /** Id of the lease that it ends with. */
  readonly lease: string | null
}

/** All of a metadata store at one revision. Never changed: a swap makes the next one. */
export interface MetadataImage {
  /** Of the latest change. */
  readonly revision: number
  readonly values: ReadonlyMap<string, HeldValue>
}

export const emptyImage: MetadataImage = { revision: 0, values: new Map() }

export interface Swap {
  readonly key: string
  readonly expectedRevision: number
  readonly value: string | null
  readonly lease: string | null
}

/** Compares and swaps. @returns the next image, or the same one where nothing changes. */
export function swapped(
  image: MetadataImage,
  swap: Swap,
): { readonly image: MetadataImage; readonly result: SwapResult } {
  const { key, expectedRevision, value, lease } = swap
  const current = image.values.get(key)
  if ((current?.revision ?? 0) !== expectedRevision)
    return { image, result: { swapped: false, current: current === undefined ? null : publicValue(current) } }
  if (current === undefined && value === null) return { image, result: { swapped: true, revision: image.revision } }
  const revision = image.revision + 1
  assert(Number.isSafeInteger(revision), 'the revisions of the metadata store are used up')
  const values = new Map(image.values)
  if (value === null) values.delete(key)
  else values.set(key, { key, value, revision, lease })
  return { image: { revision, values }, result: { swapped: true, revision } }
}

/** Without what is bound to these leases. @returns the same image where that is nothing. */
export function withoutLeases(image: MetadataImage, isOver: (lease: string) => boolean): MetadataImage {
  const kept = [...image.values].filter(([, { lease }]) => lease === null || !isOver(lease))
  if (kept.length === image.values.size) return image
  return { revision: image.revision + 1, values: new Map(kept) }
}

export const leasesIn = (image: MetadataImage): readonly string[] => [
  ...new Set([...image.values.values()].flatMap(({ lease }) => lease ?? [])),
]

export function valueIn(image: MetadataImage, key: string): MetadataValue | null {
  const value = image.values.get(key)
  return value === undefined ? null : publicValue(value)
}

export function listingOf(image: MetadataImage, prefix: string): MetadataListing {
  const values = [...image.values.values()].filter(({ key }) => key.startsWith(prefix)).map(publicValue)
  return { values: values.sort((a, b) => (a.key < b.key ? -1 : 1)), revision: image.revision }
}

const publicValue = ({ key, value, revision }: HeldValue): MetadataValue => ({ key, value, revision })

/** @throws CommanderError `invalid_input` */
export function checkSwap(key: string, value: string | null): void {
  if (key === '' || Buffer.byteLength(key) > limits.metadataKeyBytesMax || key.includes('\0'))
    throw new CommanderError(
      'invalid_input',
      `${JSON.stringify(key.slice(0, 100))} is no key of a metadata store: 1 to ${limits.metadataKeyBytesMax} bytes without zeros`,
    )
  const bytes = value === null ? 0 : Buffer.byteLength(value)
  if (bytes > limits.metadataValueBytesMax)
    throw new CommanderError(
      'invalid_input',
      `the value of ${key} has ${bytes} bytes; a metadata store takes ${limits.metadataValueBytesMax}`,
    )
}
