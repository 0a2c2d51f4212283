import { lsn } from '../kernel/identifiers.ts'
import { type Digest, isIntact, lastLsnOf } from './batch.ts'
import type { AppendRequest, Refusal, ServerRequest } from './messages.ts'
import type { SegmentSummary, ServerLog } from './server-log.ts'

interface Checked {
  readonly log: ServerLog
  readonly segment: SegmentSummary | undefined
  /** The digest at the entry that the request is about. */
  readonly held: Digest | null
}

/**
 * What the machine, which sees no payloads and no files, cannot know of a request, and what no log takes. So a mistake of somebody else
 * is refused, and takes no server down.
 */
export function refusalOf(request: ServerRequest, checked: Checked): Refusal | null {
  switch (request.kind) {
    case 'openSegment':
      return request.base >= 1 && request.segmentEpoch >= 1 ? null : malformed('a segment begins with entry 1 or later')
    case 'append':
      return refusalOfAppend(request, checked)
    case 'finish':
      return refusalOfCut(request.tail, checked)
    case 'rewind': {
      const { segment, held } = checked
      const isEnd = segment === undefined || request.after === segment.base - 1 || held !== null
      return refusalOfCut(request.after, checked) ?? (isEnd ? null : malformed(`no batch ends at ${request.after}`))
    }
    default:
      return null
  }
}

function refusalOfAppend({ batches }: AppendRequest, { log, segment }: Checked): Refusal | null {
  if (!batches.every(isIntact)) return malformed('a batch has another digest than it says')
  if (batches.some(({ payload }) => payload.length > log.batchBytesMax))
    return malformed(`a batch is larger than the ${log.batchBytesMax} bytes that this server takes`)
  const last = batches.at(-1)
  if (segment?.isReadOnly !== true || last === undefined || lastLsnOf(last) <= segment.tail) return null
  const { from, to } = segment.damaged[0] ?? { from: segment.tail, to: segment.tail }
  return { reason: 'damaged', from, to }
}

function refusalOfCut(after: number, { segment }: Checked): Refusal | null {
  if (segment === undefined || after >= segment.from - 1) return null
  if (after < segment.base - 1) return malformed(`${after} lies before the segment`)
  return { reason: 'trimmed', trimLsn: lsn(segment.from - 1) }
}

const malformed = (what: string): Refusal => ({ reason: 'malformed', what })
