import { describe, expect, it } from 'vitest'
import { JournalHistory } from '../../../src/supervisor/journal-history.ts'

/** A writer that writes ten entries of 100 bytes a second, from 0. */
function tenASecond(seconds: number): JournalHistory {
  const history = new JournalHistory()
  for (let second = 0; second <= seconds; second++) history.note(second * 1000, second * 10, second * 1000)
  return history
}

describe('how far a process is behind', () => {
  it('is nothing when it has applied what is written, and nothing before anything was reported', () => {
    expect(tenASecond(5).lagOf(50, 9_000)).toEqual({ lsns: 0, bytes: 0, ms: 0 })
    expect(new JournalHistory().lagOf(0, 9_000)).toEqual({ lsns: 0, bytes: 0, ms: 0 })
  })

  it('is in entries, in bytes, and in the age of the oldest entry that it has not applied', () => {
    expect(tenASecond(60).lagOf(300, 60_000)).toEqual({ lsns: 300, bytes: 30_000, ms: 29_000 })
    expect(tenASecond(60).lagOf(305, 60_000)).toMatchObject({ lsns: 295, bytes: 29_500 })
  })

  it('grows older while nothing more is written', () => {
    expect(tenASecond(60).lagOf(590, 100_000)).toEqual({ lsns: 10, bytes: 1000, ms: 40_000 })
  })

  it('is given in bytes over restarts of the writer, which counts from nothing again', () => {
    const history = tenASecond(10)
    history.note(20_000, 110, 1000)
    history.note(21_000, 120, 2000)
    expect(history.lagOf(100, 21_000)).toEqual({ lsns: 20, bytes: 2000, ms: 1000 })
  })

  it('forgets what was lost with its medium', () => {
    const history = tenASecond(10)
    history.note(11_000, 50, 0)
    history.note(12_000, 60, 1000)
    expect(history.lagOf(50, 12_000)).toEqual({ lsns: 10, bytes: 1000, ms: 0 })
  })

  it('that reaches further back than an hour is given as of the oldest sample', () => {
    const lag = tenASecond(7200).lagOf(0, 7_200_000)
    expect(lag).toEqual({ lsns: 72_000, bytes: 3_599_000, ms: 3_599_000 })
  })
})
