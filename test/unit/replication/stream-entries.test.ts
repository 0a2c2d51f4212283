import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { limits } from '../../../src/kernel/limits.ts'
import { emptyDigest, isIntact, makeBatch } from '../../../src/replication/batch.ts'
import { encodeEntries, entriesOf } from '../../../src/replication/stream-entries.ts'

const batchOf = (payload: Buffer, entryCount: number) => makeBatch(emptyDigest, lsn(1), entryCount, payload)

describe('entries in the payload of a batch', () => {
  it('come back as they were', () => {
    const bytes = fc.uint8Array({ maxLength: 40 }).map((each) => Buffer.from(each))
    fc.assert(
      fc.property(fc.array(bytes, { minLength: 1, maxLength: 20 }), (entries) => {
        const batch = batchOf(encodeEntries(entries), entries.length)
        expect(isIntact(batch)).toBe(true)
        expect(entriesOf(batch)).toEqual(entries)
      }),
    )
  })

  it('are at least one, and no more than fit', () => {
    expect(() => encodeEntries([])).toThrow(expect.objectContaining({ code: 'invalid_input' }))
    const many = Array.from({ length: limits.appendBatchEntriesMax + 1 }, () => Buffer.alloc(0))
    expect(() => encodeEntries(many)).toThrow(expect.objectContaining({ code: 'invalid_input' }))
    expect(encodeEntries([Buffer.alloc(9)], 24)).toHaveLength(24)
    expect(() => encodeEntries([Buffer.alloc(17)], 24)).toThrow(expect.objectContaining({ code: 'payload_too_large' }))
  })

  it('are not read out of what somebody else has written', () => {
    const payload = encodeEntries([Buffer.from('one'), Buffer.from('two')])
    const wrong = [
      batchOf(payload, 3),
      batchOf(payload, 1),
      batchOf(Buffer.alloc(0), 1),
      batchOf(Buffer.concat([payload.subarray(0, 16), Buffer.alloc(8, 255)]), 2),
    ]
    for (const batch of wrong)
      expect(() => entriesOf(batch)).toThrow(expect.objectContaining({ code: 'journal_corrupt' }))
  })
})
