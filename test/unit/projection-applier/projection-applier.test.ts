import { beforeEach, describe, expect, it, vi } from 'vitest'
import type { Action } from '../../../src/actions/action.ts'
import { actionCodes } from '../../../src/actions/action-codes.ts'
import { lengthOf, padded } from '../../../src/actions/entry-layout.ts'
import { type Lsn, lsn } from '../../../src/kernel/identifiers.ts'
import { reduce } from '../../../src/state/root.ts'
import { stateHash } from '../../../src/state/snapshot.ts'
import { EventLogReader } from '../../../src/tables/event-log.ts'
import { readKey } from '../../../src/tables/idempotency-keys.ts'
import { readOutcome, readParked } from '../../../src/tables/outcomes.ts'
import { readHead } from '../../../src/tables/streams.ts'
import { ledBy, mark, received, registered } from '../role-world.ts'
import { ApplierWorld, Counters, emptyState } from './applier-world.ts'

let db: ApplierWorld
beforeEach(() => {
  db = new ApplierWorld()
})

describe('what is applied', () => {
  it('is what is flushed, and never more', () => {
    const counters = new Counters(db)
    counters.add('a', 1)
    const flushed = db.journal.written
    counters.add('a', 2)
    db.flush(flushed)
    expect(db.position).toEqual({ applied: flushed, globalPosition: 1 })
    expect(readHead(db.store, 'counter/a')?.revision).toBe(1)
    db.flush()
    expect(db.position).toEqual({ applied: db.journal.written, globalPosition: 2 })
  })

  it('is said to the journal writer once it is in the store', () => {
    const counters = new Counters(db)
    counters.add('a', 1)
    db.flush()
    expect(db.follower.applied.at(-1)).toMatchObject({ applied: db.journal.written })
    expect(db.applier.committed).toBe(db.journal.written)
  })

  it('is only whole batches', () => {
    new Counters(db)
    db.append(received('a'), received('b'), received('c'))
    db.flush(lsn(3))
    expect(db.position.applied).toBe(1)
    db.flush(lsn(4))
    expect(db.position.applied).toBe(4)
  })

  it('is the outcome of every command, however it ended', () => {
    new Counters(db)
    const commands = Array.from({ length: 5 }, () => db.append(received('a')))
    const release = db.append({ type: 'command/started', instance: 'test-1', commands })
    const [a, b, c, d] = commands.map(Number) as [number, number, number, number]
    const end = (command: number) =>
      ({
        command,
        aggregate: { type: 'counter', id: 'a' },
        release,
        atMs: 0,
        idempotencyKey: 'none',
        message: 'm',
      }) as never
    db.append({ ...(end(a) as object), type: 'command/rejected', code: 'no', details: { x: 1 } } as Action)
    db.append({ ...(end(b) as object), type: 'command/parked', attempts: 5, blocksAggregate: false } as Action)
    db.append({ ...(end(c) as object), type: 'command/parked', attempts: 5, blocksAggregate: true } as Action)
    db.append({ ...(end(d) as object), type: 'command/failed', retryDelayMs: 5 } as Action)
    db.flush()
    const log = new EventLogReader(db.store)
    const codes = () => commands.map((command) => readOutcome(db.store, log, command)?.code)
    const { 'command/rejected': rejected, 'command/parked': parked, 'command/skipped': skipped } = actionCodes
    expect(codes()).toEqual([rejected, parked, parked, undefined, undefined])
    expect([b, c].map((command) => readParked(db.store, lsn(command)) !== null)).toEqual([true, true])
    db.append({ type: 'command/skipped', command: lsn(c), aggregate: { type: 'counter', id: 'a' }, reason: 'r' })
    db.append({ type: 'command/retried', command: lsn(b), received: received('a') })
    db.flush()
    expect([b, c].map((command) => readParked(db.store, lsn(command)) !== null)).toEqual([false, false])
    expect(codes()).toEqual([rejected, parked, skipped, undefined, undefined])
  })
})

describe('a crash of the process', () => {
  it('finds, after whichever transaction, as many events as the store says that it has', () => {
    const found: [applied: number, position: number, events: number][] = []
    const write = db.store.write.bind(db.store)
    vi.spyOn(db.store, 'write').mockImplementation((fill, done) =>
      write(fill, (error) => {
        const { applied, globalPosition } = db.position
        const heads = ['a', 'b'].map((id) => readHead(db.store, `counter/${id}`)?.revision ?? 0)
        found.push([applied, globalPosition, heads.reduce((sum, revision) => sum + revision, 0)])
        done(error)
      }),
    )
    const counters = new Counters(db)
    for (const id of ['a', 'b', 'a']) {
      counters.add(id, 1, 2)
      db.flush()
    }
    expect(found).toEqual([
      [4, 2, 2],
      [7, 4, 4],
      [10, 6, 6],
    ])
  })

  it('loses nothing and applies nothing twice, wherever it happens', () => {
    const counters = new Counters(db)
    for (let round = 0; round < 30; round++) {
      counters.add(`${round % 4}`, round, round)
      if (round % 3 === 0) db.flush()
      if (round % 4 === 0) {
        db.applier.watermark(mark(db.journal.written))
        db.restart()
      }
    }
    db.flush()
    expect(db.position).toEqual({ applied: db.journal.written, globalPosition: 60 })
    const revisions = [0, 1, 2, 3].map((id) => readHead(db.store, `counter/${id}`)?.revision)
    expect(revisions.reduce<number>((sum, one) => sum + (one ?? 0), 0)).toBe(60)
    expect(db.failures).toEqual([])
    const replica = emptyState()
    for (const { payload } of db.journal.batches) {
      for (let o = 0; o < payload.length; o += padded(lengthOf(payload, o))) reduce(replica, payload, o)
    }
    expect(stateHash(db.applier.state)).toBe(stateHash(replica))
  })
})

describe('the root that a child starts from', () => {
  it('is put when much was written or a while is over, and is never ahead of the tables', () => {
    const counters = new Counters(db)
    counters.add('a', 1)
    db.flush()
    expect(db.hasRoot()).toBe(false)
    db.world.scheduler.advance(20_000)
    counters.add('a', 2)
    db.flush()
    expect(db.root().lsn).toBe(db.position.applied)
    counters.add('a', 3)
    db.flush()
    expect(db.root().lsn).toBeLessThan(db.position.applied)
  })

  it('knows of every expiry that the tables know of: a key that was used again since would look unused to it', () => {
    const idempotencyKey = { key: 'k', digest: new Uint8Array(16), ttlMs: 1000 }
    new Counters(db)
    const first = db.append({ ...received('a'), idempotencyKey, receivedAtMs: 1000 })
    db.world.scheduler.advance(20_000)
    db.append(received('b'))
    db.flush()
    expect(db.root().lsn).toBe(db.journal.written)
    const repeat = db.append({ ...received('a'), idempotencyKey, receivedAtMs: 1500 })
    db.append({ type: 'idempotency-key/expired', untilMs: 5000 })
    db.append({ type: 'idempotency-key/deleted', untilMs: 5000 })
    db.append({ ...received('a'), idempotencyKey, receivedAtMs: 9000 })
    db.flush()
    db.restart()
    db.flush()
    const { byLsn } = db.applier.state.commands
    expect(byLsn.has(first)).toBe(true)
    expect(byLsn.has(repeat)).toBe(false)
  })
})

describe('idempotency keys', () => {
  const idempotencyKey = { key: 'k', digest: new Uint8Array(16), ttlMs: 1000 }

  it('are in the store with the command that saved them, and deleted when that is said', () => {
    new Counters(db)
    const first = db.append({ ...received('a'), idempotencyKey, receivedAtMs: 1000 })
    db.append({ ...received('a'), idempotencyKey, receivedAtMs: 1500 })
    db.flush()
    const lookup = (key: string) => readKey(db.store, key)
    expect(lookup('k')).toMatchObject({ lsn: first, expiresAtMs: 2000 })
    expect(db.applier.state.idempotency.recentKeys.size).toBe(0)
    db.append({ type: 'idempotency-key/expired', untilMs: 1999 })
    db.append({ type: 'idempotency-key/deleted', untilMs: 1999 })
    db.flush()
    expect(lookup('k')).toBeDefined()
    db.append({ type: 'idempotency-key/expired', untilMs: 2000 })
    db.append({ type: 'idempotency-key/deleted', untilMs: 2000 })
    db.flush()
    expect(lookup('k')).toBeUndefined()
  })

  it('that were used again after they expired stay, whatever is deleted', () => {
    new Counters(db)
    db.append({ ...received('a'), idempotencyKey, receivedAtMs: 1000 })
    db.append({ type: 'idempotency-key/expired', untilMs: 2000 })
    const second = db.append({ ...received('a'), idempotencyKey, receivedAtMs: 3000 })
    db.append({ type: 'idempotency-key/deleted', untilMs: 2000 })
    db.flush()
    expect(readKey(db.store, 'k')).toMatchObject({ lsn: second, expiresAtMs: 4000 })
    expect(db.applier.state.commands.byLsn.has(second)).toBe(true)
  })

  it('that were used again stay also where the store has both uses when the first is deleted', () => {
    new Counters(db)
    db.append({ ...received('a'), idempotencyKey, receivedAtMs: 1000 })
    db.append({ type: 'idempotency-key/expired', untilMs: 2000 })
    const second = db.append({ ...received('a'), idempotencyKey, receivedAtMs: 3000 })
    db.flush()
    db.append({ type: 'idempotency-key/deleted', untilMs: 2000 })
    db.flush()
    expect(readKey(db.store, 'k')).toMatchObject({ lsn: second, expiresAtMs: 4000 })
    db.append({ type: 'idempotency-key/expired', untilMs: 4000 }, { type: 'idempotency-key/deleted', untilMs: 4000 })
    db.flush()
    expect(readKey(db.store, 'k')).toBeUndefined()
  })
})

describe('checkpoints', () => {
  it('are taken in time, with the hash of the state, and not while nothing happens', () => {
    db = new ApplierWorld({ checkpointTimeoutMs: 60_000 })
    new Counters(db).add('a', 1)
    db.flush()
    const upTo = db.journal.written
    db.world.scheduler.advance(60_000)
    const drafts = db.follower.takeActions()
    expect(drafts).toMatchObject([
      { type: 'checkpoint/started', upTo },
      { type: 'checkpoint/completed', upTo, stateHash: stateHash(db.applier.state) },
    ])
    db.append(...drafts)
    db.flush()
    db.world.scheduler.advance(600_000)
    expect(db.follower.takeActions()).toEqual([])
  })

  it('are said to be taken once the store is flushed, and not before', () => {
    new Counters(db).add('a', 1)
    db.flush()
    const upTo = db.journal.written
    const flushes: ((error: null) => void)[] = []
    vi.spyOn(db.store, 'flush').mockImplementation((done) => void flushes.push(done))
    const taken: number[] = []
    db.applier.takeCheckpoint((at) => taken.push(at))
    db.settle()
    expect(db.follower.takeActions()).toMatchObject([{ type: 'checkpoint/started', upTo }])
    expect([taken, db.applier.checkpoint]).toEqual([[], 0])
    expect(flushes).toHaveLength(1)
    flushes[0]?.(null)
    db.settle()
    expect(db.follower.takeActions()).toMatchObject([{ type: 'checkpoint/completed', upTo }])
    expect([taken, db.applier.checkpoint]).toEqual([[upTo], upTo])
  })

  it('are taken while another node leads, for the store and the segments here, and the journal says nothing of them', () => {
    db = new ApplierWorld({ checkpointTimeoutMs: 60_000 })
    db.follower.isConnected = false
    db.follower.leadership = ledBy('b')
    new Counters(db).add('a', 1)
    db.append({ type: 'checkpoint/completed', upTo: lsn(2), stateHash: 'of the other node' })
    db.flush()
    const upTo = db.journal.written
    db.world.scheduler.advance(60_000)
    expect(db.follower.takeActions()).toEqual([])
    expect(db.follower.applied.at(-1)).toMatchObject({ applied: upTo, checkpoint: upTo })
    expect(stateHash(db.root())).toBe(stateHash(db.applier.state))
    db.follower.applied.length = 0
    db.applier.following()
    expect(db.follower.applied).toMatchObject([{ applied: upTo, checkpoint: upTo }])
  })

  it('asked for while the state is being brought up to the tables are taken once it is', () => {
    new Counters(db).add('a', 1)
    db.flush()
    db.restart({ hands: false })
    let taken = 0
    db.applier.takeCheckpoint((upTo) => {
      taken = upTo
    })
    db.settle()
    expect(taken).toBe(0)
    db.hand()
    db.flush()
    expect(taken).toBe(db.journal.written)
  })
})

describe('asked for the hash of its state after a batch', () => {
  it('says it once that batch is reduced, whatever it reduces behind it in the same transaction', () => {
    const other = new ApplierWorld()
    for (const one of [db, other]) {
      one.append(received('a'), received('b'))
      one.hand()
    }
    const at = db.journal.written
    db.applier.attest(at)
    expect(db.follower.attested).toEqual([])
    db.append(received('c'))
    db.flush()
    other.flush()
    expect(db.applier.state.lsn).toBe(at + 1)
    expect(db.follower.attested).toEqual([{ at, hash: stateHash(other.applier.state) }])
  })

  it('says it at once while its state is brought up to what the tables hold already', () => {
    new Counters(db).add('a', 1)
    db.flush()
    const at = db.journal.written
    db.restart()
    db.applier.attest(at)
    expect(db.follower.attested).toEqual([{ at, hash: stateHash(db.applier.state) }])
  })
})

describe('what waits', () => {
  const mebibyte = 1 << 20
  const large = (): Action => received('a', 'add', 'x'.repeat(mebibyte))

  it('is taken without bound only while its flush is awaited, which pending commands bound', () => {
    for (let i = 0; i < 20; i++) {
      expect(db.applier.accepts()).toBe(true)
      db.append(large())
    }
    expect(db.applier.accepts()).toBe(true)
    db.applier.watermark(mark(db.journal.written))
    expect(db.applier.accepts()).toBe(false)
    db.settle()
    expect(db.applier.accepts()).toBe(true)
    expect(db.position.applied).toBe(20)
  })
})

describe('an entry that contradicts the store', () => {
  it('ends the process and changes nothing', () => {
    const counters = new Counters(db)
    counters.add('a', 1)
    db.flush()
    const applied = db.position.applied
    const command = db.append(received('a'), registered('test-2', 9))
    db.append({
      type: 'command/completed',
      command,
      aggregate: { type: 'counter', id: 'a' },
      release: 0 as never,
      atMs: 0,
      baseRevision: 7 as never,
      eventsVersion: 1,
      events: [{ type: 'added', data: { amount: 1 } }],
      latestEvent: { revision: 8 as never, type: 'added' },
      idempotencyKey: 'none',
      snapshot: null,
    })
    expect(() => db.flush()).toThrow('counter/a is at revision 1, not 7')
    expect(db.position.applied).toBe(applied)
  })
})

describe('the pause after a large transaction', () => {
  /** Milliseconds until the next entry is in the store, a few more or less. */
  function pauseOf(world: ApplierWorld): number {
    const counters = new Counters(world)
    const say = (): void => {
      const { written } = world.journal
      world.applier.watermark(mark(written, written, world.position.applied as Lsn))
    }
    counters.add('a', ...Array.from({ length: 50_000 }, () => 1))
    say()
    while (world.position.applied < world.journal.written) world.world.scheduler.advance(1)
    counters.add('b', 1)
    say()
    let passedMs = 0
    for (; world.position.applied < world.journal.written; passedMs++) world.world.scheduler.advance(1)
    return passedMs
  }

  it('is shorter on a node that follows, of which readers are further behind', () => {
    const leading = new ApplierWorld()
    const following = new ApplierWorld()
    following.applier.following()
    expect(pauseOf(leading)).toBeGreaterThan(90)
    expect(pauseOf(following)).toBeLessThan(60)
    const former = new ApplierWorld()
    former.applier.following()
    former.applier.connected()
    expect(pauseOf(former)).toBeGreaterThan(90)
  })
})
