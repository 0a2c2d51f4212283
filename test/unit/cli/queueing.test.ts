import { describe, expect, it } from 'vitest'
import { queueingOf } from '../../../src/cli/queueing.ts'

describe('--priority and --delay', () => {
  it.each([
    ['0ms', 0],
    ['250ms', 250],
    ['5s', 5_000],
    ['1.5h', 5_400_000],
    ['0.1ms', 1],
    ['10m', 600_000],
    ['366d', 31_622_400_000],
  ])('take %s as a delay', (delay, delayMs) => {
    expect(queueingOf({ delay, priority: '9' })).toEqual({ priority: 9, delayMs })
  })

  it('say nothing where they are not given', () => {
    expect(queueingOf({})).toEqual({})
  })

  it.each(['10', '-1', '1.5', '', 'high'])('refuse %j as a priority', (priority) => {
    const message = `--priority is "${priority}", but must be a whole number from 0 to 9`
    expect(() => queueingOf({ priority })).toThrow(message)
  })

  it.each(['5', '-5s', '5 s', '', 's', '1e3s', '367d', '9007199254740993h'])('refuse %j as a delay', (delay) => {
    expect(() => queueingOf({ delay })).toThrow(
      `--delay is "${delay}", but must be a time such as 250ms, 5s, 10m, 2h or 30d, at most 366d`,
    )
  })
})
