import { isoTime, isoTimeOrNull } from './iso-time.ts'
import { awakeableId, workflowNameOf } from './workflow-names.ts'
import { hasEnded, type PendingOperation, type WorkflowState } from './workflow-state.ts'
import type { WorkflowWaiting } from './workflow-view.ts'

/** What has to happen for a workflow to go on. @param key its aggregate key */
export function waitingOf(key: string, state: WorkflowState): WorkflowWaiting[] {
  if (hasEnded(state)) return []
  const { operations, run } = state
  return Object.entries(operations).flatMap(([operation, pending]) => waitingFor(key, run, operation, pending))
}

function waitingFor(
  key: string,
  run: number,
  operation: string,
  { kind, startedAtMs, dueMs, child }: PendingOperation,
): WorkflowWaiting[] {
  if (kind === 'request') return []
  return [
    {
      kind: kind === 'timer' && operation.startsWith('signal/') ? 'signal' : kind,
      operation,
      since: isoTime(startedAtMs),
      dueAt: isoTimeOrNull(dueMs),
      ...(kind === 'awakeable' ? { awakeable: awakeableId(key, run, operation) } : {}),
      ...(child === null ? {} : { child: workflowNameOf(child) }),
    },
  ]
}
