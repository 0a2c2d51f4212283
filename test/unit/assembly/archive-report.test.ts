import { expect, test } from 'vitest'
import { archiveReport } from '../../../src/assembly/archive-report.ts'
import { createMetrics } from '../../../src/observability/metrics.ts'
import { ArchiveWorld, unavailable } from '../archive/archive-world.ts'

test('the lag of the archive is in the report and in the metrics, as of now', async () => {
  const world = new ArchiveWorld()
  const journal = await world.filled(2)
  let isDown = true
  world.target.fault = () => {
    if (isDown) throw unavailable()
  }
  const archiver = world.archiver()
  const metrics = createMetrics()
  const report = archiveReport(archiver, metrics)
  const valuesOf = (): Record<string, number> =>
    Object.fromEntries(metrics.samples().map(({ name, value }) => [name, value]))
  archiver.start()
  archiver.flushed(journal.flushedLsn)
  await world.until(() => archiver.status().failures > 0)
  expect(report().archive).toEqual(archiver.status())
  expect(valuesOf()).toEqual({
    archive_archived_lsn: 0,
    archive_waiting_segments: 2,
    archive_waiting_bytes: 2 * 1_048_576,
    archive_failures: 1,
  })
  isDown = false
  await world.pass(60_000)
  await world.until(() => archiver.status().waitingSegments === 0)
  report()
  expect(valuesOf()).toEqual({
    archive_archived_lsn: archiver.archivedLsn,
    archive_waiting_segments: 0,
    archive_waiting_bytes: 0,
    archive_failures: 0,
  })
  await archiver.stop()
})
