import { isCommandRejected } from '../../../src/sdk/rejection.ts'
import type { AnyWorkflow } from '../../../src/sdk/workflow-types.ts'
import { turn } from '../../../src/testing/turn-adapter.ts'
import { advance, type Change } from '../../../src/workflows/advance.ts'
import { WorkflowExecution } from '../../../src/workflows/execution.ts'
import { noIsolation } from '../../../src/workflows/isolation.ts'
import type { RequestOperation } from '../../../src/workflows/operation.ts'
import { type WorkflowCommands, workflowDeciders } from '../../../src/workflows/workflow-decide.ts'
import type { EventOfType, WorkflowEvent } from '../../../src/workflows/workflow-events.ts'
import { evolveWorkflow, initialWorkflowState, type WorkflowState } from '../../../src/workflows/workflow-state.ts'

export const startMs = 1_700_000_000_000

type Commands = { readonly [Name in keyof WorkflowCommands]: WorkflowCommands[Name] }

/** What was true when code had settled and what it did was recorded. */
export interface Checkpoint {
  readonly revision: number
  readonly waiting: readonly string[]
  readonly outcome: string | null
  readonly nowMs: number
  /** Signals without a time limit that are waited for: by the history, and by the code. */
  readonly said: readonly string[]
  readonly awaited: readonly string[]
  /** What is awaited has had an entry to be said in. */
  readonly isSaid: boolean
}

/**
 * A workflow without a process around it: its history, its state, and its code, put together as the workflow runner does.
 * The test says what happens outside.
 */
export class WorkflowWorld {
  readonly workflow: AnyWorkflow
  readonly key: string
  state: WorkflowState = initialWorkflowState()
  readonly history: WorkflowEvent[] = []
  readonly messages: NonNullable<Change['message']>[] = []
  /** Requests that were to be carried out, by name. */
  readonly requests = new Map<string, RequestOperation>()
  readonly checkpoints: Checkpoint[] = []
  execution: WorkflowExecution | null = null
  nowMs = startMs
  readonly #newestVersion: number

  constructor(workflow: AnyWorkflow, { newestVersion = workflow.version } = {}) {
    this.workflow = workflow
    this.#newestVersion = newestVersion
    this.key = `workflow:${workflow.name}/1`
  }

  static async started(workflow: AnyWorkflow, input: unknown = null): Promise<WorkflowWorld> {
    const world = new WorkflowWorld(workflow)
    await world.command('start', { input })
    return world
  }

  get waiting(): readonly string[] {
    return this.execution?.waiting.map(({ id }) => id) ?? []
  }

  get types(): readonly string[] {
    return this.history.map(({ type }) => type)
  }

  /** The last event, which must be of this type. */
  last<Type extends WorkflowEvent['type']>(type: Type): EventOfType<Type>['data'] {
    const event = this.history.at(-1)
    if (event?.type !== type) throw new Error(`the last event is ${JSON.stringify(event)}`)
    return event.data as EventOfType<Type>['data']
  }

  /** @returns the code that it was rejected with, or null */
  async command<Name extends keyof Commands>(name: Name, data: Commands[Name], atMs?: number): Promise<string | null> {
    this.nowMs += 1
    const receivedAt = new Date(atMs ?? this.nowMs).toISOString()
    const context = {
      command: { id: '1', lsn: 1, type: name, receivedAt, metadata: {} },
      aggregate: { type: `workflow:${this.workflow.name}`, id: '1', revision: this.history.length },
      random: () => 0,
      uuid: () => '',
    }
    const decide = workflowDeciders(this.workflow)[name] as (...args: unknown[]) => WorkflowEvent[]
    let events: WorkflowEvent[]
    try {
      events = decide(data, this.state, context)
    } catch (error) {
      if (isCommandRejected(error)) return error.code
      throw error
    }
    for (const event of events) this.#record(event)
    // Code that was parked has left memory.
    if (this.execution === null && this.state.status === 'running' && name !== 'start') await this.restart()
    else for (const event of events) await this.#feed(event)
    await this.settle()
    return null
  }

  async complete(operation: string, result: unknown = null): Promise<void> {
    this.nowMs += 1
    await this.happen({ type: 'request/completed', data: { operation, result, atMs: this.nowMs } })
  }

  /** For good: thrown into the workflow. */
  async fail(operation: string, code: string): Promise<void> {
    this.nowMs += 1
    const error = { code, message: `${operation} failed` }
    const data = {
      operation,
      attempt: 1,
      error,
      atMs: this.nowMs,
      next: 'final',
      retryAtMs: null,
      isTimer: false,
    } as const
    await this.happen({ type: 'request/failed', data })
  }

  /** Lets the time come at which it is due. */
  async fire(operation: string): Promise<void> {
    const dueMs = operation === 'timeout' ? this.state.timeoutAtMs : this.state.operations[operation]?.dueMs
    if (dueMs == null) throw new Error(`${operation} is no timer; there are ${Object.keys(this.state.operations)}`)
    this.nowMs = Math.max(this.nowMs, dueMs)
    await this.command('timer', { operation, dueMs })
  }

  async happen(event: WorkflowEvent): Promise<void> {
    this.#record(event)
    await this.#feed(event)
    await this.settle()
  }

  /** Has a history that somebody else has written; its code is not in memory. */
  know(history: readonly WorkflowEvent[]): void {
    for (const event of history) this.#record(event)
  }

  /** The code leaves memory, and runs again from its history. */
  async restart(workflow: AnyWorkflow = this.workflow): Promise<void> {
    this.execution = await replayed(workflow, this.key, this.state, this.history.slice(this.state.runRevision - 1))
    await this.settle()
  }

  /** What code has come to becomes history. */
  async settle(): Promise<void> {
    await turn()
    const { execution } = this
    if (execution === null || this.state.status !== 'running') return
    execution.isLive = true
    this.nowMs += 1
    // As the runner does: at rest it writes an entry even if there is nothing to say.
    const isAtRest = !Object.values(this.state.operations).some(({ kind }) => kind === 'request')
    const step = advance(execution, this.state, this.nowMs, this.#newestVersion, isAtRest)
    for (const { event, message } of step.changes) {
      this.#record(event)
      if (message !== undefined) this.messages.push(message)
    }
    for (const request of step.requests) this.requests.set(request.id, request)
    this.#note(execution, isAtRest || step.changes.length > 0)
    const last = step.changes.at(-1)?.event
    if (this.state.status !== 'running') this.execution = null
    if (last?.type !== 'workflow/continued') return
    await this.#feed(last)
    await this.settle()
  }

  #note({ waiting, outcome, nowMs }: WorkflowExecution, isSaid: boolean): void {
    const ids = waiting.map(({ id }) => id)
    const { operations } = this.state
    const said = Object.keys(operations).filter((id) => operations[id]?.kind === 'signal')
    const awaited = waiting.flatMap((one) => (one.kind === 'signal' && one.dueMs === null ? [one.id] : []))
    const revision = this.history.length
    this.checkpoints.push({ revision, waiting: ids, outcome: outcome?.kind ?? null, nowMs, said, awaited, isSaid })
  }

  #record(event: WorkflowEvent): void {
    const revision = this.history.push(event)
    const evolve = evolveWorkflow[event.type] as (state: WorkflowState, data: unknown, event: object) => WorkflowState
    this.state = evolve(this.state, event.data, { type: event.type, revision })
  }

  async #feed(event: WorkflowEvent): Promise<void> {
    if (event.type === 'workflow/started' || event.type === 'workflow/continued')
      this.execution = await replayed(this.workflow, this.key, this.state, [event])
    else this.execution?.feed(event)
    await turn()
  }
}

/** Code that was fed with a history, as after a crash. */
export async function replayed(
  workflow: AnyWorkflow,
  key: string,
  { run, patches }: Pick<WorkflowState, 'run' | 'patches'>,
  history: readonly WorkflowEvent[],
): Promise<WorkflowExecution> {
  const [first, ...rest] = history
  if (first?.type !== 'workflow/started' && first?.type !== 'workflow/continued')
    throw new Error('it begins with a start')
  const { input, version, atMs } = first.data
  const start = { key, id: '1', run, input, version, atMs, patches: [...patches], isReplayed: rest.length > 0 }
  const execution = new WorkflowExecution(workflow, start, noIsolation)
  execution.begin()
  await turn()
  for (const event of rest) {
    if (event === rest.at(-1)) execution.isLive = true
    execution.feed(event)
    await turn()
  }
  return execution
}
