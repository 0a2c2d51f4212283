import { describe, expect, test } from 'vitest'
import { archiveNames } from '../../../src/archive/archive-target.ts'
import { MemoryTarget } from '../../../src/archive/memory-target.ts'
import { claimTimeline, type TimelineClaim } from '../../../src/backup/timeline-claim.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'

const wanted: TimelineClaim = { timeline: 2, parent: 1, fromLsn: 11, reason: 'restore', at: '2026-01-01T00:00:00.000Z' }
const silent = (): void => {}

describe('a timeline', () => {
  test('that others restored onto is left to them: each gets a number of its own, and the first claim stays', async () => {
    const archive = new MemoryTarget()
    const claims = [await claimTimeline(archive, wanted, silent)]
    const first = archive.objects.get(archiveNames.timeline(2))
    for (const fromLsn of [21, 31]) claims.push(await claimTimeline(archive, { ...wanted, fromLsn }, silent))
    expect(claims.map(({ timeline, fromLsn }) => [timeline, fromLsn])).toEqual([
      [2, 11],
      [3, 21],
      [4, 31],
    ])
    expect(archive.objects.get(archiveNames.timeline(2))).toBe(first)
    expect(JSON.parse(String(archive.objects.get(archiveNames.timeline(4))))).toEqual(claims[2])
  })

  test('is taken with a warning where the archive cannot be told', async () => {
    const archive = new MemoryTarget()
    archive.fault = () => {
      throw new CommanderError('archive_unavailable', 'the archive is down')
    }
    const warnings: string[] = []
    expect(await claimTimeline(archive, wanted, (what) => warnings.push(what))).toEqual(wanted)
    expect(warnings).toEqual(['the archive could not be told of timeline 2: the archive is down'])
  })
})
