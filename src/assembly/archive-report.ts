import type { ArchiveStatus } from '../archive/archive-target.ts'
import type { Metrics } from '../observability/metrics.ts'

/** What the archiver's process reports of it, and its metrics, which are set with each report. */
export function archiveReport(
  archiver: { status(): ArchiveStatus },
  metrics: Metrics,
): () => { readonly archive: ArchiveStatus } {
  const archived = metrics.gauge('archive_archived_lsn', 'The last journal entry that is in the archive.')
  const segments = metrics.gauge('archive_waiting_segments', 'Sealed segments that are not in the archive yet.')
  const bytes = metrics.gauge('archive_waiting_bytes', 'Bytes of the sealed segments that are not in the archive yet.')
  const failures = metrics.gauge('archive_failures', 'Failures of the archive since its last success.')
  return () => {
    const archive = archiver.status()
    archived.set(archive.archivedLsn)
    segments.set(archive.waitingSegments)
    bytes.set(archive.waitingBytes)
    failures.set(archive.failures)
    return { archive }
  }
}
