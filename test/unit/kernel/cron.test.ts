import { describe, expect, it } from 'vitest'
import { parseCron } from '../../../src/kernel/cron.ts'

const at = (text: string): number => Date.parse(text)
const texts = (times: readonly number[]): string[] => times.map((time) => new Date(time).toISOString())

function following(pattern: string, timezone: string, after: string, count: number): string[] {
  const cron = parseCron(pattern, timezone)
  const times: number[] = []
  for (let last = at(after); times.length < count; last = times.at(-1) as number) times.push(cron.next(last) as number)
  return texts(times)
}

describe('a cron pattern', () => {
  it('is refused in a time zone that there is not, in one sentence', () => {
    expect(() => parseCron('0 3 * * *', 'Europe/Berln')).toThrow(
      /^there is no time zone "Europe\/Berln": give one as Europe\/Berlin or UTC$/,
    )
  })

  it('is due behind a time, never at it', () => {
    expect(following('*/15 * * * *', 'UTC', '2026-01-01T00:00:00Z', 2)).toEqual([
      '2026-01-01T00:15:00.000Z',
      '2026-01-01T00:30:00.000Z',
    ])
  })

  it('says the last times up to one, and with it', () => {
    const cron = parseCron('* * * * * *', 'UTC')
    expect(texts(cron.previous(at('2026-01-01T00:00:02Z'), 2))).toEqual([
      '2026-01-01T00:00:01.000Z',
      '2026-01-01T00:00:02.000Z',
    ])
  })

  it('follows the clock of its time zone over daylight saving', () => {
    expect(following('0 9 * * *', 'Europe/Berlin', '2026-03-28T00:00:00Z', 2)).toEqual([
      '2026-03-28T08:00:00.000Z',
      '2026-03-29T07:00:00.000Z',
    ])
  })

  it('is due once on a day on which its time is left out, and once where it comes twice', () => {
    expect(following('30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', 2)).toEqual([
      '2026-03-29T01:00:00.000Z',
      '2026-03-30T00:30:00.000Z',
    ])
    expect(following('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z', 2)).toEqual([
      '2026-10-25T00:30:00.000Z',
      '2026-10-26T01:30:00.000Z',
    ])
  })

  it.each([
    ['x', 'UTC', /five to seven parts/],
    ['2026-01-01T00:00:00Z', 'UTC', /five to seven parts/],
    ['61 * * * *', 'UTC', /minute/],
    ['0 0 30 2 *', 'UTC', /no such time/],
    ['* * * * *', 'Mars/Olympus', /Mars\/Olympus/],
  ])('%s in %s is none', (pattern, timezone, message) => {
    expect(() => parseCron(pattern, timezone)).toThrow(message)
  })
})
