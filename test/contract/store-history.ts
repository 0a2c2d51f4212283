import type { KeyValueStore, WriteBatch } from '../../src/store/key-value-store.ts'
import { numberKey, readKeyNumber } from '../../src/store/keys.ts'

/**
 * A history of transactions 1, 2, 3… in which the state after each follows from its number alone, so that whoever
 * opens the store can tell a whole prefix of it from anything else: with keys that are added, overwritten and
 * deleted, and values of a few bytes to many pages. Transaction n also saves n as the position.
 */
export const historyTables: readonly string[] = ['alpha', 'beta']

export const positionKey: Buffer = Buffer.from('position')
const hotKeys = 50
const addedBase = 1000
const bigKey = numberKey(500)

const hotValue = (n: number): Buffer => Buffer.alloc((n * 37) % 3000, n % 251)
const bigValue = (n: number): Buffer => Buffer.alloc(65_536 + n, n % 251)

export function writeTransaction(batch: WriteBatch, n: number): void {
  batch.put('beta', positionKey, numberKey(n))
  batch.put('alpha', numberKey(n % hotKeys), hotValue(n))
  batch.put('alpha', numberKey(addedBase + n), numberKey(n))
  if (n % 7 === 0 && n > 7) batch.delete('alpha', numberKey(addedBase + n - 7))
  if (n % 5 === 0) batch.put('alpha', bigKey, bigValue(n))
}

export function positionOf(store: KeyValueStore): number {
  const value = store.table('beta').get(positionKey)
  return value === undefined ? 0 : readKeyNumber(value, 0)
}

/** The position, having made sure that the store holds exactly what the transactions up to it have left. */
export function checkedPosition(store: KeyValueStore): number {
  return store.snapshot(() => {
    const n = positionOf(store)
    const expected = expectedAt(n)
    for (const { key, value } of store.table('alpha').range({})) {
      const id = readKeyNumber(key, 0)
      const wanted = expected.get(id)
      if (wanted === undefined) throw new Error(`at position ${n} there is a key ${id} that should not be`)
      if (!wanted.equals(value))
        throw new Error(`at position ${n} the value of key ${id} is not that of its last write`)
      expected.delete(id)
    }
    if (expected.size > 0) throw new Error(`at position ${n} the keys ${[...expected.keys()]} are missing`)
    return n
  })
}

function expectedAt(n: number): Map<number, Buffer> {
  const expected = new Map<number, Buffer>()
  for (let i = Math.max(1, n - hotKeys + 1); i <= n; i++) expected.set(i % hotKeys, hotValue(i))
  for (let i = 1; i <= n; i++) if (i % 7 !== 0 || i + 7 > n) expected.set(addedBase + i, numberKey(i))
  const big = n - (n % 5)
  if (big > 0) expected.set(readKeyNumber(bigKey, 0), bigValue(big))
  return expected
}
