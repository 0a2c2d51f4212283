import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Random } from '../../../src/kernel/environment.ts'
import { RestartBudget } from '../../../src/supervisor/restart-budget.ts'
import { restart } from './fake-world.ts'

const random = (uint32: number): Random => ({ uint32: () => uint32, uuid: () => '' })
const lowest = random(0)
const highest = random(0xffff_ffff)
const policy = restart({ maxRestarts: 100, initialDelayMs: 100, maxDelayMs: 1000, minimumUptimeMs: 5000 })

describe('the delay', () => {
  it('doubles up to its maximum, half fixed and half random', () => {
    const [low, high] = [new RestartBudget(policy, lowest), new RestartBudget(policy, highest)]
    const delays = (budget: RestartBudget): number[] =>
      [0, 1, 2, 3, 4, 5].map((n) => Math.round(budget.spend(n, 0).delayMs))
    expect(delays(low)).toEqual([50, 100, 200, 400, 500, 500])
    expect(delays(high)).toEqual([100, 200, 400, 800, 1000, 1000])
  })

  it('starts again only after the minimum uptime', () => {
    const budget = new RestartBudget(policy, lowest)
    budget.spend(0, 0)
    budget.spend(1, 0)
    expect(budget.spend(2, 4999).delayMs).toBe(200)
    expect(budget.spend(3, 5000).delayMs).toBe(50)
  })

  it('stays finite after any number of restarts', () => {
    const budget = new RestartBudget(restart({ maxRestarts: 1e9, initialDelayMs: 100, maxDelayMs: 1000 }), highest)
    for (let n = 0; n < 2000; n++) expect(budget.spend(n * 100_000, 0).delayMs).toBeLessThanOrEqual(1000)
  })
})

describe('the intensity', () => {
  it('is exceeded by one restart more than allowed within the period, and not by older ones', () => {
    const budget = new RestartBudget(restart({ maxRestarts: 2, periodMs: 1000 }), lowest)
    expect([0, 500, 1000, 1499].map((atMs) => budget.spend(atMs, 0).exceeded)).toEqual([false, false, false, true])
  })

  it('says what counting all restarts of the period says', () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 60 })
    fc.assert(
      fc.property(gaps, fc.integer({ min: 0, max: 5 }), (gapsMs, maxRestarts) => {
        const budget = new RestartBudget(restart({ maxRestarts, periodMs: 1000 }), lowest)
        const timesMs: number[] = []
        let nowMs = 0
        for (const gapMs of gapsMs) {
          nowMs += gapMs
          timesMs.push(nowMs)
          const within = timesMs.filter((atMs) => nowMs - atMs < 1000).length
          expect(budget.spend(nowMs, 0).exceeded).toBe(within > maxRestarts)
        }
      }),
    )
  })
})
