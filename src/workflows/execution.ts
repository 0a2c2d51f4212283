import { unreachable } from '../kernel/assert.ts'
import { checkSchema } from '../sdk/schema-check.ts'
import type { RequestPolicy } from '../sdk/workflow.ts'
import { isTerminalError, TerminalError } from '../sdk/workflow-errors.ts'
import type { AnyWorkflow, Effect } from '../sdk/workflow-types.ts'
import { ContinueAsNew } from './continue-as-new.ts'
import { type Failure, failureOf, terminalErrorOf } from './failure.ts'
import type { Isolation } from './isolation.ts'
import { NonDeterminismError } from './non-determinism.ts'
import { type Issue, leavesTrace, type Operation, type OperationNameKind, type SignalOperation } from './operation.ts'
import { RunContext, type RunHost } from './run-context.ts'
import { RunInbox } from './run-inbox.ts'
import type { RunStart } from './run-start.ts'
import type { EventOfType, WorkflowEvent } from './workflow-events.ts'
import { timeoutOperation } from './workflow-state.ts'

/** How the code of a run ended. */
export type RunOutcome =
  | { readonly kind: 'completed'; readonly result: unknown }
  | { readonly kind: 'failed' | 'cancelled'; readonly error: Failure }
  | { readonly kind: 'continued'; readonly input: unknown }
  /** It threw what it must not throw, or does not match its history: a person must look. */
  | { readonly kind: 'broken'; readonly error: Failure; readonly operation: string | null }

interface Open {
  readonly operation: Operation
  readonly resolve: (value: never) => void
  readonly reject: (error: Error) => void
  /** Its beginning is in the history. */
  isRecorded: boolean
}

const noop = (): void => {}

/**
 * The code of one run of a workflow, and what it waits for. Fed with the history, event by event, it comes to where the
 * history ends; what it issues beyond that becomes history.
 *
 * I1. Nothing is resolved but by an event: so the code takes the same way whenever it is fed with the same events.
 * I2. An event about an operation that the code has not issued is never passed over: the code is another one than
 *     that which wrote the history, and the run is broken.
 */
export class WorkflowExecution implements RunHost {
  readonly workflow: AnyWorkflow
  readonly start: RunStart
  outcome: RunOutcome | null = null
  /** The time of the newest event. */
  nowMs: number
  isCancelled = false
  isLive: boolean // fed with all of its history: what it issues is new
  readonly aborted: AbortController = new AbortController()
  readonly #isolation: Isolation
  readonly #open = new Map<string, Open>()
  readonly #occurrences = new Map<string, number>()
  #issues: Issue[] = []
  readonly #patches: Map<string, boolean>
  readonly inbox: RunInbox = new RunInbox()
  readonly #compensations: { readonly name: string; readonly run: Effect<unknown>; readonly policy: RequestPolicy }[] =
    []
  #isCompensating = false

  constructor(workflow: AnyWorkflow, start: RunStart, isolation: Isolation) {
    this.workflow = workflow
    this.start = start
    this.nowMs = start.atMs
    this.isLive = !start.isReplayed
    this.#isolation = isolation
    this.#patches = new Map(start.patches.map((id) => [id, true]))
  }

  /** Runs the code until it first waits for something; what it issues is there once promises have settled. */
  begin(): void {
    const context = new RunContext(this)
    this.#isolation.run(this.start, () => void this.#main(context))
  }

  get waiting(): readonly Operation[] {
    return Array.from(this.#open.values(), ({ operation }) => operation)
  }

  isOpen(operation: string): boolean {
    return this.#open.has(operation)
  }

  /** The operation whose beginning the history has and whose end it does not have. */
  recorded(operation: string): Operation | undefined {
    const open = this.#open.get(operation)
    return open?.isRecorded ? open.operation : undefined
  }

  /** Takes what code has issued since it was last asked, to be recorded under this time. */
  takeIssues(atMs: number): readonly Issue[] {
    if (this.#issues.length === 0) return this.#issues
    if (this.#issues.some(leavesTrace)) this.noteTime(atMs)
    // What has ended before it was recorded never was: a cancellation came first.
    const issues = this.#issues.filter((issue) => issue.what !== 'operation' || this.#open.has(issue.operation.id))
    for (const issue of issues) {
      const open = issue.what === 'operation' ? this.#open.get(issue.operation.id) : undefined
      if (open !== undefined) open.isRecorded = true
    }
    this.#issues = []
    return issues
  }

  /** The history has something of this time. */
  noteTime(atMs: number): void {
    this.nowMs = Math.max(this.nowMs, atMs)
  }

  // ---- for the context

  open<Result>(operation: Operation): Promise<Result> {
    const promise = new Promise<Result>((resolve, reject) => {
      this.#open.set(operation.id, { operation, resolve, reject, isRecorded: false })
    })
    // Nobody may wait for it any more when it fails.
    promise.catch(noop)
    this.#issues.push({ what: 'operation', operation })
    return promise
  }

  /** The name of the next operation of a kind. */
  nameOf(kind: OperationNameKind, name: string): string {
    const stem = `${kind}/${name}`
    const occurrence = (this.#occurrences.get(stem) ?? 0) + 1
    this.#occurrences.set(stem, occurrence)
    return `${stem}#${occurrence}`
  }

  waitForSignal(operation: SignalOperation): Promise<unknown> {
    const came = this.inbox.take(operation.name)
    if (came !== null) return Promise.resolve(came.data)
    return this.open(operation)
  }

  setStatus(value: unknown): void {
    this.#issues.push({ what: 'status', value })
  }

  patched(id: string): boolean {
    const known = this.#patches.get(id)
    if (known !== undefined) return known
    this.#patches.set(id, this.isLive)
    if (this.isLive) this.#issues.push({ what: 'patch', id })
    return this.isLive
  }

  compensateBy(name: string, run: Effect<unknown>, policy: RequestPolicy): void {
    this.#compensations.push({ name, run, policy })
  }

  // ---- history

  /** Takes one event of the history, in order; what code makes of it is there once promises have settled. */
  feed(event: WorkflowEvent): void {
    if (this.outcome?.kind === 'broken' && this.outcome.error.code === NonDeterminismError.code) return
    this.noteTime(event.data.atMs)
    this.#isolation.run(this.start, () => this.#feed(event))
  }

  #feed(event: WorkflowEvent): void {
    const { data, type } = event
    switch (type) {
      case 'request/started':
      case 'timer/started':
      case 'command/requested':
      case 'child/requested':
      case 'awakeable/created':
        return this.#begun(data.operation)
      case 'request/completed':
        return this.#resolve(data.operation, data.result)
      case 'request/failed':
        if (data.next === 'final') this.#reject(data.operation, terminalErrorOf(data.error))
        return
      case 'timer/fired':
        return this.#fired(event)
      case 'timer/cancelled':
        this.#issues = this.#issues.filter(
          (issue) => issue.what !== 'timerCancelled' || issue.operation !== data.operation,
        )
        return
      case 'signal/received':
        return this.#signalled(data.name, data.data)
      case 'awakeable/resolved':
        if (data.error === undefined) this.#resolve(data.operation, data.value)
        else this.#reject(data.operation, terminalErrorOf(data.error))
        return
      case 'command/ended':
        return this.#resolve(data.operation, data.outcome)
      case 'child/started':
        return this.#childStarted(data.operation)
      case 'child/ended':
        if (data.error === undefined) this.#resolve(data.operation, data.result)
        else this.#childFailed(data.operation, data.error)
        return
      case 'status/set': {
        const at = this.#issues.findIndex(({ what }) => what === 'status')
        if (at >= 0) this.#issues.splice(at, 1)
        return
      }
      case 'workflow/cancel-requested':
        this.#missedIfOver(event)
        return this.#interrupt(new TerminalError('cancelled', data.reason))
      case 'patch/noted':
      case 'workflow/parked':
      case 'workflow/retried':
      case 'workflow/started':
      case 'workflow/continued':
      case 'workflow/completed':
      case 'workflow/failed':
      case 'workflow/cancelled':
        return
      default:
        unreachable(event)
    }
  }

  #begun(operation: string): void {
    const open = this.#open.get(operation)
    if (open === undefined)
      this.#mismatch(operation) // I2
    else open.isRecorded = true
    this.#issues = this.#issues.filter((issue) => issue.what !== 'operation' || issue.operation.id !== operation)
  }

  #resolve(operation: string, value: unknown): void {
    const open = this.#take(operation)
    if (open === undefined) this.#mismatch(operation)
    else open.resolve(value as never)
  }

  #reject(operation: string, error: Error): void {
    const open = this.#take(operation)
    if (open === undefined) this.#mismatch(operation)
    else open.reject(error)
  }

  #take(operation: string): Open | undefined {
    const open = this.#open.get(operation)
    this.#open.delete(operation)
    return open
  }

  #fired(event: EventOfType<'timer/fired'>): void {
    const { operation } = event.data
    if (operation === timeoutOperation) {
      this.#missedIfOver(event)
      this.#interrupt(new TerminalError('timeout', `the workflow was not over after ${this.workflow.timeoutMs} ms`))
      return
    }
    const open = this.#open.get(operation)
    // A pause before a request's next attempt, or the time limit of a signal that has come.
    if (open === undefined || open.operation.kind === 'request') return
    this.#open.delete(operation)
    if (open.operation.kind === 'timer') open.resolve(undefined as never)
    else open.reject(new TerminalError('timeout', `no signal came in time for ${operation}`))
  }

  #signalled(name: string, data: unknown): void {
    for (const { operation } of this.#open.values()) {
      if (operation.kind !== 'signal' || operation.name !== name) continue
      const { id, dueMs } = operation
      if (dueMs !== null) this.#issues.push({ what: 'timerCancelled', operation: id, dueMs })
      this.#resolve(id, data)
      return
    }
    this.inbox.keep(name, data)
  }

  /** The run had decided to go on in a new one before it could hear of it. */
  #missedIfOver(event: WorkflowEvent): void {
    if (this.outcome?.kind === 'continued') this.inbox.miss(event)
  }

  readonly #startedChildren = new Map<string, () => void>()

  /** Tells when the child is started; the operation itself ends with the child. */
  childStarted(operation: string): Promise<void> {
    return new Promise((resolve) => this.#startedChildren.set(operation, resolve))
  }

  #childStarted(operation: string): void {
    this.#startedChildren.get(operation)?.()
    this.#startedChildren.delete(operation)
  }

  #childFailed(operation: string, { code, message, details }: Failure): void {
    const isConflict = code === 'conflict'
    this.#reject(operation, new TerminalError(isConflict ? 'conflict' : 'child_failed', message, details))
    this.#startedChildren.delete(operation)
  }

  /** All that is waited for ends with the error, once; what is issued afterwards is waited for as ever. */
  #interrupt(error: TerminalError): void {
    if (error.code === 'cancelled') this.isCancelled = true
    if (this.#isCompensating) return
    this.aborted.abort(error)
    const interrupted = [...this.#open.values()]
    this.#open.clear()
    this.#startedChildren.clear()
    for (const { reject } of interrupted) reject(error)
    for (const { operation } of interrupted) {
      if (operation.kind !== 'child') continue
      const id = this.nameOf('command', `cancel ${operation.id}`)
      const data = { reason: error.message, parent: { key: this.start.key, operation: operation.id } }
      const rest = { command: 'cancel', data, expectedRevision: null, outlivesRun: true } as const
      void this.open({ kind: 'command', id, to: operation.to, ...rest })
    }
  }

  #mismatch(operation: string): void {
    const error = new NonDeterminismError(operation, this.waiting, this.outcome !== null)
    this.outcome = { kind: 'broken', error: failureOf(error), operation }
  }

  // ---- the code
  async #main(context: RunContext): Promise<void> {
    const { workflow, start } = this
    try {
      const result = await workflow.run(context, start.input)
      const { output } = workflow
      const checked =
        output === undefined ? result : checkSchema(output, result, `output of workflow "${workflow.name}"`)
      this.#end({ kind: 'completed', result: checked })
    } catch (error) {
      await this.#threw(error)
    }
  }

  async #threw(error: unknown): Promise<void> {
    if (error instanceof ContinueAsNew) return this.#end({ kind: 'continued', input: error.input })
    if (!isTerminalError(error)) return this.#end({ kind: 'broken', error: failureOf(error), operation: null })
    try {
      await this.#compensate()
      const kind = this.isCancelled && error.code === 'cancelled' ? 'cancelled' : 'failed'
      this.#end({ kind, error: failureOf(error) })
    } catch (second) {
      this.#end({ kind: 'broken', error: failureOf(second), operation: null })
    }
  }

  async #compensate(): Promise<void> {
    this.#isCompensating = true
    for (const { name, run, policy } of this.#compensations.reverse()) {
      await this.open({ kind: 'request', id: this.nameOf('compensation', name), effect: run, policy })
    }
  }

  #end(outcome: RunOutcome): void {
    this.outcome ??= outcome
  }
}
