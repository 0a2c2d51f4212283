import { describe, expect, it } from 'vitest'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { emptyDigest, isIntact, lastLsnOf, makeBatch } from '../../../src/replication/batch.ts'

const payload = Buffer.from('12345678')

describe('a batch', () => {
  it('ends at its last entry', () => {
    expect(lastLsnOf(makeBatch(emptyDigest, lsn(5), 3, payload))).toBe(7)
  })

  it('has the same digest wherever it is appended, and another one for other content, place, size or past', () => {
    const batch = makeBatch(emptyDigest, lsn(1), 1, payload)
    expect(makeBatch(emptyDigest, lsn(1), 1, Buffer.from(payload)).digest).toEqual(batch.digest)
    const others = [
      makeBatch(emptyDigest, lsn(2), 1, payload),
      makeBatch(emptyDigest, lsn(1), 2, payload),
      makeBatch(emptyDigest, lsn(1), 1, Buffer.from('12345679')),
      makeBatch(batch.digest, lsn(1), 1, payload),
    ]
    for (const other of others) expect(other.digest).not.toEqual(batch.digest)
  })

  it('is known to be damaged', () => {
    const batch = makeBatch(emptyDigest, lsn(1), 1, payload)
    expect(isIntact(batch)).toBe(true)
    expect(isIntact({ ...batch, payload: Buffer.from('12345679') })).toBe(false)
    expect(isIntact({ ...batch, entryCount: 2 })).toBe(false)
    const odd = makeBatch(emptyDigest, lsn(1), 1, Buffer.from('123'))
    expect(isIntact(odd)).toBe(false)
  })
})
