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
  /** What is left of its history in the store, while the code is being fed with it. */
  replay: Replay | null
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
  queue: [],
  decided: [],
  outbox: [],
  mustLook: false,
  requests,
})

/** There is an entry even if code has issued nothing: it has something else to say, or releases the workflow. */
export const isWrittenAnyway = (
  { outbox, requests }: Pick<LiveWorkflow, 'outbox' | 'requests'>,
  { isAdrift }: WorkflowExecution,
): boolean => outbox.length > 0 || (requests.size === 0 && !isAdrift)

/** An entry of the stream gives events of these forms: whoever wrote it was this code, or older code. */
export const asWorkflowEvent = ({ type, data }: { readonly type: string; readonly data?: unknown }): WorkflowEvent =>
  ({ type, data }) as WorkflowEvent

/** A part of a history, read a page at a time. */
export interface Replay {
  /** The revision that comes behind the page. */
  from: number
  readonly to: number
  page: readonly WorkflowEvent[]
  /** Of the page, the event that comes next. */
  next: number
}

/** The event that the code is to be fed with next; null when there is none. */
export function nextEvent(
  live: LiveWorkflow,
  read: (from: number, to: number) => readonly WorkflowEvent[],
): WorkflowEvent | null {
  const { replay } = live
  if (replay === null) return live.queue.shift() ?? null
  if (replay.next === replay.page.length) {
    replay.page = read(replay.from, replay.to)
    replay.from += replay.page.length
    replay.next = 0
  }
  const event = replay.page[replay.next++]
  if (event === undefined || (replay.next === replay.page.length && replay.from > replay.to)) live.replay = null
  return event ?? live.queue.shift() ?? null
}
