import type { JournalScan } from './journal-scan.ts'
import { journalLimits } from './options.ts'
import type { RecoveryCase } from './recovery-table.ts'
import { asideName, cleanStopName, nextName, tornCopiesOf } from './segment-name.ts'
import { temporarySuffix } from './storage.ts'

/** One thing to do to the directory. A plan is data: it can be printed, compared and carried out, or not. */
export type RecoveryStep =
  | { readonly kind: 'remove'; readonly name: string }
  | { readonly kind: 'rename'; readonly name: string; readonly to: string }
  | { readonly kind: 'copy'; readonly name: string; readonly from: number; readonly to: number; readonly as: string }
  | { readonly kind: 'zero'; readonly name: string; readonly from: number; readonly to: number }
  | { readonly kind: 'writeBack'; readonly name: string; readonly from: number; readonly to: number }
  | { readonly kind: 'flush'; readonly name: string }
  | { readonly kind: 'flushNames' }

export interface PlanRequest {
  readonly scan: JournalScan
  readonly decision: RecoveryCase
  /** All files of the directory. */
  readonly names: readonly string[]
  readonly wallMs: number
}

/** What to do, in the order in which it must be done: after a crash between any two steps the same decision is made again. */
export function planRecovery(request: PlanRequest): RecoveryStep[] {
  const { action } = request.decision
  switch (action) {
    case 'open':
      return [...removeOrphans(request), ...makeDurable(request)]
    case 'truncate':
      return [...removeOrphans(request), ...cutOff(request, 'torn'), ...makeDurable(request)]
    case 'giveUp':
      return [
        ...removeOrphans(request),
        ...forgetCleanStop(request),
        ...cutOff(request, 'lost'),
        ...makeDurable(request),
      ]
    case 'giveUpOlder':
      return request.scan.leftovers.map(({ segment }) => aside(segment, request.wallMs))
    default:
      return []
  }
}

function removeOrphans({ names }: PlanRequest): RecoveryStep[] {
  const orphans = names.filter((name) => name.endsWith(temporarySuffix) || name === nextName)
  const torn = tornCopiesOf(names)
  return [...orphans, ...torn.slice(0, -journalLimits.tornCopiesMax)].map((name) => ({ kind: 'remove', name }))
}

function forgetCleanStop({ names }: PlanRequest): RecoveryStep[] {
  return names.includes(cleanStopName) ? [{ kind: 'remove', name: cleanStopName }] : []
}

/** From the last file to the first: an end that is clean again must not have successors that do not follow it. */
function cutOff({ scan, wallMs }: PlanRequest, why: 'torn' | 'lost'): RecoveryStep[] {
  const steps: RecoveryStep[] = []
  for (const { segment, from, usedEnd } of scan.leftovers.toReversed()) {
    const as = asideName(why, segment, from, wallMs)
    if (why === 'lost' && from === 0) steps.push({ kind: 'rename', name: segment, to: as })
    else if (usedEnd > from) steps.push({ kind: 'copy', name: segment, from, to: usedEnd, as })
    if (from > 0) steps.push({ kind: 'zero', name: segment, from, to: usedEnd }, { kind: 'flush', name: segment })
    else if (why === 'torn') steps.push({ kind: 'remove', name: segment })
  }
  return steps
}

/**
 * R8. What may not have been flushed is written again first: after a failed flush the system may hold pages that it takes
 * for clean and that are not on the medium. The names are flushed too: who gave a segment its name may have died before
 * that was durable, and what is written to it from now on would be lost with it. The segment before the first scanned one
 * ends in a seal that may be unflushed.
 */
function makeDurable({ scan }: PlanRequest): RecoveryStep[] {
  const kept = scan.end.segment
  if (kept === null) return []
  const writeBack = scan.unflushed.map(({ segment, from, to }) => ({
    kind: 'writeBack' as const,
    name: segment,
    from,
    to,
  }))
  const flush = scan.segments
    .slice(Math.max(0, scan.scannedFrom - 1))
    .filter(({ segNo }) => segNo <= kept.segNo)
    .map(({ name }) => ({ kind: 'flush' as const, name }))
  return [...writeBack, ...flush, { kind: 'flushNames' }]
}

function aside(segment: string, wallMs: number): RecoveryStep {
  return { kind: 'rename', name: segment, to: asideName('lost', segment, 0, wallMs) }
}
