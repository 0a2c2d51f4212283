import { expect, test } from 'vitest'
import { ComparedHashes } from '../../../src/backup/compared-hashes.ts'
import { type Lsn, lsn } from '../../../src/kernel/identifiers.ts'

test('a replay is held to every hash that was written down for an entry which it has yet to replay', () => {
  const wanted: Lsn[] = []
  const found = new Map([
    [lsn(5), 'a'],
    [lsn(7), 'b'],
    [lsn(8), 'c'],
  ])
  const hashes = new ComparedHashes({ wantHash: (at) => wanted.push(at), hashAt: (at) => found.get(at) })
  for (const [at, hash] of [
    [4, 'x'],
    [5, 'a'],
    [7, 'o'],
    [9, 'not reached'],
  ] as const)
    hashes.expect(lsn(at), hash)
  expect(wanted).toEqual([4, 5, 7, 9])
  expect(hashes.result()).toEqual({ compared: 2, differing: [{ lsn: 7, expected: 'o', found: 'b' }] })
})
