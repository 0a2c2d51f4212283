import { beforeEach, describe, expect, it } from 'vitest'
import type { IdempotencyKey } from '../../../src/actions/action.ts'
import { type Lsn, lsn } from '../../../src/kernel/identifiers.ts'
import { limits } from '../../../src/kernel/limits.ts'
import {
  answeredLongAgo,
  emptyIdempotency,
  expireKeys,
  findKey,
  forgetSavedKeys,
  type IdempotencySlice,
  type KeyRecord,
  nextExpiryMs,
  rememberCall,
  saveKey,
} from '../../../src/state/idempotency.ts'
import { emptyRoot, type RootState, reduce } from '../../../src/state/root.ts'
import { decodeRoot, encodeRoot, stateHash } from '../../../src/state/snapshot.ts'
import { received, StubJournal } from '../role-world.ts'

let slice: IdempotencySlice
let store: Map<string, KeyRecord>
beforeEach(() => {
  store = new Map()
  slice = emptyIdempotency((key) => store.get(key))
})

const key = (name: string, ttlMs = 60_000): IdempotencyKey => ({ key: name, digest: new Uint8Array(16), ttlMs })
const isNew = lsn(0)

describe('a session call', () => {
  it('is new once, and its repetitions are told the command that it became', () => {
    expect(rememberCall(slice, 9, 1, 1, lsn(10))).toBe(isNew)
    expect(rememberCall(slice, 9, 2, 1, lsn(11))).toBe(isNew)
    expect(rememberCall(slice, 9, 1, 1, lsn(12))).toBe(10)
    expect(rememberCall(slice, 9, 2, 1, lsn(13))).toBe(11)
  })

  it('is no repetition of the same number in another session', () => {
    rememberCall(slice, 9, 1, 1, lsn(10))
    expect(rememberCall(slice, 8, 1, 1, lsn(11))).toBe(isNew)
  })

  it('is forgotten once its client has its answer, and cannot be made again', () => {
    for (let sequence = 1; sequence <= 100; sequence++) rememberCall(slice, 9, sequence, 1, lsn(sequence))
    rememberCall(slice, 9, 101, 101, lsn(101))
    expect(slice.sessions.get(9)?.calls.size).toBe(1)
    expect(rememberCall(slice, 9, 50, 101, lsn(102))).toBe(answeredLongAgo)
  })

  it('stays known when a client says late what it has had answered', () => {
    rememberCall(slice, 9, 1, 1, lsn(1))
    rememberCall(slice, 9, 5, 5, lsn(2))
    rememberCall(slice, 9, 6, 2, lsn(3))
    expect(rememberCall(slice, 9, 5, 2, lsn(4))).toBe(2)
    expect(rememberCall(slice, 9, 4, 2, lsn(5))).toBe(answeredLongAgo)
  })

  it('makes room by what it says about those before it, with as many under way as a session may have', () => {
    const window = limits.sessionWindowMax
    for (let sequence = 1; sequence <= window; sequence++) rememberCall(slice, 9, sequence, 1, lsn(sequence))
    rememberCall(slice, 9, window + 1, 2, lsn(window + 1))
    expect(slice.sessions.get(9)?.calls.size).toBe(window)
    expect(rememberCall(slice, 9, 2, 2, lsn(window + 2))).toBe(2)
  })

  it('is not remembered when its client says at once that it has the answer', () => {
    rememberCall(slice, 9, 1, 1, lsn(1))
    expect(rememberCall(slice, 9, 3, 7, lsn(2))).toBe(isNew)
    expect(slice.sessions.get(9)?.calls.size).toBe(0)
    expect(rememberCall(slice, 9, 3, 7, lsn(3))).toBe(answeredLongAgo)
  })

  it('is forgotten with its session when there are too many, the least recently used first', () => {
    for (let session = 1; session <= limits.sessionsMax; session++) rememberCall(slice, session, 1, 1, lsn(session))
    rememberCall(slice, 1, 2, 1, lsn(limits.sessionsMax + 1))
    rememberCall(slice, limits.sessionsMax + 1, 1, 1, lsn(limits.sessionsMax + 2))
    expect(slice.sessions.size).toBe(limits.sessionsMax)
    expect(slice.sessions.has(1)).toBe(true)
    expect(slice.sessions.has(2)).toBe(false)
  })
})

describe('a client that does not keep to its window', () => {
  /** More calls under way than a session may have, the first ones out of order. */
  function overrun(state: RootState, journal: StubJournal, from: number, to: number): RootState {
    for (let at = from; at < to; at++) {
      const sequence = at < 4 ? 4 - at : at + 1
      const call = { session: 9, sequence, answeredBelow: 1 }
      reduce(state, journal.append([received('a', 'add', 1, { call })]), 0)
    }
    return state
  }

  it('costs bounded memory, and the same everywhere, also where the state came from a snapshot', () => {
    const options = { lookup: () => undefined, keepsPayloads: false }
    const journal = new StubJournal()
    const state = overrun(emptyRoot(options), journal, 0, limits.sessionWindowMax)
    const restored = decodeRoot(encodeRoot(state), options)
    const again = new StubJournal()
    again.written = journal.written
    overrun(state, journal, limits.sessionWindowMax, limits.sessionWindowMax + 3)
    overrun(restored, again, limits.sessionWindowMax, limits.sessionWindowMax + 3)
    expect(state.idempotency.sessions.get(9)?.calls.size).toBeLessThanOrEqual(limits.sessionWindowMax)
    expect(stateHash(restored)).toBe(stateHash(state))
  })
})

describe('an idempotency key', () => {
  const at = (value: number): Lsn => lsn(value)

  it('is found by entries after the one that saved it, and not by that one or those before', () => {
    saveKey(slice, key('k'), at(5), 0)
    expect(findKey(slice, 'k', at(6))?.lsn).toBe(5)
    expect(findKey(slice, 'k', at(5))).toBeUndefined()
    expect(findKey(slice, 'k', at(4))).toBeUndefined()
    expect(findKey(slice, 'other', at(6))).toBeUndefined()
  })

  it('is found in the store once it is forgotten here', () => {
    store.set('k', saveKey(slice, key('k'), at(5), 0))
    forgetSavedKeys(slice, at(4))
    expect(slice.recentKeys.size).toBe(1)
    forgetSavedKeys(slice, at(5))
    expect(slice.recentKeys.size).toBe(0)
    expect(findKey(slice, 'k', at(6))?.lsn).toBe(5)
    expect(findKey(slice, 'k', at(5))).toBeUndefined()
  })

  it('counts until an entry says that its time is over', () => {
    saveKey(slice, key('k', 1000), at(5), 100)
    expireKeys(slice, 1099)
    expect(findKey(slice, 'k', at(9))?.lsn).toBe(5)
    expireKeys(slice, 1100)
    expect(findKey(slice, 'k', at(9))).toBeUndefined()
  })

  it('counts up to its last millisecond, and no longer when an entry names the one at which it ends', () => {
    const state = emptyRoot({ lookup: () => undefined, keepsPayloads: false })
    const journal = new StubJournal()
    const receivedAtMs = 1_700_000_000_000
    const use = (atMs: number): number =>
      reduce(
        state,
        journal.append([received('a', 'add', 1, { idempotencyKey: key('k', 1000), receivedAtMs: atMs })]),
        0,
      )
    const expire = (untilMs: number) => reduce(state, journal.append([{ type: 'idempotency-key/expired', untilMs }]), 0)
    expect(use(receivedAtMs)).toBe(0)
    expire(receivedAtMs + 999)
    expect(use(receivedAtMs + 999)).toBe(1)
    expect(use(receivedAtMs + 5000)).toBe(1) // no clock counts, only entries
    expire(receivedAtMs + 1000)
    expect(use(receivedAtMs + 1000)).toBe(0)
  })

  it('counts for its time after the last expiry when it comes by a clock that was set back', () => {
    expireKeys(slice, 10_000)
    saveKey(slice, key('k', 1000), at(5), 2000)
    expect(findKey(slice, 'k', at(6))?.expiresAtMs).toBe(11_000)
    expect(nextExpiryMs(slice)).toBe(60_000)
    expireKeys(slice, 10_999)
    expect(findKey(slice, 'k', at(6))?.lsn).toBe(5)
    expireKeys(slice, 11_000)
    expect(findKey(slice, 'k', at(6))).toBeUndefined()
  })

  it('does not come back to life with a clock that goes back', () => {
    saveKey(slice, key('k', 1000), at(5), 100)
    expireKeys(slice, 2000)
    expireKeys(slice, 500)
    expect(findKey(slice, 'k', at(9))).toBeUndefined()
  })

  it('says to the minute when the next one expires, and nothing when there is none', () => {
    expect(nextExpiryMs(slice)).toBeNull()
    saveKey(slice, key('a', 90_000), at(1), 0)
    saveKey(slice, key('b', 30_000), at(2), 0)
    expect(nextExpiryMs(slice)).toBe(60_000)
    expireKeys(slice, 60_000)
    expect(nextExpiryMs(slice)).toBe(120_000)
    expireKeys(slice, 120_000)
    expect(nextExpiryMs(slice)).toBeNull()
    expect(slice.expiriesByMinute.size).toBe(0)
  })
})

describe('a command with a key', () => {
  const options = { lookup: () => undefined, keepsPayloads: false }
  const idempotencyKey = key('k')

  it('becomes pending once, whatever data comes under the key later', () => {
    const state = emptyRoot(options)
    const journal = new StubJournal()
    const other = { ...idempotencyKey, digest: Buffer.alloc(16, 1) }
    expect(reduce(state, journal.append([received('a', 'add', 1, { idempotencyKey })]), 0)).toBe(0)
    expect(reduce(state, journal.append([received('a', 'add', 1, { idempotencyKey })]), 0)).toBe(1)
    expect(reduce(state, journal.append([received('b', 'add', 2, { idempotencyKey: other })]), 0)).toBe(1)
    expect([...state.commands.byLsn.keys()]).toEqual([1])
  })

  it('saves no key when it repeats a session call', () => {
    const state = emptyRoot(options)
    const journal = new StubJournal()
    const call = { session: 9, sequence: 1, answeredBelow: 1 }
    reduce(state, journal.append([received('a', 'add', 1, { call })]), 0)
    expect(reduce(state, journal.append([received('a', 'add', 1, { call, idempotencyKey })]), 0)).toBe(1)
    expect(state.idempotency.recentKeys.size).toBe(0)
  })

  it('is known by its session call as the command that its key had named, also when the key has expired since', () => {
    const state = emptyRoot(options)
    const journal = new StubJournal()
    const call = { session: 9, sequence: 1, answeredBelow: 1 }
    reduce(state, journal.append([received('a', 'add', 1, { idempotencyKey })]), 0)
    expect(reduce(state, journal.append([received('a', 'add', 1, { idempotencyKey, call })]), 0)).toBe(1)
    reduce(state, journal.append([{ type: 'idempotency-key/expired', untilMs: Number.MAX_SAFE_INTEGER }]), 0)
    expect(reduce(state, journal.append([received('a', 'add', 1, { idempotencyKey, call })]), 0)).toBe(1)
  })
  it('is not known by its session call as a command of other data that had its key', () => {
    const state = emptyRoot(options)
    const journal = new StubJournal()
    const call = { session: 9, sequence: 1, answeredBelow: 1 }
    const other = { ...idempotencyKey, digest: Buffer.alloc(16, 1) }
    reduce(state, journal.append([received('a', 'add', 1, { idempotencyKey })]), 0)
    expect(reduce(state, journal.append([received('b', 'add', 2, { idempotencyKey: other, call })]), 0)).toBe(1)
    reduce(state, journal.append([{ type: 'idempotency-key/expired', untilMs: Number.MAX_SAFE_INTEGER }]), 0)
    expect(reduce(state, journal.append([received('b', 'add', 2, { idempotencyKey: other, call })]), 0)).toBe(0)
    expect(state.commands.byLsn.has(lsn(4))).toBe(true)
  })

  it('stays what it became by its session call, whoever uses its key after it has expired', () => {
    const state = emptyRoot(options)
    const journal = new StubJournal()
    const call = { session: 9, sequence: 1, answeredBelow: 1 }
    const other = { ...idempotencyKey, digest: Buffer.alloc(16, 1) }
    reduce(state, journal.append([received('a', 'add', 1, { idempotencyKey, call })]), 0)
    reduce(state, journal.append([{ type: 'idempotency-key/expired', untilMs: 1_700_000_060_000 }]), 0)
    const later = { idempotencyKey: other, receivedAtMs: 1_700_000_060_000 }
    expect(reduce(state, journal.append([received('b', 'add', 2, later)]), 0)).toBe(0)
    expect(reduce(state, journal.append([received('a', 'add', 1, { idempotencyKey, call })]), 0)).toBe(1)
  })
})
