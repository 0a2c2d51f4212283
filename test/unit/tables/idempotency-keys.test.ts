import { beforeEach, describe, expect, it } from 'vitest'
import { isCommanderError } from '../../../src/kernel/errors.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { KeyDeletions } from '../../../src/projection-applier/key-deletions.ts'
import type { WriteBatch } from '../../../src/store/key-value-store.ts'
import { type MemoryStore, openMemoryStore } from '../../../src/store/memory-store.ts'
import { keyLookup, putKey, readKey, WriterKeyLookup } from '../../../src/tables/idempotency-keys.ts'
import { allTables, tableNames } from '../../../src/tables/table-names.ts'
import { RoleWorld } from '../role-world.ts'

let world: RoleWorld
let store: MemoryStore
let deletions: KeyDeletions
beforeEach(() => {
  world = new RoleWorld()
  store = openMemoryStore({ tables: allTables, environment: world.environment })
  deletions = new KeyDeletions(store)
})

function write(fill: (batch: WriteBatch) => void): void {
  store.write(fill, (error) => expect(error).toBeNull())
  world.scheduler.settle()
}

const save = (key: string, at: number, expiresAtMs: number): void =>
  write((batch) => putKey(batch, key, { lsn: lsn(at), digest: Buffer.alloc(16, at), expiresAtMs }))

/** An entry says so, and then all goes that is to go. */
function deleteUntil(untilMs: number, expiredUntilMs = untilMs): void {
  write((batch) => deletions.begin(batch, untilMs, expiredUntilMs))
  for (let portion = deletions.portion(); portion.length > 0; portion = deletions.portion())
    write((batch) => deletions.delete(batch, portion))
}

/** The command that had the key, as a process sees it that folds entry `at`; `stale_state` when it cannot be told. */
function known(key: string, at: number, expiredUntilMs = 0): number | undefined | 'stale_state' {
  try {
    return keyLookup(store)(key, lsn(at), expiredUntilMs)?.lsn
  } catch (error) {
    if (isCommanderError(error) && error.code === 'stale_state' && error.retryable) return error.code
    throw error
  }
}

describe('a key in the store', () => {
  it('is known to entries after the one that saved it, not to that one and those before', () => {
    save('k', 5, 1000)
    expect([known('k', 4), known('k', 5), known('k', 6)]).toEqual([undefined, undefined, 5])
    expect(keyLookup(store)('k', lsn(6), 0)).toEqual({ lsn: 5, digest: Buffer.alloc(16, 5), expiresAtMs: 1000 })
  })

  it('that was used again is known to each entry as it was then', () => {
    save('k', 5, 1000)
    save('k', 9, 3000)
    expect([known('k', 6), known('k', 9), known('k', 10)]).toEqual([5, 5, 9])
  })

  it('that was used again twice is not taken for unused by who is further behind', () => {
    save('k', 5, 1000)
    save('k', 9, 3000)
    save('k', 12, 5000)
    expect([known('k', 13), known('k', 12), known('k', 9)]).toEqual([12, 9, 'stale_state'])
  })

  it('is seen inside a transaction with what that has put', () => {
    const keys = new WriterKeyLookup(store)
    write((batch) => {
      keys.enter(batch)
      putKey(batch, 'k', { lsn: lsn(5), digest: Buffer.alloc(16), expiresAtMs: 1000 })
      expect(keys.lookup('k', lsn(6), 0)?.lsn).toBe(5)
      keys.leave()
    })
    expect(known('k', 6)).toBe(5)
  })
})

describe('the deletion of keys', () => {
  it('takes those that expire at its time, and none that expires a millisecond later', () => {
    save('before', 1, 999)
    save('at', 2, 1000)
    save('after', 3, 1001)
    deleteUntil(1000)
    expect(['before', 'at', 'after'].map((key) => readKey(store, key)?.lsn)).toEqual([undefined, undefined, 3])
    expect(store.table(tableNames.expiries).count()).toBe(1)
  })

  it('spares what has not expired yet, whatever is said', () => {
    save('k', 1, 1000)
    deleteUntil(2000, 999)
    expect(readKey(store, 'k')?.lsn).toBe(1)
    deleteUntil(2000, 1000)
    expect(readKey(store, 'k')).toBeUndefined()
  })

  it('spares a key that was used again, and takes only what it had been before', () => {
    save('k', 5, 1000)
    save('k', 9, 3000)
    deleteUntil(1000)
    expect(known('k', 10, 1000)).toBe(9)
    expect(known('k', 9, 1000)).toBeUndefined()
    expect(known('k', 9, 999)).toBe('stale_state')
    deleteUntil(3000)
    expect(store.table(tableNames.keys).count()).toBe(0)
    expect(store.table(tableNames.expiries).count()).toBe(0)
  })

  it('leaves no process in the belief that a key was never used when it has only not heard yet that it expired', () => {
    save('k', 5, 1000)
    deleteUntil(1000)
    expect(known('k', 6, 999)).toBe('stale_state')
    expect(known('never', 6, 999)).toBe('stale_state')
    expect(known('k', 6, 1000)).toBeUndefined()
  })

  it('goes on where it was when the process was killed in the middle', () => {
    for (let i = 0; i < 5000; i++) save(`k${i}`, i + 1, 1000 + (i % 2))
    write((batch) => deletions.begin(batch, 1000, 1000))
    const portion = deletions.portion()
    write((batch) => deletions.delete(batch, portion))
    expect(store.table(tableNames.keys).count()).toBe(5000 - portion.length)
    deletions = new KeyDeletions(store)
    expect(deletions.isAtWork).toBe(true)
    for (let rest = deletions.portion(); rest.length > 0; rest = deletions.portion())
      write((batch) => deletions.delete(batch, rest))
    expect(deletions.isAtWork).toBe(false)
    expect(store.table(tableNames.keys).count()).toBe(2500)
    expect([...store.table(tableNames.keys).range({})].every(({ value }) => value.readUInt32LE(8) === 1001)).toBe(true)
  })

  it('is nothing to do for a store of which nothing was deleted', () => {
    save('k', 5, 1000)
    expect(deletions.isAtWork).toBe(false)
    expect(deletions.portion()).toEqual([])
  })
})
