import { limits } from '../kernel/limits.ts'
import { isoTime, isoTimeOrNull } from './iso-time.ts'
import type { EventOfType, WorkflowEvent } from './workflow-events.ts'
import { workflowNameOf } from './workflow-names.ts'
import { foldWorkflow, initialWorkflowState, type WorkflowState } from './workflow-state.ts'
import type { WorkflowRequestView, WorkflowView } from './workflow-view.ts'
import { type Obstacle, waitingOf } from './workflow-waiting.ts'

interface RequestRecord {
  readonly operation: string
  readonly run: number
  readonly startedAtMs: number
  attempt: number
  status: WorkflowRequestView['status']
  endedAtMs: number | null
  retryAtMs: number | null
  error: WorkflowRequestView['error']
}

/** Folds the history of one workflow into what people want to see of it: in bounded memory, however long it is. */
export class WorkflowViewFold {
  readonly #type: string
  readonly #id: string
  #state: WorkflowState = initialWorkflowState()
  #revision = 0
  /** Under way, by operation. */
  readonly #open = new Map<string, RequestRecord>()
  /** Ended, the latest ones. */
  #ended: RequestRecord[] = []
  #total = 0
  #failed = 0

  constructor(type: string, id: string) {
    this.#type = type
    this.#id = id
  }

  get revision(): number {
    return this.#revision
  }

  /** Events in their order, without a gap. */
  add(event: WorkflowEvent): void {
    this.#revision++
    const aggregate = { type: this.#type, id: this.#id }
    this.#state = foldWorkflow(this.#state, event, { aggregate, revision: this.#revision })
    this.#request(event)
  }

  /** null: it was never started. */
  view(obstacle?: Obstacle): WorkflowView | null {
    const state = this.#state
    if (state.status === 'none') return null
    const requests = [...this.#ended.slice(-limits.workflowRequestsShown), ...this.#open.values()]
    return {
      name: workflowNameOf(this.#type),
      id: this.#id,
      status: state.status,
      version: state.version,
      run: state.run,
      startedAt: isoTime(state.startedAtMs),
      endedAt: isoTimeOrNull(state.endedAtMs),
      revision: this.#revision,
      result: state.result,
      error: state.error,
      progress: state.custom,
      isCancelled: state.isCancelled || state.isTimedOut,
      requests: requests.sort((a, b) => a.startedAtMs - b.startedAtMs).map(requestView),
      requestCounts: { total: this.#total, completed: state.completedRequests, failed: this.#failed },
      waitingFor: waitingOf(`${this.#type}/${this.#id}`, state, obstacle),
    }
  }

  #request(event: WorkflowEvent): void {
    switch (event.type) {
      case 'request/started':
        return this.#started(event.data)
      case 'request/completed':
        return this.#end(event.data.operation, 'completed', event.data.atMs)
      case 'request/failed':
        return this.#failedAttempt(event.data)
      case 'workflow/retried':
        for (const request of this.#open.values()) if (request.status === 'parked') request.status = 'running'
        return
      case 'workflow/cancel-requested':
      case 'workflow/continued':
      case 'workflow/completed':
      case 'workflow/failed':
      case 'workflow/cancelled':
      case 'timer/fired':
        // What the state does not wait for any more has no other end.
        for (const operation of this.#open.keys())
          if (!Object.hasOwn(this.#state.operations, operation)) this.#end(operation, 'cancelled', event.data.atMs)
        return
      default:
    }
  }

  #started({ operation, attempt, atMs }: EventOfType<'request/started'>['data']): void {
    const known = this.#open.get(operation)
    if (known !== undefined) {
      Object.assign(known, { attempt, status: 'running', retryAtMs: null })
      return
    }
    this.#total++
    const { run } = this.#state
    const begun = { attempt, status: 'running', endedAtMs: null, retryAtMs: null, error: null } as const
    this.#open.set(operation, { operation, run, startedAtMs: atMs, ...begun })
  }

  #failedAttempt({ operation, next, error, retryAtMs, atMs }: EventOfType<'request/failed'>['data']): void {
    const request = this.#open.get(operation)
    if (request === undefined) return
    request.error = error
    if (next === 'final') {
      this.#failed++
      this.#end(operation, 'failed', atMs)
    } else Object.assign(request, { status: next === 'again' ? 'retrying' : 'parked', retryAtMs })
  }

  #end(operation: string, status: RequestRecord['status'], atMs: number): void {
    const request = this.#open.get(operation)
    if (request === undefined) return
    this.#open.delete(operation)
    const error = status === 'completed' ? null : request.error
    this.#ended.push(Object.assign(request, { status, error, endedAtMs: atMs, retryAtMs: null }))
    if (this.#ended.length >= 2 * limits.workflowRequestsShown)
      this.#ended = this.#ended.slice(-limits.workflowRequestsShown)
  }
}

const requestView = ({ operation, run, attempt, status, error, ...times }: RequestRecord): WorkflowRequestView => ({
  name: operation.slice(operation.indexOf('/') + 1, operation.lastIndexOf('#')),
  operation,
  run,
  attempt,
  status,
  startedAt: isoTime(times.startedAtMs),
  endedAt: isoTimeOrNull(times.endedAtMs),
  retryAt: isoTimeOrNull(times.retryAtMs),
  error,
})
