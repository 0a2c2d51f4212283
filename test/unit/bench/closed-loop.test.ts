import { describe, expect, test } from 'vitest'
import { ClosedLoop } from '../../../bench/closed-loop.ts'

/** Answers in the order of sending, one at a time. */
function serve(slots: number): { loop: ClosedLoop; inFlight: number[]; sent: () => number } {
  const waiting: number[] = []
  const inFlight: number[] = []
  let sent = 0
  const loop = new ClosedLoop(slots, (slot) => {
    sent++
    waiting.push(slot)
    inFlight.push(waiting.length)
    setImmediate(() => loop.answered(waiting.shift() as number))
  })
  return { loop, inFlight, sent: () => sent }
}

describe('the closed loop', () => {
  test('sends exactly as many commands as were ordered and keeps one under way for each slot', async () => {
    const { loop, inFlight, sent } = serve(8)
    const result = await loop.run(8, { commands: 100 })
    expect(result.commands).toBe(100)
    expect(sent()).toBe(100)
    expect(Math.max(...inFlight)).toBe(8)
    expect(result.commandsPerSecond).toBeCloseTo(result.commands / result.seconds)
  })

  test('sends no more than there are when the concurrency is higher', async () => {
    const { loop, sent } = serve(8)
    expect((await loop.run(8, { commands: 3 })).commands).toBe(3)
    expect(sent()).toBe(3)
  })

  test('ends a timed run only when nothing is under way, and counts no late answer', async () => {
    const { loop, sent } = serve(4)
    const { commands } = await loop.run(4, { seconds: 0.02 })
    expect(commands).toBeGreaterThan(0)
    expect(sent()).toBe(commands + 4)
  })

  test('can run again after a run, at another concurrency', async () => {
    const { loop, inFlight } = serve(16)
    await loop.run(16, { commands: 50 })
    inFlight.length = 0
    await loop.run(2, { commands: 50 })
    expect(Math.max(...inFlight)).toBe(2)
  })
})
