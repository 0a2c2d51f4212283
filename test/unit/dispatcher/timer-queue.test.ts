import { beforeEach, describe, expect, it } from 'vitest'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { TimerWorld } from './timer-world.ts'

let world: TimerWorld
beforeEach(() => {
  world = new TimerWorld()
  // Everything that is there from the beginning is read: nothing.
  world.queue.refill()
})

describe('timers', () => {
  it('fire in the order in which they are due, whatever the order they came in', () => {
    for (const ms of [500, 100, 300, 200, 400]) world.sleep(`s${ms}`, ms)
    expect(world.run(1_000).map(([operation]) => operation)).toEqual(['s100', 's200', 's300', 's400', 's500'])
  })

  it('fire at the moment at which they are due, and not before', () => {
    world.sleep('a', 100)
    expect(world.run(99)).toEqual([])
    expect(world.run(100)).toEqual([['a', 100]])
  })

  it('that are due at the same time fire in the order in which they came', () => {
    for (const name of ['c', 'a', 'b']) world.sleep(name, 100)
    expect(world.run(100).map(([operation]) => operation)).toEqual(['c', 'a', 'b'])
  })

  it('that were removed do not fire', () => {
    const a = world.sleep('a', 100)
    world.sleep('b', 100)
    world.remove(a)
    expect(world.run(200)).toEqual([['b', 100]])
    expect(world.queue.held).toBe(0)
  })

  it('fire once, until it is known that what was fired may be lost', () => {
    world.sleep('a', 100)
    world.monotonicMs = 100
    expect(world.queue.takeDue()).toMatchObject({ operation: 'a' })
    expect(world.queue.takeDue()).toBeNull()
    world.queue.restart()
    expect(world.queue.takeDue()).toMatchObject({ operation: 'a' })
  })

  it('of the next run, under the same name, are others', () => {
    const first = world.sleep('sleep#1', 100)
    world.monotonicMs = 100
    expect(world.queue.takeDue()).toMatchObject({ operation: 'sleep#1' })
    world.sleep('sleep#1', 100)
    world.remove(first)
    expect(world.run(300)).toEqual([['sleep#1', 200]])
  })

  it('are measured from when they were started, not from when their entry was seen', () => {
    const startedAtMs = world.wallMs
    world.monotonicMs += 70
    world.sleep('a', 100, startedAtMs)
    expect(world.run(200)).toEqual([['a', 100]])
  })
})

describe('a jump of the wall clock', () => {
  it.each([3_600_000, -3_600_000])('of %d ms changes nothing for those that wait for so long', (jumpMs) => {
    world.sleep('a', 5_000)
    world.run(1_000)
    world.offsetMs += jumpMs
    world.sleep('b', 2_000)
    expect(world.run(10_000)).toEqual([
      ['b', 3_000],
      ['a', 5_000],
    ])
  })

  it('forward lets those fire whose time of the wall clock has come with it', () => {
    world.sleepUntil('a', world.wallMs + 60_000)
    world.run(1_000)
    world.offsetMs += 3_600_000
    const [[name, atMs] = ['', 0]] = world.run(10_000)
    expect(name).toBe('a')
    expect(atMs).toBeLessThanOrEqual(2_000)
  })

  it('back keeps those waiting that wait for a time of the wall clock', () => {
    world.sleepUntil('a', world.wallMs + 5_000)
    world.run(1_000)
    world.offsetMs -= 20_000
    expect(world.run(60_000)).toEqual([['a', 25_000]])
  })

  it.each([7_000, -7_000])('of %d ms is not seen by those in the store that wait for so long', (jumpMs) => {
    const n = 300
    for (let i = 0; i < n; i++) world.sleep(`s${i}`, 10_000 + i * 100)
    world.apply()
    expect(world.queue.held).toBeLessThanOrEqual(100)
    world.run(1_000)
    world.offsetMs += jumpMs
    world.sleep('late', 60_000)
    world.apply()
    const fired = world.run(100_000)
    expect(fired.slice(0, n)).toEqual(Array.from({ length: n }, (_, i) => [`s${i}`, 10_000 + i * 100]))
    expect(fired.slice(n)).toEqual([['late', 61_000]])
  })
})

describe('more timers than are held in memory', () => {
  it('fire all, in order and in time, and never are more of them in memory', () => {
    const n = 1_000
    for (let i = 0; i < n; i++) {
      world.sleep(`s${(i * 7) % n}`, 1_000 + ((i * 7) % n) * 10)
      expect(world.queue.held).toBeLessThanOrEqual(100)
    }
    world.apply()
    expect(world.run(20_000)).toEqual(Array.from({ length: n }, (_, i) => [`s${i}`, 1_000 + i * 10]))
    expect(Math.max(...world.portions)).toBe(10)
  })

  it('fire all where all are due at the same time', () => {
    const n = 1_000
    for (let i = 0; i < n; i++) world.sleep(`s${i}`, 1_000)
    world.apply()
    expect(world.queue.held).toBeLessThanOrEqual(100)
    const fired = world.run(1_000)
    expect(new Set(fired.map(([operation]) => operation)).size).toBe(n)
    expect(fired.every(([, atMs]) => atMs === 1_000)).toBe(true)
  })

  it('fire in time while new ones come that the store does not have yet', () => {
    for (let i = 0; i < 300; i++) world.sleep(`s${i}`, 1_000 + i * 10)
    world.apply()
    const fired: [string, number][] = []
    for (let step = 1; step <= 50; step++) {
      world.sleep(`later${step}`, 60_000)
      fired.push(...world.run(step * 100))
    }
    expect(fired).toEqual(Array.from({ length: 300 }, (_, i) => [`s${i}`, 1_000 + i * 10]))
  })

  it('fire although the store has not applied them when it is read', () => {
    world.lag = Number.POSITIVE_INFINITY
    for (let i = 0; i < 150; i++) world.sleep(`s${i}`, 1_000 + i * 10)
    expect(world.run(1_000 + 99 * 10)).toHaveLength(100)
    expect(world.stored).toEqual([])
  })

  it('wait for the store when it is too far behind to be told apart from it', () => {
    world.lag = Number.POSITIVE_INFINITY
    for (let i = 0; i < 400; i++) world.sleep(`s${i}`, 1_000 + i * 10)
    const before = world.run(10_000).length
    expect(before).toBeLessThan(400)
    world.lag = 5
    world.apply()
    expect(world.run(10_001)).toHaveLength(400 - before)
    expect(world.queue.held).toBe(0)
  })

  it('do not come back out of a store that has not applied that they are gone', () => {
    const timers = Array.from({ length: 200 }, (_, i) => world.sleep(`s${i}`, 1_000 + i * 10))
    world.apply()
    world.lag = Number.POSITIVE_INFINITY
    for (const timer of timers.slice(60, 80)) world.remove(timer)
    const left = [...timers.slice(0, 60), ...timers.slice(80)].map(({ operation }) => operation)
    expect(world.run(1_000 + 99 * 10).map(([operation]) => operation)).toEqual(left.slice(0, 80))
    world.lag = 5
    expect(world.run(10_000).map(([operation]) => operation)).toEqual(left.slice(80))
  })
})

describe('after a restart', () => {
  it('everything that is in the store or behind it in the journal fires at its time', () => {
    for (let i = 0; i < 20; i++) world.sleep(`s${i}`, 1_000 + i * 100)
    world.lag = Number.POSITIVE_INFINITY
    world.apply(lsn(12))
    world.run(500)
    const behind = world.stored.length
    expect(behind).toBe(12)
    world.apply()
    world.monotonicMs = 600
    world.restart()
    expect(world.run(5_000)).toEqual(Array.from({ length: 20 }, (_, i) => [`s${i}`, 1_000 + i * 100]))
  })

  it('what came due meanwhile fires at once, in order', () => {
    for (let i = 0; i < 20; i++) world.sleep(`s${i}`, 1_000 + i * 100)
    world.apply()
    world.monotonicMs = 60_000
    world.restart()
    expect(world.run(60_000).map(([operation]) => operation)).toEqual(Array.from({ length: 20 }, (_, i) => `s${i}`))
  })

  it.each([3_000, -3_000])(
    'a clock that was set by %d ms meanwhile shifts what is in the store by as much, and nothing else',
    (ms) => {
      for (let i = 0; i < 20; i++) world.sleep(`s${i}`, 5_000 + i * 100)
      world.apply()
      world.monotonicMs = 1_000
      world.offsetMs += ms
      world.restart()
      const fired = world.run(20_000)
      expect(fired).toEqual(Array.from({ length: 20 }, (_, i) => [`s${i}`, 5_000 + i * 100 - ms]))
    },
  )

  it('a timer that the journal starts while it is read again is not late by the time in between', () => {
    world.sleep('a', 1_000)
    const [again] = [{ key: 'workflow:w/1', operation: 'b', dueMs: world.wallMs + 2_000, isAbsolute: false }]
    const startedAtMs = world.wallMs
    world.monotonicMs = 1_500
    world.restart()
    world.queue.refill()
    world.start(again, startedAtMs)
    expect(world.run(5_000)).toEqual([['b', 2_000]])
  })
})
