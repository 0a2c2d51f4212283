import { isoTime, isoTimeOrNull } from './iso-time.ts'
import { awakeableId, workflowNameOf } from './workflow-names.ts'
import { hasEnded, type PendingOperation, type WorkflowState } from './workflow-state.ts'
import type { WorkflowWaiting } from './workflow-view.ts'

/** Why nothing comes of what is sent to an aggregate for now; null: something will. @param key the aggregate's */
export type Obstacle = (key: string) => string | null

/** What has to happen for a workflow to go on. @param key its aggregate key */
export function waitingOf(key: string, state: WorkflowState, obstacle: Obstacle = () => null): WorkflowWaiting[] {
  if (hasEnded(state)) return []
  const { operations, run } = state
  return Object.entries(operations).flatMap(([operation, pending]) =>
    waitingFor(key, run, operation, pending, obstacle),
  )
}

function waitingFor(
  key: string,
  run: number,
  operation: string,
  { kind, startedAtMs, dueMs, child, to }: PendingOperation,
  obstacle: Obstacle,
): WorkflowWaiting[] {
  if (kind === 'request') return []
  const target = child ?? to
  const because = target === undefined ? null : obstacle(target)
  return [
    {
      kind: kind === 'timer' && operation.startsWith('signal/') ? 'signal' : kind,
      operation,
      since: isoTime(startedAtMs),
      dueAt: isoTimeOrNull(dueMs),
      ...(kind === 'awakeable' ? { awakeable: awakeableId(key, run, operation) } : {}),
      ...(child === null ? {} : { child: workflowNameOf(child) }),
      ...(because === null ? {} : { because }),
    },
  ]
}
