import { type Lsn, lsn, type Token, token } from '../kernel/identifiers.ts'
import type { Change } from '../workflows/advance.ts'
import type { WorkflowExecution } from '../workflows/execution.ts'
import type { WorkflowEvent } from '../workflows/workflow-events.ts'
import type { RunningRequests } from './running-requests.ts'

/** What an application process knows of a workflow beside its state. */
export interface LiveWorkflow {
  /** The command that gave it something to do; 0 while it has nothing to do. */
  activation: Lsn
  /** The assignment that this process works on it under; 0 while it is another's, or nobody's. */
  token: Token
  /** Its code, where it is in memory. */
  execution: WorkflowExecution | null
  /** The revision that it was restored at: the store has its history up to there. */
  loadedRevision: number
  /** Its history from the store, up to `loadedRevision`, while the code is being fed with it. */
  replay: Iterator<WorkflowEvent> | null
  /** The event that `replay` gives next. */
  next: WorkflowEvent | null
  /** New events that the code is to be fed with. */
  queue: WorkflowEvent[]
  /** What the command that is being drafted decided. */
  decided: readonly WorkflowEvent[]
  /** Folded and not drafted yet. */
  outbox: Change[]
  /** Requests may have to be begun anew: it was begun here, or one of them is due. */
  mustLook: boolean
  readonly requests: RunningRequests
}

export const emptyLiveWorkflow = (requests: RunningRequests): LiveWorkflow => ({
  activation: lsn(0),
  token: token(0),
  execution: null,
  loadedRevision: 0,
  replay: null,
  next: null,
  queue: [],
  decided: [],
  outbox: [],
  mustLook: false,
  requests,
})

/** An entry of the stream gives events of these forms: whoever wrote it was this code, or older code. */
export const asWorkflowEvent = ({ type, data }: { readonly type: string; readonly data?: unknown }): WorkflowEvent =>
  ({ type, data }) as WorkflowEvent

/** null when there is nothing to feed. One event of the history is read ahead, to know which is the last. */
export function nextEvent(live: LiveWorkflow): WorkflowEvent | null {
  if (live.replay !== null) {
    const event = live.next ?? take(live.replay)
    live.next = take(live.replay)
    if (live.next === null) live.replay = null
    if (event !== null) return event
  }
  return live.queue.shift() ?? null
}

function take(events: Iterator<WorkflowEvent>): WorkflowEvent | null {
  const { value, done } = events.next()
  return done === true ? null : (value as WorkflowEvent)
}
