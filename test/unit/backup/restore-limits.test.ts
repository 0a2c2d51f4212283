import { describe, expect, test } from 'vitest'
import { archiveNames } from '../../../src/archive/archive-target.ts'
import { MemoryTarget } from '../../../src/archive/memory-target.ts'
import type { BackupManifest } from '../../../src/backup/backup-manifest.ts'
import type { Stock, StoredSegment } from '../../../src/backup/lineage.ts'
import { entriesWithin, type RestoreGoal } from '../../../src/backup/restore-goal.ts'
import { checkedGoal, chosenTimeline } from '../../../src/backup/restore-limits.ts'
import { segmentName } from '../../../src/journal/segment-name.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'

const target = new MemoryTarget()

function segment(timeline: number, segNo: number, baseLsn: number): StoredSegment {
  const name = segmentName(segNo, lsn(baseLsn))
  return { target, timeline, segNo, baseLsn: lsn(baseLsn), name, object: archiveNames.segment(timeline, name) }
}

/** Timeline 2 left the first after LSN 14; of timeline 3 nothing is there but that it left the first after LSN 19. */
const stock: Stock = {
  segments: [segment(1, 1, 1), segment(1, 2, 11), segment(2, 2, 11)],
  beginnings: new Map([
    [2, { timeline: 2, parent: 1, fromLsn: 15 }],
    [3, { timeline: 3, parent: 1, fromLsn: 20 }],
  ]),
  newestTimeline: 3,
}
const backup = (appliedLsn: number): BackupManifest =>
  ({ timeline: 1, appliedLsn, appliedTime: '2026-01-01T00:00:00.500Z', startedAt: 'then' }) as BackupManifest
const toEnd: RestoreGoal = { to: 'end' }
const to = (at: number): RestoreGoal => ({ to: 'lsn', lsn: lsn(at) })
const wish = (goal: RestoreGoal = toEnd, manifest: BackupManifest | null = null, timeline: number | null = null) => ({
  goal,
  manifest,
  timeline,
  source: { location: 'memory:' },
  warn: (): void => {},
})

describe('the timeline that is restored', () => {
  test('is the newest that has segments, or the one that is asked for', () => {
    expect(chosenTimeline(stock, wish())).toBe(2)
    expect(chosenTimeline(stock, wish(toEnd, null, 1))).toBe(1)
    expect(() => chosenTimeline(stock, wish(toEnd, null, 4))).toThrow('there is no timeline 4')
  })

  test('is reached from a backup only when it left the backup’s behind all that the backup holds', () => {
    expect(chosenTimeline(stock, wish(toEnd, backup(14)))).toBe(2)
    expect(() => chosenTimeline(stock, wish(toEnd, backup(15)))).toThrow('cannot be reached from it')
    expect(chosenTimeline(stock, wish(toEnd, backup(15), 1))).toBe(1)
    expect(() => chosenTimeline(stock, wish(toEnd, { ...backup(5), timeline: 2 }, 1))).toThrow('cannot be reached')
  })
})

describe('the goal of a restore', () => {
  test('ends where a timeline began of which nothing is there yet', () => {
    expect(checkedGoal(stock, wish(toEnd), 3)).toEqual(to(19))
    expect(checkedGoal(stock, wish(to(19)), 3)).toEqual(to(19))
    expect(() => checkedGoal(stock, wish(to(20)), 3)).toThrow('there is no LSN 20')
    expect(() => checkedGoal(stock, wish({ to: 'time', wallMs: 5 }), 3)).toThrow('has no entries of its own')
  })

  test('is not before the backup', () => {
    expect(checkedGoal(stock, wish(to(12), backup(12)), 1)).toEqual(to(12))
    expect(() => checkedGoal(stock, wish(to(11), backup(12)), 1)).toThrow('LSN 11 is before the backup')
    const time = (wallMs: number): RestoreGoal => ({ to: 'time', wallMs })
    const appliedMs = Date.parse('2026-01-01T00:00:00.500Z')
    expect(checkedGoal(stock, wish(time(appliedMs), backup(12)), 1)).toEqual(time(appliedMs))
    expect(() => checkedGoal(stock, wish(time(appliedMs - 1), backup(12)), 1)).toThrow('is before the backup')
  })

  test('takes a frame whole, in part or not at all', () => {
    const frame = { firstLsn: lsn(10), entryCount: 3, wallMs: 1000 }
    const within = (goal: RestoreGoal): number => entriesWithin(goal, frame)
    expect([9, 10, 11, 12, 13].map((at) => within(to(at)))).toEqual([0, 1, 2, 3, 3])
    expect([999, 1000, 1001].map((wallMs) => within({ to: 'time', wallMs }))).toEqual([0, 3, 3])
    expect(within(toEnd)).toBe(3)
  })
})
