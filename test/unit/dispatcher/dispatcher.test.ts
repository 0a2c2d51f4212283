import { beforeEach, describe, expect, it } from 'vitest'
import type { Action, Entry } from '../../../src/actions/action.ts'
import { type Lsn, lsn } from '../../../src/kernel/identifiers.ts'
import { limits } from '../../../src/kernel/limits.ts'
import { apply, epochStarted, mark, received, refusal, registered } from '../role-world.ts'
import { DispatcherWorld, idOwnedBy } from './dispatcher-world.ts'

let db: DispatcherWorld
beforeEach(() => {
  db = new DispatcherWorld()
})

describe('who gets what', () => {
  it('starts nothing while no instance hosts the aggregate, and everything once one registers', () => {
    const commands = db.receive('a', 'a', 'b')
    expect(db.settle()).toEqual([])
    db.append(registered('test-1'))
    expect(db.starts()).toEqual([`test-1: ${commands.join(' ')}`])
  })

  it('starts whole runs of commands with one entry', () => {
    db.append(registered('test-1'))
    const commands = db.receive('a', 'b', 'a', 'c', 'a')
    expect(db.starts()).toEqual([`test-1: ${commands.join(' ')}`])
  })

  it('starts what the former leader had started anew, once an instance of the new one registers', () => {
    db.append(registered('test-1'))
    const commands = db.receive('a', 'b')
    db.settle()
    db.append(epochStarted(2))
    expect(db.starts()).toEqual([])
    db.append(registered('test-1', 2))
    expect(db.starts()).toEqual([`test-1: ${commands.join(' ')}`])
  })

  it('drafts nothing while another node leads, and goes on from there when it comes to lead', () => {
    db.follower.isConnected = false
    db.append(registered('test-1'))
    const [a, b] = db.receive('a', 'b', 'c')
    db.append({ type: 'command/started', instance: 'test-1', commands: [a as Lsn] })
    db.append({ type: 'command/started', instance: 'dispatcher', commands: [b as Lsn] })
    db.world.scheduler.advance(120_000)
    db.dispatcher.writable()
    expect(db.follower.drafts).toEqual([])
    db.append(epochStarted(2), registered('test-1', 2))
    db.follower.isConnected = true
    db.dispatcher.connected()
    expect(db.starts()).toEqual([`test-1: ${a} ${b} ${lsn((b as number) + 1)}`])
  })

  it('gives each instance the aggregates of its own partitions', () => {
    db.append(registered('test-1'), registered('test-2'))
    const [a, b] = [idOwnedBy(0, 2), idOwnedBy(1, 2)]
    const [first, second, third] = db.receive(a, b, a)
    expect(db.starts().sort()).toEqual([`test-1: ${first} ${third}`, `test-2: ${second}`])
  })

  it('starts no more on an instance than its window, and goes on as commands end', () => {
    db = new DispatcherWorld({ startedPerInstance: 3 })
    db.append(registered('test-1'))
    const [a, b, c, d, e] = db.receive('a', 'b', 'c', 'd', 'e')
    expect(db.starts()).toEqual([`test-1: ${a} ${b} ${c}`])
    db.complete(lsn(b as number))
    expect(db.starts()).toEqual([`test-1: ${d}`])
    db.complete(lsn(a as number), lsn(c as number))
    expect(db.starts()).toEqual([`test-1: ${e}`])
  })

  it('counts into the window what it has drafted, while the journal writer has not taken it yet', () => {
    db = new DispatcherWorld({ startedPerInstance: 3 })
    db.append(registered('test-1'))
    const [a, b] = db.receive('a', 'b')
    const [c, d, e] = db.receive('c', 'd', 'e')
    db.dispatcher.applied()
    expect(db.starts(db.follower.drafts)).toEqual([`test-1: ${a} ${b}`, `test-1: ${c}`])
    expect(db.starts()).toHaveLength(2)
    db.complete(lsn(a as number))
    expect(db.starts()).toEqual([`test-1: ${d}`])
    db.complete(lsn(c as number))
    expect(db.starts()).toEqual([`test-1: ${e}`])
  })

  it('starts a failed command again although those that wait for it take all of the window', () => {
    db = new DispatcherWorld({ startedPerInstance: 3 })
    db.append(registered('test-1'))
    const [first, second, third, other] = db.receive('a', 'a', 'a', 'b')
    expect(db.starts()).toEqual([`test-1: ${first} ${second} ${third}`])
    db.fail(first as Lsn, 20)
    expect(db.starts()).toEqual([`test-1: ${other}`])
    db.world.scheduler.advance(20)
    expect(db.starts()).toEqual([`test-1: ${first}`])
  })

  it('keeps the commands of an aggregate together on one instance while some are under way, whoever comes', () => {
    db.append(registered('test-1'))
    const id = idOwnedBy(1, 2)
    const first = db.receiveOne(id)
    expect(db.starts()).toEqual([`test-1: ${first}`])
    db.append(registered('test-2'))
    const second = db.receiveOne(id)
    expect(db.starts()).toEqual([`test-1: ${second}`])
    db.complete(first, second)
    const third = db.receiveOne(id)
    expect(db.starts()).toEqual([`test-2: ${third}`])
  })

  it('gives commands that were not drafted yet to whoever owns them when an instance comes', () => {
    db = new DispatcherWorld({ startedPerInstance: 1 })
    db.append(registered('test-1'))
    const [first, second] = db.receive(idOwnedBy(0, 2), idOwnedBy(1, 2))
    expect(db.starts()).toEqual([`test-1: ${first}`])
    db.append(registered('test-2'))
    expect(db.starts()).toEqual([`test-2: ${second}`])
  })

  it('starts again elsewhere what a deregistered instance had, in order', () => {
    db.append(registered('test-1'), registered('test-2'))
    const id = idOwnedBy(0, 2)
    const commands = db.receive(id, id, id)
    expect(db.starts()).toEqual([`test-1: ${commands.join(' ')}`])
    db.append({ type: 'application/deregistered', instance: 'test-1', reason: 'stopped' })
    expect(db.starts()).toEqual([`test-2: ${commands.join(' ')}`])
  })

  it('starts again what was started on an instance that was gone by then', () => {
    db.append(registered('test-1'))
    const command = db.receiveOne('a')
    const drafts = db.follower.takeDrafts()
    db.append({ type: 'application/deregistered', instance: 'test-1', reason: 'stopped' })
    apply(db.dispatcher, db.journal.accept(drafts), db.journal.written)
    expect(db.tokenOf(command)).toBe(0)
    expect(db.settle()).toEqual([])
    db.append(registered('test-2'))
    expect(db.starts()).toEqual([`test-2: ${command}`])
  })

  it('follows no draft to an instance that is gone by then', () => {
    db.append(registered('test-1'), registered('test-2'))
    const id = idOwnedBy(0, 2)
    const first = db.receiveOne(id)
    const drafts = db.follower.takeDrafts()
    db.append({ type: 'application/deregistered', instance: 'test-1', reason: 'stopped' })
    const second = db.receiveOne(id)
    const later = db.follower.takeDrafts()
    apply(db.dispatcher, db.journal.accept(drafts), db.journal.written)
    apply(db.dispatcher, db.journal.accept(later), db.journal.written)
    const last = db.follower.takeDrafts()
    apply(db.dispatcher, db.journal.accept(last), db.journal.written)
    expect([...drafts, ...later, ...last].map(({ action }) => action)).toEqual([
      { type: 'command/started', instance: 'test-1', commands: [first] },
      { type: 'command/started', instance: 'test-2', commands: [second] },
      { type: 'command/started', instance: 'test-2', commands: [first] },
      { type: 'command/started', instance: 'test-2', commands: [second] },
    ])
    expect(db.follower.takeDrafts()).toEqual([])
    expect([db.instanceOf(first), db.instanceOf(second)]).toEqual(['test-2', 'test-2'])
  })
})

describe('a failed command', () => {
  beforeEach(() => {
    db.append(registered('test-1'))
  })

  it('is started again after its delay, and not before', () => {
    const command = db.receiveOne('a')
    db.settle()
    db.fail(command, 500)
    db.world.scheduler.advance(499)
    expect(db.settle()).toEqual([])
    db.world.scheduler.advance(1)
    expect(db.starts()).toEqual([`test-1: ${command}`])
  })

  it('keeps later commands of its aggregate waiting behind it, and no others', () => {
    const command = db.receiveOne('a')
    db.settle()
    db.fail(command, 500)
    const [later, other] = db.receive('a', 'b')
    expect(db.starts()).toEqual([`test-1: ${other}`])
    db.world.scheduler.advance(500)
    expect(db.starts()).toEqual([`test-1: ${command} ${later}`])
  })

  it('goes back to the instance where later commands of its aggregate wait for it', () => {
    const id = idOwnedBy(1, 2)
    const [command, later] = db.receive(id, id)
    db.settle()
    db.fail(lsn(command as number), 500)
    db.append(registered('test-2'))
    db.world.scheduler.advance(500)
    expect(db.starts()).toEqual([`test-1: ${command}`])
    expect(db.instanceOf(lsn(later as number))).toBe('test-1')
  })

  it('has what comes after it started where the rest of its aggregate is, whoever owns the partition by then', () => {
    const id = idOwnedBy(1, 2)
    const commands = db.receive(id, id)
    db.settle()
    db.fail(lsn(commands[0] as number), 500)
    db.append(registered('test-2'))
    commands.push(db.receiveOne(id))
    db.settle()
    db.world.scheduler.advance(500)
    db.settle()
    expect(commands.map((at) => db.instanceOf(at))).toEqual(['test-1', 'test-1', 'test-1'])
  })

  it('whose time came while the writer was away is started after the reconnection', () => {
    const command = db.receiveOne('a')
    db.settle()
    db.fail(command, 500)
    db.follower.isWritable = false
    db.dispatcher.disconnected()
    db.world.scheduler.advance(1000)
    expect(db.settle()).toEqual([])
    db.follower.isWritable = true
    db.dispatcher.connected()
    expect(db.starts()).toEqual([`test-1: ${command}`])
  })
})

describe('a parked command', () => {
  beforeEach(() => {
    db.append(registered('test-1'))
  })

  it('that blocks its aggregate holds back everything behind it until it is skipped', () => {
    const command = db.receiveOne('a')
    db.settle()
    db.park(command, true)
    const later = db.receiveOne('a')
    expect(db.settle()).toEqual([])
    db.append({ type: 'command/skipped', command, aggregate: { type: 'counter', id: 'a' }, reason: 'x' })
    expect(db.starts()).toEqual([`test-1: ${later}`])
  })

  it('that is retried goes first', () => {
    const command = db.receiveOne('a')
    db.settle()
    db.park(command, true)
    const later = db.receiveOne('a')
    db.append({ type: 'command/retried', command, received: received('a') })
    expect(db.starts()).toEqual([`test-1: ${command} ${later}`])
  })

  it('that does not block lets its aggregate go on', () => {
    const command = db.receiveOne('a')
    db.settle()
    db.fail(command, 500)
    const later = db.receiveOne('a')
    expect(db.settle()).toEqual([])
    db.world.scheduler.advance(500)
    db.settle()
    db.park(command, false)
    expect(db.instanceOf(later)).toBe('test-1')
  })
})

describe('a process that crashed', () => {
  const crashed: Action = registered('test-1', 2, 'crashed')
  beforeEach(() => {
    db.append(registered('test-1'))
  })

  it('gets each command that was under way alone, one after the other', () => {
    const [a, b, c] = db.receive('a', 'b', 'c')
    db.settle()
    db.append(crashed)
    for (const command of [a, b, c]) {
      expect(db.starts()).toEqual([`test-1: ${command}`])
      db.complete(lsn(command as number))
    }
  })

  it('has the command that it crashes on again parked by the dispatcher, and goes on with the others', () => {
    const [a, b] = db.receive('a', 'b')
    db.settle()
    db.append(crashed)
    db.settle()
    db.append(crashed)
    const entries = db.settle()
    const parked = entries.find(({ action }) => action.type === 'command/parked')?.action
    expect(parked).toMatchObject({ command: a, blocksAggregate: false, aggregate: { type: 'counter', id: 'a' } })
    expect(db.dispatcher.state.commands.byLsn.has(lsn(a as number))).toBe(false)
    expect(db.starts(entries)).toContain(`test-1: ${b}`)
  })

  it('is given nothing else while a command is tried alone', () => {
    const a = db.receiveOne('a')
    db.settle()
    db.append(crashed)
    db.settle()
    const b = db.receiveOne('b')
    expect(db.settle()).toEqual([])
    db.complete(a)
    expect(db.starts()).toEqual([`test-1: ${b}`])
  })

  it('is not given a command to be tried alone while another is on its way to it', () => {
    const a = db.receiveOne('a')
    db.settle()
    db.append(crashed)
    db.settle()
    const b = db.receiveOne('b')
    db.fail(a, 10)
    db.world.scheduler.advance(10)
    expect(db.starts(db.follower.drafts)).toEqual([`test-1: ${b}`])
    expect(db.starts()).toEqual([`test-1: ${b}`])
    db.complete(b)
    expect(db.starts()).toEqual([`test-1: ${a}`])
  })

  it('is given everything at once again when it was only killed, however often', () => {
    const commands = db.receive('a', 'b', 'c')
    db.settle()
    for (let life = 2; life < 7; life++) {
      db.append(registered('test-1', life, 'killed'))
      expect(db.starts()).toEqual([`test-1: ${commands.join(' ')}`])
    }
  })

  it('has its command parked after the bound of crashes and not before', () => {
    const a = db.receiveOne('a')
    db.settle()
    for (let crash = 1; crash < limits.crashesMax; crash++) {
      db.append(crashed)
      db.settle()
      expect(db.instanceOf(a)).toBe('test-1')
    }
    db.append(crashed)
    db.settle()
    expect(db.dispatcher.state.commands.parked).toBe(1)
  })
})

describe('a dispatcher that starts anew', () => {
  beforeEach(() => {
    db.append(registered('test-1'))
  })

  it('drafts what is pending and not started, and nothing twice', () => {
    const a = db.receiveOne('a')
    db.settle()
    const b = db.receiveOne('b')
    db.follower.takeDrafts()
    db.dispatcher.disconnected()
    db.dispatcher.connected()
    expect(db.starts()).toEqual([`test-1: ${b}`])
    expect(db.instanceOf(a)).toBe('test-1')
  })

  it('parks what it had assigned to itself before it crashed', () => {
    const a = db.receiveOne('a')
    db.append({ type: 'command/started', instance: 'dispatcher', commands: [a] })
    db.follower.takeDrafts()
    db.dispatcher.disconnected()
    db.dispatcher.connected()
    expect(db.settle().map(({ action }) => action.type)).toContain('command/parked')
    expect(db.dispatcher.state.commands.byLsn.size).toBe(0)
  })

  it('drafts again, a while later, what the writer refused for want of room', () => {
    const a = db.receiveOne('a')
    const [draft] = db.follower.takeDrafts() as [Entry]
    db.dispatcher.refused(refusal(draft.sequence, 'journal_full'))
    expect(db.settle()).toEqual([])
    db.world.scheduler.advance(1000)
    expect(db.starts()).toEqual([`test-1: ${a}`])
  })

  it('drafts what waits behind a refused draft once and no more until it drafts that one again', () => {
    const first = db.receiveOne('a')
    const [draft] = db.follower.takeDrafts() as [Entry]
    db.dispatcher.refused(refusal(draft.sequence, 'journal_full'))
    const second = db.receiveOne('a')
    expect(db.starts()).toEqual([`test-1: ${second}`])
    expect(db.tokenOf(second)).toBe(0)
    db.world.scheduler.advance(1000)
    expect(db.starts()).toEqual([`test-1: ${first} ${second}`])
  })

  it('drafts nothing while it cannot send, and all of it afterwards', () => {
    db.follower.isWritable = false
    const commands = db.receive('a', 'b')
    expect(db.settle()).toEqual([])
    db.follower.isWritable = true
    db.dispatcher.applied()
    expect(db.starts()).toEqual([`test-1: ${commands.join(' ')}`])
  })
})

const deregistrations = (entries: readonly Entry[]): Action[] =>
  entries.map(({ action }) => action).filter(({ type }) => type === 'application/deregistered')

describe('what is due by time', () => {
  beforeEach(() => {
    db = new DispatcherWorld({ silenceMs: 1000, sweepMs: 100 })
    db.append(registered('test-1'))
  })

  it('deregisters an instance that has commands and makes no progress, and no other', () => {
    db.append(registered('test-2'))
    db.receive(idOwnedBy(0, 2))
    db.settle()
    db.world.scheduler.advance(1000)
    expect(db.settle()).toEqual([])
    db.world.scheduler.advance(100)
    expect(deregistrations(db.settle())).toEqual([
      { type: 'application/deregistered', instance: 'test-1', reason: 'silent' },
    ])
  })

  it('deregisters an instance that ends nothing, however much it goes on being given', () => {
    db.append(registered('test-2'))
    db.receive(idOwnedBy(0, 2))
    db.settle()
    for (let i = 0; i < 11; i++) {
      expect(deregistrations(db.settle())).toEqual([])
      db.world.scheduler.advance(100)
      db.receive(idOwnedBy(0, 2))
    }
    expect(deregistrations(db.settle())).toHaveLength(1)
  })

  it('leaves an instance alone that was idle and has just been given something', () => {
    const command = db.receiveOne('a')
    db.settle()
    db.complete(command)
    db.world.scheduler.advance(60_000)
    db.receiveOne('a')
    db.settle()
    db.world.scheduler.advance(1000)
    expect(deregistrations(db.settle())).toEqual([])
    db.world.scheduler.advance(100)
    expect(deregistrations(db.settle())).toHaveLength(1)
  })

  it('leaves an instance alone that makes progress', () => {
    const commands = db.receive('a', 'b', 'c')
    db.settle()
    for (const command of commands) {
      db.world.scheduler.advance(900)
      expect(deregistrations(db.settle())).toEqual([])
      db.complete(command)
    }
  })

  it('expires keys when their time is over, and deletes them once those who are behind have had time to hear of it', () => {
    const idempotencyKey = { key: 'k', digest: new Uint8Array(16), ttlMs: 60_000 }
    const command = db.append({ ...received('a'), idempotencyKey, receivedAtMs: db.world.nowMs })
    db.settle()
    db.complete(command)
    db.world.scheduler.advance(50_000)
    expect(db.settle()).toEqual([])
    for (let i = 0; i < 700; i++) {
      db.world.scheduler.advance(100)
      if (db.follower.drafts.length > 0) break
    }
    const [expired] = db.settle().map(({ action }) => action) as [Extract<Action, { untilMs: number }>]
    expect(expired.type).toBe('idempotency-key/expired')
    db.world.scheduler.advance(60_000)
    expect(db.settle()).toEqual([])
    db.world.scheduler.advance(200)
    expect(db.settle().map(({ action }) => action)).toEqual([
      { type: 'idempotency-key/deleted', untilMs: expired.untilMs },
    ])
    db.world.scheduler.advance(600_000)
    expect(db.settle()).toEqual([])
  })
})

describe('the state', () => {
  it('forgets keys that the store has', () => {
    const idempotencyKey = { key: 'k', digest: new Uint8Array(16), ttlMs: 60_000 }
    db.append({ ...received('a'), idempotencyKey })
    expect(db.dispatcher.state.idempotency.recentKeys.size).toBe(1)
    db.dispatcher.watermark(mark(lsn(1), lsn(1), lsn(1)))
    expect(db.dispatcher.state.idempotency.recentKeys.size).toBe(0)
  })

  it('takes no repeated call for a command', () => {
    db.append(registered('test-1'))
    const call = { session: 5, sequence: 1, answeredBelow: 1 }
    const at = db.append(received('a', 'add', {}, { call }), received('a', 'add', {}, { call }))
    expect(db.starts()).toEqual([`test-1: ${at}`])
  })
})
