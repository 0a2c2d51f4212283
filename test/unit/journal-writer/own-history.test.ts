import { expect, it } from 'vitest'
import { isOurs } from '../../../src/journal-writer/own-history.ts'
import { crc32 } from '../../../src/kernel/checksum.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'

const payload = Buffer.from('entries 9 and 10')
type Hello = Parameters<typeof isOurs>[0]
const hello = (applied: number, last: Hello['last'] = null): Hello => {
  const rest = { name: 'test', origin: 1, nextSequence: 0, ordered: false, followsFlush: false }
  return { ...rest, from: lsn(applied + 1), last }
}

it('a follower has applied a part of this journal when all of it is here, and its last batch the same', () => {
  const read = (first: number, last: number): Buffer | null => (first === 9 && last === 10 ? payload : null)
  const ours = (applied: number, last: Hello['last'] = null): boolean => isOurs(hello(applied, last), lsn(10), read)
  expect([0, 9, 10, 11, 12].map((applied) => ours(applied))).toEqual([true, true, true, false, false])
  const batch = { firstLsn: lsn(9), lastLsn: lsn(10), crc: crc32(payload) }
  expect(ours(10, batch)).toBe(true)
  expect(ours(10, { ...batch, crc: batch.crc + 1 })).toBe(false)
  expect(ours(10, { ...batch, firstLsn: lsn(10) })).toBe(false)
})
