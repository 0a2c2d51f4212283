import type { JournalScan } from './journal-scan.ts'
import { segmentHeaderBytes } from './options.ts'

/**
 * The scan without a last segment that holds no frame: where the journal goes on in a new segment, that one takes its
 * place. Left in the chain it would be one that the archive must have and that nothing can be archived or removed by.
 */
export function withoutEmptyEnd(scan: JournalScan): JournalScan {
  const { end, segments, leftovers, unflushed } = scan
  const empty = end.segment
  if (empty === null || end.position !== segmentHeaderBytes) return scan
  const previous = segments[segments.indexOf(empty) - 1] ?? null
  const usedEnd = leftovers.find(({ segment }) => segment === empty.name)?.usedEnd ?? segmentHeaderBytes
  return {
    ...scan,
    end: { ...end, segment: previous, sealed: previous !== null },
    leftovers: [
      { segment: empty.name, from: 0, usedEnd },
      ...leftovers.filter(({ segment }) => segment !== empty.name),
    ],
    unflushed: unflushed.filter(({ segment }) => segment !== empty.name),
  }
}
