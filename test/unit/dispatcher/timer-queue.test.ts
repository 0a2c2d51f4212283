import { beforeEach, describe, expect, it } from 'vitest'
import { type Timer, TimerQueue } from '../../../src/dispatcher/timer-queue.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'

const startMs = 1_700_000_000_000
let nowMs: number
let wallOffsetMs: number
/** What the store shows; it may be behind. */
let stored: Timer[]
let queue: TimerQueue

beforeEach(() => {
  nowMs = 0
  wallOffsetMs = startMs
  stored = []
  const clock = { monotonicMs: () => nowMs, wallMs: () => nowMs + wallOffsetMs }
  queue = new TimerQueue({ clock, read: (limit) => stored.slice(0, limit), heldMax: 4 })
})

const timer = (operation: string, afterMs: number, isAbsolute = false): Timer => ({
  key: 'workflow:w/a',
  operation,
  dueMs: startMs + afterMs,
  isAbsolute,
})
const add = (one: Timer, at = 1): void => queue.add(one, nowMs + wallOffsetMs, lsn(at))

function dueAt(ms: number): string[] {
  nowMs = ms
  const due: string[] = []
  for (let next = queue.takeDue(); next !== null; next = queue.takeDue()) due.push(next.operation)
  return due
}

describe('timers', () => {
  it('are due in their order, none before its time', () => {
    queue.refill(lsn(0))
    for (const [name, ms] of [
      ['c', 30],
      ['a', 10],
      ['b', 20],
    ] as const)
      add(timer(name, ms))
    expect(dueAt(9)).toEqual([])
    expect(dueAt(25)).toEqual(['a', 'b'])
    expect(dueAt(30)).toEqual(['c'])
  })

  it('do not follow the wall clock, but those for a time of the wall clock do', () => {
    queue.refill(lsn(0))
    add(timer('after', 10_000))
    add(timer('at', 10_000, true))
    wallOffsetMs += 60_000
    queue.lookAtClock()
    expect(dueAt(1)).toEqual(['at'])
    expect(dueAt(10_000)).toEqual(['after'])
  })

  it('fire again after a new connection, unless they are over', () => {
    queue.refill(lsn(0))
    add(timer('a', 1))
    add(timer('b', 1))
    expect(dueAt(1)).toEqual(['a', 'b'])
    queue.remove('workflow:w/a', 'a', lsn(2))
    queue.restart()
    expect(dueAt(2)).toEqual(['b'])
  })
})

describe('timers behind those in memory', () => {
  it('are read when it is their turn, once the store has all that were passed over', () => {
    stored = [timer('a', 10), timer('b', 20), timer('c', 30), timer('d', 40)]
    queue.refill(lsn(5))
    add(timer('e', 50), 7)
    expect(queue.held).toBe(4)
    expect(dueAt(40)).toEqual(['a', 'b', 'c', 'd'])
    for (const [i, name] of ['a', 'b', 'c', 'd'].entries()) queue.remove('workflow:w/a', name, lsn(8 + i))
    queue.refill(lsn(6))
    expect(queue.held).toBe(0)
    stored = [timer('e', 50)]
    queue.refill(lsn(11))
    expect(dueAt(50)).toEqual(['e'])
  })

  it('that are over do not come back from a store that is behind, to be in the way of others of their name', () => {
    stored = [timer('sleep', 10)]
    // The dispatcher has started anew, and has heard of the end before it read the store.
    queue.remove('workflow:w/a', 'sleep', lsn(6))
    queue.refill(lsn(5))
    expect(dueAt(20)).toEqual([])
    add(timer('sleep', 30), 7)
    expect(dueAt(30)).toEqual(['sleep'])
  })

  it('do not have to wait while ever new ones are passed over', () => {
    stored = [timer('a', 10), timer('b', 20), timer('c', 30), timer('d', 40)]
    queue.refill(lsn(5))
    add(timer('e', 50), 6)
    expect(dueAt(40)).toHaveLength(4)
    for (const [i, name] of ['a', 'b', 'c', 'd'].entries()) queue.remove('workflow:w/a', name, lsn(7 + i))
    stored = [timer('e', 50)]
    for (let at = 20; at < 30; at++) {
      // The store is always a little behind.
      queue.refill(lsn(at - 15))
      add(timer(`far-${at}`, 1_000 + at), at)
    }
    expect(dueAt(50)).toEqual(['e'])
  })
})
