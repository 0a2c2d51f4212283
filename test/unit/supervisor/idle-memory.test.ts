import { describe, expect, it } from 'vitest'
import { IdleMemory } from '../../../src/supervisor/idle-memory.ts'

const mebibyte = 1_048_576

describe('a process that was busy', () => {
  const collections: number[] = []
  const world = (leftMiB: number) => {
    collections.length = 0
    const memory = new IdleMemory(() => {
      collections.push(leftMiB)
      return leftMiB * mebibyte
    })
    return (busyShare: number, rssMiB: number): number => {
      memory.sample({ busyShare, rssBytes: rssMiB * mebibyte })
      return collections.length
    }
  }

  it('collects once it has rested for two samples, and has grown', () => {
    const sample = world(60)
    sample(0, 50)
    sample(0, 50)
    expect(sample(0.9, 200)).toBe(0)
    expect(sample(0.05, 200)).toBe(0)
    expect(sample(0.05, 200)).toBe(1)
  })

  it('does not collect again until it has grown again', () => {
    const sample = world(60)
    for (const rss of [50, 50, 200]) sample(0, rss)
    expect(collections).toHaveLength(1)
    for (const rss of [60, 62, 75]) expect(sample(0, rss)).toBe(1)
    expect(sample(0, 77)).toBe(2)
  })

  it('does not collect while it is busy, however much it has grown', () => {
    const sample = world(60)
    for (const rss of [50, 50]) sample(0, rss)
    for (const rss of [500, 900, 1500]) expect(sample(0.11, rss)).toBe(0)
    for (const busy of [0, 0.5, 0, 0.5, 0]) expect(sample(busy, 1500)).toBe(0)
  })

  it('does not take what it starts with for growth', () => {
    const sample = world(60)
    for (const rss of [300, 300, 310, 315]) expect(sample(0, rss)).toBe(0)
  })
})
