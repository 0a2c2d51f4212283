import { expect, it } from 'vitest'
import { emptyImage, type MetadataImage, swapped, withoutLeases } from '../../../src/replication/metadata-image.ts'
import { decodeImage, encodeImage } from '../../../src/replication/metadata-image-codec.ts'

const put = (image: MetadataImage, key: string, value: string | null, lease: string | null = null): MetadataImage => {
  const expectedRevision = image.values.get(key)?.revision ?? 0
  return swapped(image, { key, expectedRevision, value, lease }).image
}

it('never uses a revision again, be it of a key that was deleted or that ended with its lease', () => {
  const revisions: number[] = []
  let image = emptyImage
  for (let n = 0; n < 3; n++) {
    for (const key of ['a', 'b']) image = put(image, key, String(n), 'lease')
    revisions.push(...[...image.values.values()].map(({ revision }) => revision))
    image = n === 1 ? withoutLeases(image, () => true) : put(put(image, 'a', null), 'b', null)
    expect(image.values.size).toBe(0)
  }
  expect(revisions).toEqual([...new Set(revisions)].sort((one, other) => one - other))
})

it('is read as it was written', () => {
  const image = put(put(put(emptyImage, 'a', '\n"ä"\n', 'lease'), 'b', ''), 'c', 'x')
  expect(decodeImage(encodeImage(put(image, 'c', null)))).toEqual(put(image, 'c', null))
  expect(decodeImage(encodeImage(emptyImage))).toEqual(emptyImage)
})
