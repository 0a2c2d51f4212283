import { describe, expect, it } from 'vitest'
import { CommitPause } from '../../../src/projection-applier/commit-pause.ts'

const batchOf = (bytes: number): { payload: Buffer }[] => [{ payload: Buffer.alloc(bytes) }]

describe('the pause between two transactions', () => {
  it('lasts from one beginning to the next, the longer the more the transaction holds, up to a most', () => {
    const leftAfter = (bytes: number, mostMs: number): number => {
      const pause = new CommitPause()
      pause.begin(1000, batchOf(bytes), mostMs)
      return pause.leftMs(1000)
    }
    expect(leftAfter(0, 100)).toBe(5)
    expect(leftAfter(40_960, 100)).toBe(15)
    expect(leftAfter(4_096_000, 100)).toBe(100)
    expect(leftAfter(4_096_000, 25)).toBe(25)
    expect(leftAfter(4_096_000, 0)).toBe(0)
  })

  it('leaves a moment behind a transaction that took longer than it, to take in what came meanwhile', () => {
    const pause = new CommitPause()
    pause.begin(1000, batchOf(409_600), 25)
    pause.end(1060)
    expect(pause.leftMs(1060)).toBe(5)
    expect(pause.leftMs(1066)).toBeLessThan(0)
  })

  it('is no longer for that where the transaction was short', () => {
    const pause = new CommitPause()
    pause.begin(1000, batchOf(1), 100)
    pause.end(1003)
    expect(pause.leftMs(1003)).toBeCloseTo(2, 2)
    pause.begin(2000, batchOf(1), 100)
    pause.end(2006)
    expect(pause.leftMs(2006)).toBe(1.5)
  })

  it('holds up nothing that goes on by itself, as a rebuild does', () => {
    const pause = new CommitPause()
    pause.begin(1000, batchOf(0), 100)
    pause.end(1060)
    expect(pause.leftMs(1060)).toBeLessThan(0)
  })

  it('has none before the first one', () => {
    expect(new CommitPause().leftMs(1000)).toBeLessThan(0)
  })
})
