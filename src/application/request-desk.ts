import type { Environment } from '../kernel/environment.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import type { WorkflowExecution } from '../workflows/execution.ts'
import type { RequestOperation } from '../workflows/operation.ts'
import { unrecordable } from '../workflows/value-size.ts'
import type { EventOfType } from '../workflows/workflow-events.ts'
import { workflowNameOf } from '../workflows/workflow-names.ts'
import type { LiveAggregate } from './live-aggregates.ts'
import { afterFailure } from './request-failures.ts'
import type { RequestResult } from './running-requests.ts'
import type { DraftedStep, StartedRequest } from './workflow-drafts.ts'
import { liveOf, record, stateOf } from './workflow-records.ts'

export interface RequestDeskOptions {
  readonly environment: Environment
  /** Something happened to the workflow that its code is to be told. */
  readonly gotOn: (aggregate: LiveAggregate) => void
  /** A request was given up, and the workflow is parked. */
  readonly ended: (aggregate: LiveAggregate) => void
}

interface FlushWait {
  readonly at: Lsn
  readonly step: DraftedStep
  readonly execution: WorkflowExecution
}

/**
 * Carries out the requests of workflows, and records what came of them.
 *
 * I1. An effect begins only when the step that started it is flushed: whatever is seen outside is known inside.
 * I2. What comes of an effect counts only while the code that asked for it is the one that runs.
 */
export class RequestDesk {
  readonly #o: RequestDeskOptions
  #unflushed: FlushWait[] = []
  #flushed: Lsn = lsn(0)

  constructor(options: RequestDeskOptions) {
    this.#o = options
  }

  /** The entry of a step is written. */
  written(step: DraftedStep, at: Lsn): void {
    const { execution } = liveOf(step.aggregate)
    if (step.requests.length > 0 && execution !== null) this.#unflushed.push({ at, step, execution })
  }

  flushedUpTo(flushed: Lsn): void {
    this.#flushed = flushed
    this.carryOut()
  }

  /** Begins the effects of what is flushed by now (I1). */
  carryOut(): void {
    let taken = 0
    for (const { at, step, execution } of this.#unflushed) {
      if (at > this.#flushed) break
      taken++
      if (liveOf(step.aggregate).execution === execution) this.#carryOutStep(step, execution)
    }
    if (taken > 0) this.#unflushed = this.#unflushed.slice(taken)
  }

  clear(): void {
    this.#unflushed = []
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
    const { run } = execution.start
    for (const { operation, attempt } of requests) {
      const effectKey = `${workflowNameOf(aggregate.key)}/${run}/${operation.id}`
      liveOf(aggregate).requests.begin(operation, effectKey, attempt, (_, ended, result) =>
        this.#requestEnded(aggregate, execution, operation, ended, result),
      )
    }
  }

  #requestEnded(
    aggregate: LiveAggregate,
    execution: WorkflowExecution,
    operation: RequestOperation,
    attempt: number,
    result: RequestResult,
  ): void {
    const live = liveOf(aggregate)
    if (live.execution !== execution || live.token === 0 || !execution.isOpen(operation.id)) return
    // Cancelled, or out of time: the code is about to be told.
    if (stateOf(aggregate).operations[operation.id] === undefined) return
    const event = this.#eventOf(aggregate, operation, attempt, result)
    record(aggregate, { event })
    if (event.type === 'request/failed' && event.data.next === 'exhausted') {
      const { error } = event.data
      const parked = { error, operation: operation.id, atMs: event.data.atMs }
      record(aggregate, { event: { type: 'workflow/parked', data: parked } })
      this.#o.ended(aggregate)
      return
    }
    if (event.type === 'request/failed' && event.data.next === 'again' && !event.data.isTimer)
      this.#tryAgainLater(aggregate, operation.id, (event.data.retryAtMs ?? 0) - event.data.atMs)
    // Not fed at once: two that end together would reach the code without its promises settling in between, as they do
    // when it runs again from its history.
    live.queue.push(event)
    this.#o.gotOn(aggregate)
  }

  #eventOf(
    aggregate: LiveAggregate,
    operation: RequestOperation,
    attempt: number,
    result: RequestResult,
  ): EventOfType<'request/completed' | 'request/failed'> {
    const atMs = this.#o.environment.clock.wallMs()
    const { id } = operation
    if ('result' in result) {
      const value = result.result ?? null
      const problem = unrecordable(value)
      if (problem === null) return { type: 'request/completed', data: { operation: id, result: value, atMs } }
      const error = { code: 'result_invalid', message: `the result of ${id} ${problem}` }
      return afterFailure(operation, attempt, 0, { error, isTerminal: true, retryAfterMs: null }, atMs)
    }
    return afterFailure(operation, attempt, stateOf(aggregate).operations[id]?.failures ?? 0, result, atMs)
  }
}
