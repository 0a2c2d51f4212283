import { describe, expect, it } from 'vitest'
import { type Lsn, lsn, noLsn } from '../../../src/kernel/identifiers.ts'
import { emptyDigest, lastLsnOf, makeBatch, type ReplicatedBatch } from '../../../src/replication/batch.ts'
import { BatchWindow } from '../../../src/replication/batch-window.ts'
import { append, JournalWorld } from '../journal/journal-world.ts'

const most = 1_000_000

/** A leader whose batches of two entries lie in its segments, and as far as there is room in its memory. */
async function leader(count: number, bytes: number): Promise<{ window: BatchWindow; stream: ReplicatedBatch[] }> {
  const world = new JournalWorld()
  const { journal } = await world.open()
  const window = new BatchWindow(() => world.storage)
  const stream: ReplicatedBatch[] = []
  for (let n = 0; n < count; n++) {
    const payload = append(journal, 2, bytes)
    const batch = makeBatch(stream.at(-1)?.digest ?? emptyDigest, lsn(2 * n + 1), 2, payload)
    stream.push(batch)
    window.add(batch)
  }
  return { window, stream }
}

const placesOf = (batches: readonly ReplicatedBatch[]): Lsn[] => batches.map(lastLsnOf)

describe('what a leader has appended', () => {
  it('is handed out behind any batch, up to a limit and as many bytes as are wanted', async () => {
    const { window, stream } = await leader(10, 80)
    expect(placesOf(window.behind(noLsn, null, lsn(20), most))).toEqual([2, 4, 6, 8, 10, 12, 14, 16, 18, 20])
    expect(placesOf(window.behind(lsn(4), null, lsn(9), most))).toEqual([6, 8])
    expect(placesOf(window.behind(lsn(4), null, lsn(20), 100))).toEqual([6, 8])
    expect(placesOf(window.behind(lsn(20), null, lsn(20), most))).toEqual([])
    expect(window.behind(lsn(18), null, lsn(20), most)[0]).toBe(stream[9])
  })

  it('is not looked for in segments that may not reach to where the lead began', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    append(journal, 2, 80)
    const window = new BatchWindow(() => world.storage)
    expect(window.behind(noLsn, emptyDigest, lsn(4), most)).toEqual([])
  })

  it('is made again from the segments, the same, where it is no longer in memory', async () => {
    const { window, stream } = await leader(100, 400_000)
    const [first, second] = window.behind(noLsn, emptyDigest, lsn(200), 500_000)
    expect([first, second].map((batch) => batch?.digest)).toEqual([stream[0]?.digest, stream[1]?.digest])
    expect(first?.payload.equals(stream[0]?.payload ?? Buffer.alloc(0))).toBe(true)
    expect(first).not.toBe(stream[0])
    expect(window.behind(noLsn, null, lsn(200), most)).toEqual([])
    expect(window.behind(lsn(198), null, lsn(200), most)[0]).toBe(stream[99])
  })
})
