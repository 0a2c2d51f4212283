import { describe, expect, test } from 'vitest'
import { archiveNames } from '../../../src/archive/archive-target.ts'
import { MemoryTarget } from '../../../src/archive/memory-target.ts'
import { historyOf, type Stock, type StoredSegment, type TimelineBeginning } from '../../../src/backup/lineage.ts'
import { segmentName } from '../../../src/journal/segment-name.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'

const target = new MemoryTarget()

function segment(timeline: number, segNo: number): StoredSegment {
  const baseLsn = lsn(segNo * 10)
  const name = segmentName(segNo, baseLsn)
  return { target, timeline, segNo, baseLsn, name, object: archiveNames.segment(timeline, name) }
}

function stock(segments: readonly StoredSegment[], ...beginnings: readonly TimelineBeginning[]): Stock {
  const byTimeline = new Map(beginnings.map((beginning) => [beginning.timeline, beginning]))
  return { segments, beginnings: byTimeline, newestTimeline: 3 }
}

const placesOf = (history: readonly (readonly StoredSegment[])[]): string[] =>
  history.map((copies) => copies.map(({ timeline, segNo }) => `${segNo} of ${timeline}`).join(' or '))

describe('the history of a timeline', () => {
  // Timeline 2 left the first in segment 2, and timeline 3 left the first in segment 3.
  const branched = stock(
    [
      ...[segment(1, 1), segment(1, 2), segment(1, 3), segment(1, 4)],
      ...[segment(2, 2), segment(2, 3)],
      ...[segment(3, 3), segment(3, 4)],
    ],
    { timeline: 2, parent: 1, fromLsn: 25 },
    { timeline: 3, parent: 1, fromLsn: 35 },
  )

  test('takes no segment of the older timeline from where it left that on', () => {
    expect(placesOf(historyOf(branched, 2))).toEqual(['1 of 1', '2 of 2', '3 of 2'])
  })

  test('takes none of a timeline that it did not come from, although that is older', () => {
    expect(placesOf(historyOf(branched, 3))).toEqual(['1 of 1', '2 of 1', '3 of 3', '4 of 3'])
  })

  test('of an older timeline ends where that ends, whatever went on from it', () => {
    expect(placesOf(historyOf(branched, 1))).toEqual(['1 of 1', '2 of 1', '3 of 1', '4 of 1'])
  })
})
