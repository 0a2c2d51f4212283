import { unreachable } from '../kernel/assert.ts'
import { isTerminalError, TerminalError } from '../sdk/workflow-errors.ts'
import type { AnyWorkflow } from '../sdk/workflow-types.ts'
import { type Compensation, compensate } from './compensation.ts'
import { ContinueAsNew } from './continue-as-new.ts'
import { type Failure, failureOf, terminalErrorOf } from './failure.ts'
import type { Isolation } from './isolation.ts'
import { NonDeterminismError } from './non-determinism.ts'
import type { OpenOperation } from './open-operation.ts'
import {
  type ChildOperation,
  type Issue,
  isCompensation,
  mayBeRecordedLater,
  type Operation,
  type OperationNameKind,
  type SignalOperation,
  signalAwaited,
} from './operation.ts'
import { OperationNames } from './operation-names.ts'
import { handedOut } from './recorded-value.ts'
import { RunContext, type RunHost } from './run-context.ts'
import { RunInbox } from './run-inbox.ts'
import { type RunOutcome, returned } from './run-outcome.ts'
import type { RunStart } from './run-start.ts'
import { StartedChildren } from './started-children.ts'
import type { EventOfType, WorkflowEvent } from './workflow-events.ts'
import { addressOf } from './workflow-names.ts'
import { timeoutOperation } from './workflow-state.ts'

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
  /** The code is another one than that which wrote the history (I2). */
  mismatch: NonDeterminismError | null = null
  /** The time of the newest event. */
  nowMs: number
  isCancelled = false
  /** Fed with all of its history: what it issues is new. */
  isLive: boolean
  #aborted: AbortController | null = null
  /** Told when code has issued something, or has ended: it may do so by itself, after something that it should not await. */
  wentOn: () => void = noop
  readonly #isolation: Isolation
  readonly #open = new Map<string, OpenOperation>()
  readonly #names = new OperationNames()
  readonly #startedChildren = new StartedChildren()
  #issues: Issue[] = []
  readonly #patches: Map<string, boolean>
  readonly inbox: RunInbox = new RunInbox()
  readonly #compensations: Compensation[] = []
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

  /** Made when it is asked for: most workflows do without. */
  get abortController(): AbortController {
    this.#aborted ??= new AbortController()
    return this.#aborted
  }

  /** Operations that code waits for, by name. */
  get waiting(): readonly Operation[] {
    return Array.from(this.#open.values(), ({ operation }) => operation)
  }

  /** It has not ended, and waits for nothing that is recorded: for something else, that will not come again. */
  get isAdrift(): boolean {
    return this.outcome === null && this.#open.size === 0
  }

  isOpen(operation: string): boolean {
    return this.#open.has(operation)
  }

  /** The operation whose beginning the history has and whose end it does not have. */
  recorded(operation: string): Operation | undefined {
    const open = this.#open.get(operation)
    return open?.isRecorded === true ? open.operation : undefined
  }

  /** Takes what code has issued since it was last asked, to be recorded under this time; `isWritten`: in an entry that there is in any case. */
  takeIssues(atMs: number, isWritten: boolean): readonly Issue[] {
    if (this.#issues.length === 0) return this.#issues
    // What has ended before it was recorded never was: a cancellation came first.
    const issues = this.#issues.filter((issue) => issue.what !== 'operation' || this.#open.has(issue.operation.id))
    this.#issues = isWritten || !issues.every(mayBeRecordedLater) ? [] : issues
    if (this.#issues.length > 0) return []
    for (const issue of issues) {
      const open = issue.what === 'operation' ? this.#open.get(issue.operation.id) : undefined
      if (open !== undefined) open.isRecorded = true
    }
    // I1: time goes on with what is recorded, and with nothing else.
    if (issues.length > 0) this.noteTime(atMs)
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
    this.#issue({ what: 'operation', operation })
    return promise
  }

  /** The name of the next operation of a kind. */
  nameOf(kind: OperationNameKind, name: string): string {
    return this.#names.next(kind, name)
  }

  waitForSignal(operation: SignalOperation): Promise<unknown> {
    const came = this.inbox.take(operation.name)
    return came === null ? this.open(operation) : Promise.resolve(handedOut(came.data))
  }

  setStatus(value: unknown): void {
    this.#issue({ what: 'status', value })
  }

  patched(id: string): boolean {
    const known = this.#patches.get(id)
    if (known !== undefined) return known
    this.#patches.set(id, this.isLive)
    if (this.isLive) this.#issue({ what: 'patch', id })
    return this.isLive
  }

  compensateBy(compensation: Compensation): void {
    this.#compensations.push(compensation)
  }

  // ---- history

  /** Takes one event of the history, in order; what code makes of it is there once promises have settled. */
  feed(event: WorkflowEvent): void {
    if (this.mismatch !== null) return
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
        return this.#isOnRecord(data.operation) ? undefined : this.#mismatch(data.operation) // I2
      case 'signal/awaited':
        // Nothing comes of it, outside or in the code: code that does not wait any more is no other code for that.
        return void this.#isOnRecord(data.operation)
      case 'request/completed':
        return this.#resolve(data.operation, data.result)
      case 'request/failed':
        return data.next === 'final' ? this.#reject(data.operation, terminalErrorOf(data.error)) : undefined
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
        return this.#startedChildren.started(data.operation)
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

  /** The history has its beginning. @returns whether the code has issued it, too */
  #isOnRecord(operation: string): boolean {
    const open = this.#open.get(operation)
    if (open !== undefined) open.isRecorded = true
    this.#issues = this.#issues.filter((issue) => issue.what !== 'operation' || issue.operation.id !== operation)
    return open !== undefined
  }

  #resolve(operation: string, value: unknown): void {
    this.#settle(operation, ({ resolve }) => resolve(handedOut(value) as never))
  }

  #reject(operation: string, error: Error): void {
    this.#settle(operation, ({ reject }) => reject(error))
  }

  #settle(operation: string, end: (open: OpenOperation) => void): void {
    const open = this.#open.get(operation)
    this.#open.delete(operation)
    if (open === undefined)
      this.#mismatch(operation) // I2
    else end(open)
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
    const awaited = signalAwaited(this.waiting, name)
    if (awaited === undefined) return this.inbox.keep(name, data)
    const { id, dueMs } = awaited
    if (dueMs !== null) this.#issue({ what: 'timerCancelled', operation: id, dueMs })
    this.#resolve(id, data)
  }

  /** The run had decided to go on in a new one before it could hear of it. */
  #missedIfOver(event: WorkflowEvent): void {
    if (this.outcome?.kind === 'continued') this.inbox.miss(event)
  }

  readonly childStarted = (operation: string): Promise<void> => this.#startedChildren.wait(operation)

  #childFailed(operation: string, { code, message, details }: Failure): void {
    const isConflict = code === 'conflict'
    this.#reject(operation, new TerminalError(isConflict ? 'conflict' : 'child_failed', message, details))
    this.#startedChildren.forget(operation)
  }

  /**
   * All that is waited for ends with the error, once, but what undoes; what is issued afterwards is waited for as ever. While it is being
   * undone, that is what code waits for that the failure has left behind.
   */
  #interrupt(error: TerminalError): void {
    if (error.code === 'cancelled') this.isCancelled = true
    if (!this.#isCompensating) this.abortController.abort(error)
    if (this.outcome?.kind === 'broken' && this.mismatch === null && !this.#isCompensating) {
      // It was parked by what it threw, and waits for nothing: what it did until then is undone.
      this.outcome = null
      void this.#threw(error)
      return
    }
    const interrupted = [...this.#open.values()].filter(({ operation }) => !isCompensation(operation.id))
    for (const { operation } of interrupted) this.#open.delete(operation.id)
    this.#startedChildren.clear()
    for (const { reject } of interrupted) reject(error)
    for (const { operation, isRecorded: isAsked } of interrupted)
      if (operation.kind === 'child' && isAsked) this.#cancelChild(operation, error)
  }

  /** Whose parent this is goes along: the id may be that of somebody else's. */
  #cancelChild({ id: operation, to }: ChildOperation, { message: reason }: TerminalError): void {
    const { key, run } = this.start
    const id = this.nameOf('command', `cancel ${operation}`)
    const data = { reason, parent: { key, operation: addressOf(run, operation) } }
    void this.open({ kind: 'command', id, to, command: 'cancel', data, expectedRevision: null, outlivesRun: true })
  }

  #mismatch(operation: string): void {
    const error = new NonDeterminismError(operation, this.waiting, this.outcome)
    this.mismatch = error
    this.outcome = { kind: 'broken', error: failureOf(error), operation }
  }

  // ---- the code

  async #main(context: RunContext): Promise<void> {
    const { workflow, start } = this
    try {
      this.#end(returned(workflow, await workflow.run(context, handedOut(start.input))))
    } catch (error) {
      await this.#threw(error)
    }
  }

  async #threw(error: unknown): Promise<void> {
    if (error instanceof ContinueAsNew) return this.#end({ kind: 'continued', input: error.input })
    if (!isTerminalError(error)) return this.#end({ kind: 'broken', error: failureOf(error), operation: null })
    try {
      this.#isCompensating = true
      const failure = await compensate(this, this.#compensations, failureOf(error))
      this.#end({ kind: this.isCancelled && error.code === 'cancelled' ? 'cancelled' : 'failed', error: failure })
    } catch (second) {
      this.#end({ kind: 'broken', error: failureOf(second), operation: null })
    }
  }

  #end(outcome: RunOutcome): void {
    this.outcome ??= outcome
    this.wentOn()
  }

  #issue(issue: Issue): void {
    this.#issues.push(issue)
    this.wentOn()
  }
}
