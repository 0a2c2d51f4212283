import { beforeEach, describe, expect, it } from 'vitest'
import type { Entry } from '../../../src/actions/action.ts'
import { replicatedWanted, waitModes } from '../../../src/ipc/client-protocol.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { type Lsn, lsn } from '../../../src/kernel/identifiers.ts'
import { apply, ledBy, refusal } from '../role-world.ts'
import { GatewayWorld, key } from './gateway-world.ts'

let db: GatewayWorld
beforeEach(() => {
  db = new GatewayWorld()
})

describe('a call', () => {
  it('is answered once the end of its command is flushed, and not before', () => {
    const request = db.call()
    const command = db.accept()
    db.flush()
    const end = db.complete(command)
    expect(db.answer(request)).toBeUndefined()
    db.flush()
    expect(db.answer(request)).toMatchObject({
      outcome: 'completed',
      id: String(command),
      durability: 'flushed',
      duplicate: false,
      events: [{ type: 'added', revision: 1, globalPosition: 1, lsn: end, aggregate: { type: 'counter', id: 'a' } }],
    })
  })

  it('that is content with written is answered when its end is written, and told so', () => {
    const request = db.call({ writtenIsEnough: true })
    db.complete(db.accept())
    expect(db.answer(request)).toMatchObject({ outcome: 'completed', durability: 'written' })
  })

  it('that must be replicated is refused where one node keeps the journal alone, before anything is drafted', () => {
    const request = db.call({ wait: waitModes.completed | replicatedWanted })
    expect(db.answer(request)).toMatchObject({ error: 'policy_unsatisfiable', retryable: false })
    expect(db.follower.takeDrafts()).toEqual([])
  })

  it('is told that it is replicated where what is flushed is, and no more when that cannot be promised any longer', () => {
    db.gateway.replicates(null)
    const [wanted, usual] = [db.call({ wait: waitModes.completed | replicatedWanted }), db.call()]
    const first = db.accept()
    const end = db.complete(first)
    db.complete(lsn(first + 1))
    expect(db.answer(wanted)).toBeUndefined()
    db.flush(end)
    expect(db.answer(wanted)).toMatchObject({ durability: 'replicated' })
    expect(db.answer(usual)).toBeUndefined()
    db.gateway.replicates(new CommanderError('policy_unsatisfiable', 's1, s2 share a device'))
    db.flush()
    expect(db.answer(usual)).toMatchObject({ durability: 'flushed' })
    expect(db.outcome(db.call({ wait: waitModes.received | replicatedWanted }))).toBe('policy_unsatisfiable')
  })

  it.each([4, 255, 260, 512, 65_535])('that waits for %d, which there is not, is refused', (wait) => {
    expect(db.outcome(db.call({ wait }))).toBe('invalid_input')
  })

  it('that waits for received is answered when its command is flushed', () => {
    const request = db.call({ wait: waitModes.received })
    const command = db.accept()
    expect(db.answer(request)).toBeUndefined()
    db.flush()
    expect(db.answer(request)).toMatchObject({ outcome: 'received', id: String(command), durability: 'flushed' })
  })

  it('that waits for applied is answered when readers see it', () => {
    const request = db.call({ wait: waitModes.applied })
    db.complete(db.accept())
    db.flush()
    expect(db.answer(request)).toBeUndefined()
    db.store()
    expect(db.answer(request)).toMatchObject({ outcome: 'completed', durability: 'applied' })
  })

  it('is told of rejection and of parking', () => {
    const parked = db.call()
    db.park(db.accept())
    db.flush()
    expect(db.answer(parked)).toMatchObject({ outcome: 'parked', message: 'gave up' })
  })

  it('marks its draft as waited for only if somebody waits for that very entry', () => {
    db.call({ wait: waitModes.received })
    db.call()
    db.world.scheduler.settle()
    expect(db.follower.drafts.map(({ sequence }) => sequence)).toEqual([0, 1])
  })
})

describe('the same call again', () => {
  const call = { session: 8, sequence: 1, answeredBelow: 1 }

  it('while its command is under way waits for it, and both are answered', () => {
    const [first, second] = [db.call(call), db.call(call)]
    const command = db.accept()
    db.complete(command)
    db.flush()
    expect(db.answer(first)).toMatchObject({ id: String(command), duplicate: false })
    expect(db.answer(second)).toMatchObject({ id: String(command), duplicate: true })
  })

  it('after its command has ended is answered from the store, once the store has it', () => {
    db.call(call)
    const command = db.accept()
    db.complete(command)
    db.flush()
    const again = db.call(call)
    db.accept()
    db.flush()
    expect(db.answer(again)).toBeUndefined()
    db.store()
    expect(db.answer(again)).toMatchObject({ outcome: 'completed', id: String(command), duplicate: true })
  })

  it('to another gateway, after the first one crashed, takes effect once', () => {
    db.call(call)
    const command = db.accept()
    db.restart()
    const again = db.call(call)
    db.accept()
    db.complete(command)
    db.flush()
    expect(db.answer(again)).toMatchObject({ id: String(command), duplicate: true })
    expect(db.gateway.state.commands.completed).toBe(1)
  })

  it('that the client says it had answered is told that nothing is known any more', () => {
    db.call({ ...call, sequence: 5, answeredBelow: 5 })
    db.accept()
    const late = db.call({ ...call, sequence: 2 })
    db.accept()
    db.flush()
    db.store()
    expect(db.outcome(late)).toBe('not_found')
  })
})

describe('an idempotency key', () => {
  const idempotencyKey = key('k')

  it('gives the first outcome again without writing anything', () => {
    db.call({ idempotencyKey })
    const command = db.accept()
    db.complete(command)
    db.flush()
    db.store()
    const again = db.call({ idempotencyKey })
    db.world.scheduler.settle()
    expect(db.follower.drafts).toEqual([])
    expect(db.answer(again)).toMatchObject({ outcome: 'completed', id: String(command), duplicate: true })
  })

  it('whose command has ended is answered once the store has the outcome, and not before', () => {
    db.call({ idempotencyKey })
    const command = db.accept()
    db.complete(command)
    db.flush()
    const again = db.call({ idempotencyKey })
    db.world.scheduler.settle()
    expect(db.answer(again)).toBeUndefined()
    db.store()
    expect(db.answer(again)).toMatchObject({ outcome: 'completed', id: String(command), duplicate: true })
  })

  it('with other data is a conflict, at once or from the journal, told once its first use is flushed', () => {
    const other = { idempotencyKey: key('k', 2) }
    db.call({ idempotencyKey })
    const crossing = db.call(other)
    db.accept()
    const late = db.call(other)
    expect([db.outcome(crossing), db.outcome(late)]).toEqual([undefined, undefined])
    db.flush()
    expect([db.outcome(crossing), db.outcome(late)]).toEqual(['idempotency_conflict', 'idempotency_conflict'])
    expect(db.outcome(db.call(other))).toBe('idempotency_conflict')
    expect(db.gateway.state.commands.byLsn.size).toBe(1)
  })

  it('lives as long as the aggregate says, whatever the client asked for', () => {
    for (const ttlMs of [1, -5, Number.MAX_SAFE_INTEGER]) db.call({ idempotencyKey: { ...key(`k${ttlMs}`), ttlMs } })
    db.world.scheduler.settle()
    const actions = db.follower.takeActions()
    expect(actions.map((action) => (action as { idempotencyKey: { ttlMs: number } }).idempotencyKey.ttlMs)).toEqual([
      7_200_000, 7_200_000, 7_200_000,
    ])
  })
})

describe('a lost connection to the journal writer', () => {
  it('has drafts that did not come back sent again, in order and once', () => {
    const requests = [db.call(), db.call({ key: 'counter/b' }), db.call()]
    db.world.scheduler.settle()
    const lost = db.follower.takeDrafts()
    db.gateway.connected()
    const again = db.follower.drafts
    expect(again.map(({ action }) => action)).toEqual(lost.map(({ action }) => action))
    const first = db.accept()
    db.complete(first)
    db.flush()
    expect(requests.map((request) => db.outcome(request))).toEqual(['completed', undefined, undefined])
  })

  it('has no draft sent again that was refused, since its caller was told so', () => {
    const requests = [db.call(), db.call({ key: 'counter/b' }), db.call()]
    db.world.scheduler.settle()
    const [first, second, third] = db.follower.takeDrafts() as [Entry, Entry, Entry]
    db.gateway.refused(refusal(second.sequence, 'journal_full'))
    db.gateway.connected()
    expect(db.follower.drafts.map(({ action }) => action)).toEqual([first.action, third.action])
    expect(requests.map((request) => db.outcome(request))).toEqual([undefined, 'journal_full', undefined])
  })

  it('refuses calls until it is back', () => {
    db.follower.isConnected = false
    expect(db.answer(db.call())).toMatchObject({ error: 'not_ready', retryable: true })
    db.follower.isConnected = true
    expect(db.answer(db.call())).toBeUndefined()
  })
})

describe('while another node leads', () => {
  const standBy = (leader = 'b', epoch = 2): void => {
    db.follower.isConnected = false
    db.follower.leadership = ledBy(leader, epoch)
    db.gateway.following(db.follower.leadership)
  }

  it('every call is refused, certainly not taken, and told where that node is', () => {
    standBy()
    const skipped = {
      type: 'command/skipped',
      command: lsn(1),
      reason: '',
      aggregate: { type: 'counter', id: 'a' },
    } as const
    for (const request of [db.call(), db.operate(skipped)]) {
      expect(db.answer(request)).toMatchObject({
        error: 'not_leader',
        retryable: true,
        details: { leader: { id: 'b', address: 'b:7500', url: 'http://b:7400' }, epoch: 2 },
      })
    }
    expect(db.follower.drafts).toEqual([])
    expect(db.gateway.isReady).toBe(false)
  })

  it('a call that was drafted when this one led is told that nobody knows, and its entry may still come', () => {
    const requests = [db.call(), db.call({ key: 'counter/b' })]
    db.world.scheduler.settle()
    const drafts = db.follower.takeDrafts()
    standBy()
    expect(requests.map((request) => db.outcome(request))).toEqual(['indeterminate', 'indeterminate'])
    apply(db.gateway, db.journal.accept(drafts.slice(0, 1), drafts[0]?.origin), db.journal.written)
    db.follower.isConnected = true
    db.gateway.connected()
    const again = db.call()
    db.complete(db.accept())
    db.flush()
    expect(db.outcome(again)).toBe('completed')
  })

  it('a call whose command is in the journal is answered when the other node has carried it out', () => {
    const request = db.call()
    const command = db.accept()
    standBy()
    db.complete(command)
    db.flush()
    expect(db.outcome(request)).toBe('completed')
  })
})

describe('a full disk', () => {
  it('is an error for the calls that met it, and calls that come when there is room again are taken', () => {
    db = new GatewayWorld({ pendingCommands: 10 })
    for (let round = 0; round < 5; round++) {
      const requests = Array.from({ length: 9 }, () => db.call())
      db.world.scheduler.settle()
      for (const { sequence } of db.follower.takeDrafts() as Entry[])
        db.gateway.refused(refusal(sequence, 'journal_full'))
      expect(requests.map((request) => db.outcome(request))).toEqual(requests.map(() => 'journal_full'))
    }
    const request = db.call()
    db.complete(db.accept())
    db.flush()
    expect(db.outcome(request)).toBe('completed')
  })
})

describe('admission', () => {
  it('counts what is drafted with what is pending, and has room again when commands end', () => {
    db = new GatewayWorld({ pendingCommands: 3 })
    const requests = [db.call(), db.call(), db.call(), db.call()]
    expect(requests.map((request) => db.outcome(request))).toEqual([undefined, undefined, undefined, 'overloaded'])
    const first = db.accept()
    expect(db.outcome(db.call())).toBe('overloaded')
    db.complete(first)
    expect(db.outcome(db.call())).toBeUndefined()
  })
})

describe('a caller that takes no more when its command is parked', () => {
  let command: Lsn
  let request: number
  beforeEach(() => {
    request = db.call()
    command = db.accept()
    db.replier.isFull = true
    db.park(command)
    db.flush()
    db.store()
  })

  const takesMore = (): void => {
    db.replier.isFull = false
    db.gateway.owed.takesMore(db.replier)
  }

  it('is told so when it takes more', () => {
    expect(db.outcome(request)).toBeUndefined()
    takesMore()
    expect(db.answer(request)).toMatchObject({ outcome: 'parked', message: 'gave up' })
  })

  it('is told how it came out when it was retried meanwhile', () => {
    db.operate({ type: 'command/retried', ...db.queries.parked(String(command)) })
    db.accept()
    takesMore()
    expect(db.outcome(request)).toBeUndefined()
    db.complete(command)
    db.flush()
    expect(db.outcome(request)).toBe('completed')
  })
})

describe('an operator', () => {
  /** A command that was parked, as the store and its readers see it. */
  function parked(): string {
    db.call()
    const command = db.accept()
    db.park(command)
    db.flush()
    db.store()
    return String(command)
  }

  it('retries a parked command once, however often it is asked for', () => {
    const id = parked()
    const [first, second] = [
      db.operate({ type: 'command/retried', ...db.queries.parked(id) }),
      db.operate({ type: 'command/retried', ...db.queries.parked(id) }),
    ]
    db.accept()
    db.flush()
    expect(db.outcome(first)).toBe('received')
    expect(db.outcome(second)).toBe('invalid_input')
    db.complete(Number(id) as never)
    db.flush()
    const third = db.operate({ type: 'command/retried', ...db.queries.parked(id) })
    db.accept()
    db.flush()
    expect(db.outcome(third)).toBe('invalid_input')
    expect(db.gateway.state.commands.byLsn.size).toBe(0)
    expect(db.gateway.state.commands.completed).toBe(1)
  })

  it('cannot retry what another gateway has retried shortly before it crashed', () => {
    const id = parked()
    const action = { type: 'command/retried', ...db.queries.parked(id) } as const
    db.operate(action)
    db.accept()
    db.complete(Number(id) as never)
    db.restart()
    expect(db.outcome(db.operate(action))).toBe('invalid_input')
  })

  it('skips a parked command once', () => {
    const id = parked()
    const { command, received } = db.queries.parked(id)
    const skip = { type: 'command/skipped', command, aggregate: received.aggregate, reason: 'r' } as const
    const requests = [db.operate(skip), db.operate(skip)]
    db.accept()
    db.flush()
    expect(requests.map((request) => db.outcome(request)).sort()).toEqual(['invalid_input', 'skipped'])
    expect(db.gateway.state.commands.parked).toBe(0)
  })

  it('may try again when the disk was full', () => {
    const id = parked()
    const action = { type: 'command/retried', ...db.queries.parked(id) } as const
    db.operate(action)
    db.world.scheduler.settle()
    const [draft] = db.follower.takeDrafts() as [Entry]
    db.gateway.refused(refusal(draft.sequence, 'journal_full'))
    const again = db.operate(action)
    db.accept()
    db.flush()
    expect(db.outcome(again)).toBe('received')
  })

  it('may park, retry and park again', () => {
    const id = parked()
    db.operate({ type: 'command/retried', ...db.queries.parked(id) })
    db.accept()
    db.park(Number(id) as never)
    db.flush()
    db.store()
    const again = db.operate({ type: 'command/retried', ...db.queries.parked(id) })
    db.accept()
    db.flush()
    expect(db.outcome(again)).toBe('received')
  })
})
