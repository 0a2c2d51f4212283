import { BoundedWarnings } from '../kernel/bounded-warnings.ts'
import type { Environment } from '../kernel/environment.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import { Queue } from '../kernel/queue.ts'
import type { WorkflowExecution } from '../workflows/execution.ts'
import type { Failure } from '../workflows/failure.ts'
import type { RequestOperation } from '../workflows/operation.ts'
import { recordedValue } from '../workflows/recorded-value.ts'
import type { EventOfType } from '../workflows/workflow-events.ts'
import { workflowNameOf } from '../workflows/workflow-names.ts'
import type { LiveAggregate } from './live-aggregates.ts'
import { afterFailure, isGivenUp } from './request-failures.ts'
import type { RequestResult } from './running-requests.ts'
import type { DraftedStep, StartedRequest } from './workflow-drafts.ts'
import { liveOf, record, stateOf } from './workflow-records.ts'

export interface RequestDeskOptions {
  readonly environment: Environment
  /** Begins the keys of all effects, so that two databases never hand the same one to another system. */
  readonly keyPrefix: string
  /** Something happened to the workflow that its code is to be told. */
  readonly gotOn: (aggregate: LiveAggregate) => void
  /** An effect failed in every attempt, or its result cannot be recorded. */
  readonly failed: () => void
  /** A request was given up, and the workflow is parked. */
  readonly ended: (aggregate: LiveAggregate) => void
}

interface ReadyRequest extends StartedRequest {
  readonly aggregate: LiveAggregate
  readonly execution: WorkflowExecution
}

interface FlushWait {
  readonly at: Lsn
  readonly step: DraftedStep
}

/**
 * Carries out the requests of workflows, and records what came of them.
 *
 * I1. An effect begins only when the step that started it is flushed: whatever is seen outside is known inside.
 * I2. What comes of an effect counts only while the code that asked for it is the one that runs.
 */
export class RequestDesk {
  readonly #o: RequestDeskOptions
  readonly #unflushed = new Queue<FlushWait>()
  #flushed: Lsn = lsn(0)
  /** Flushed, and waiting for others to end. */
  readonly #ready = new Queue<ReadyRequest>()
  #underWay = 0
  readonly #warnings: BoundedWarnings

  constructor(options: RequestDeskOptions) {
    this.#o = options
    this.#warnings = new BoundedWarnings(
      options.environment,
      'further effects failed for good, which are not logged for a while',
    )
  }

  /** The entry of a step is written. */
  written(step: DraftedStep, at: Lsn): void {
    if (step.requests.length > 0) this.#unflushed.push({ at, step })
  }

  flushedUpTo(flushed: Lsn): void {
    this.#flushed = flushed
    this.carryOut()
  }

  /** Begins the effects of what is flushed by now (I1). */
  carryOut(): void {
    for (
      let wait = this.#unflushed.peek();
      wait !== undefined && wait.at <= this.#flushed;
      wait = this.#unflushed.peek()
    ) {
      this.#unflushed.shift()
      const { aggregate, execution } = wait.step
      // The run that it is of: the next one has operations of the same names.
      if (execution !== null && liveOf(aggregate).execution === execution) this.#carryOutStep(wait.step, execution)
    }
    this.#beginReady()
  }

  clear(): void {
    this.#unflushed.takeAll()
    this.#ready.takeAll()
  }

  /** Requests that were begun elsewhere, or failed and are due: begun anew. */
  beginAgain(aggregate: LiveAggregate, execution: WorkflowExecution, atMs: number): StartedRequest[] {
    const live = liveOf(aggregate)
    live.mustLook = false
    const started: StartedRequest[] = []
    for (const [id, pending] of Object.entries(stateOf(aggregate).operations)) {
      const operation = pending.kind === 'request' && !live.requests.has(id) ? execution.recorded(id) : undefined
      if (operation?.kind !== 'request' || pending.isExhausted || pending.dueMs !== null) continue
      const waitMs = pending.retryAtMs === null ? 0 : pending.retryAtMs - atMs
      if (waitMs > 0) {
        this.#tryAgainLater(aggregate, id, waitMs)
        continue
      }
      const attempt = pending.attempt + 1
      record(aggregate, { event: { type: 'request/started', data: { operation: id, attempt, atMs } } })
      execution.noteTime(atMs)
      live.requests.reserve(id)
      started.push({ operation, attempt })
    }
    return started
  }

  #tryAgainLater(aggregate: LiveAggregate, operation: string, delayMs: number): void {
    const live = liveOf(aggregate)
    live.requests.later(operation, delayMs, () => {
      live.mustLook = true
      this.#o.gotOn(aggregate)
    })
  }

  #carryOutStep({ aggregate, requests }: DraftedStep, execution: WorkflowExecution): void {
    for (const { operation, attempt } of requests) this.#ready.push({ aggregate, execution, operation, attempt })
  }

  /** As many at once as the bound says (G10). */
  #beginReady(): void {
    while (this.#underWay < limits.requestsUnderWayMax) {
      const next = this.#ready.shift()
      if (next === undefined) return
      this.#begin(next)
    }
  }

  #begin({ aggregate, execution, operation, attempt }: ReadyRequest): void {
    const live = liveOf(aggregate)
    if (live.execution !== execution) return
    const effectKey = `${this.#o.keyPrefix}/${workflowNameOf(aggregate.key)}/${execution.start.run}/${operation.id}`
    this.#underWay++
    const isBegun = live.requests.begin(
      operation,
      effectKey,
      attempt,
      (_, ended, result) => this.#requestEnded(aggregate, execution, operation, ended, result),
      this.#over,
    )
    if (!isBegun) this.#underWay--
  }

  readonly #over = (): void => {
    this.#underWay--
    if (this.#ready.length > 0) this.#beginReady()
  }

  #requestEnded(
    aggregate: LiveAggregate,
    execution: WorkflowExecution,
    operation: RequestOperation,
    attempt: number,
    result: RequestResult,
  ): void {
    const live = liveOf(aggregate)
    // By the history, not by the code, which may not have heard yet that nobody waits any more.
    const isAwaited = stateOf(aggregate).operations[operation.id]?.kind === 'request'
    if (live.execution !== execution || live.token === 0 || !isAwaited) return
    const event = this.#eventOf(aggregate, operation, attempt, result, execution.nowMs)
    record(aggregate, { event })
    if (event.type === 'request/failed' && isGivenUp(event)) this.#warn(aggregate, event)
    if (event.type === 'request/failed' && event.data.next === 'exhausted') {
      const { error } = event.data
      const parked = { error, operation: operation.id, atMs: event.data.atMs }
      record(aggregate, { event: { type: 'workflow/parked', data: parked } })
      this.#o.ended(aggregate)
      return
    }
    if (event.type === 'request/failed' && event.data.next === 'again' && !event.data.isTimer)
      this.#tryAgainLater(aggregate, operation.id, (event.data.retryAtMs ?? 0) - event.data.atMs)
    // Fed in a turn of its own, as when it runs again: what code does after one event comes before the next one.
    live.queue.push(event)
    this.#o.gotOn(aggregate)
  }

  #warn(aggregate: LiveAggregate, { data }: EventOfType<'request/failed'>): void {
    this.#o.failed()
    const { operation, attempt, error } = data
    const workflow = workflowNameOf(aggregate.key)
    this.#warnings.warn(
      { code: 'request_failed', workflow, operation, attempt, error },
      `${operation} of workflow ${workflow} failed for the last time, in attempt ${attempt}: ${error.message}`,
    )
  }

  #eventOf(
    aggregate: LiveAggregate,
    operation: RequestOperation,
    attempt: number,
    result: RequestResult,
    nowMs: number,
  ): EventOfType<'request/completed' | 'request/failed'> {
    const atMs = Math.max(this.#o.environment.clock.wallMs(), nowMs)
    const { id } = operation
    if ('result' in result) {
      const recorded = recordedValue(result.result)
      if ('value' in recorded)
        return { type: 'request/completed', data: { operation: id, result: recorded.value, atMs } }
      const error = { code: 'result_invalid', message: `the result of ${id} ${recorded.problem}` }
      return afterFailure(operation, attempt, 0, { error, isTerminal: true, retryAfterMs: null }, atMs)
    }
    const failed = { ...result, error: recordable(result.error) }
    return afterFailure(operation, attempt, stateOf(aggregate).operations[id]?.failures ?? 0, failed, atMs)
  }
}

/** An error whose details are too large, or no values that can be recorded, is one all the same. */
function recordable(error: Failure): Failure {
  const details = recordedValue(error.details)
  return 'value' in details ? error : { ...error, details: { leftOut: `what was here ${details.problem}` } }
}
