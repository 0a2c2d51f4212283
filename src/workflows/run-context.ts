import type { AggregateReference } from '../actions/action.ts'
import { CommanderError } from '../kernel/errors.ts'
import { hash32 } from '../kernel/hash.ts'
import { SeededNumbers } from '../kernel/seeded-numbers.ts'
import type { AnyAggregate } from '../sdk/aggregate-types.ts'
import { describe } from '../sdk/definition.ts'
import type { AnyQueue } from '../sdk/queue.ts'
import { requestPolicyOf } from '../sdk/workflow.ts'
import type {
  AnyWorkflow,
  Awakeable,
  ChildHandle,
  Effect,
  RequestOptions,
  WorkflowCommandOptions,
  WorkflowCommandOutcome,
  WorkflowContext,
} from '../sdk/workflow-types.ts'
import type { Compensation } from './compensation.ts'
import { ContinueAsNew } from './continue-as-new.ts'
import type { Operation, OperationNameKind, SignalOperation } from './operation.ts'
import { partitionOf } from './partition.ts'
import { recordedOrThrow } from './recorded-value.ts'
import type { RunStart } from './run-start.ts'
import { awakeableId, isWorkflowType, workflowNameOf, workflowType } from './workflow-names.ts'

const nameLengthMax = 128

/** The run that the code belongs to. */
export interface RunHost {
  readonly workflow: AnyWorkflow
  readonly start: RunStart
  readonly nowMs: number
  readonly isCancelled: boolean
  readonly abortController: AbortController
  /** The name of the next operation of a kind. */
  nameOf(kind: OperationNameKind, name: string): string
  /** Resolves when the history says that the operation has ended. */
  open<Result>(operation: Operation): Promise<Result>
  waitForSignal(operation: SignalOperation): Promise<unknown>
  /** Resolves when the child of the operation is started. */
  childStarted(operation: string): Promise<void>
  compensateBy(compensation: Compensation): void
  setStatus(value: unknown): void
  patched(id: string): boolean
}

/** What the code of a workflow is given. Every call is an operation of its execution. */
export class RunContext implements WorkflowContext {
  readonly workflow: WorkflowContext['workflow']
  readonly #execution: RunHost
  readonly #numbers: SeededNumbers

  constructor(execution: RunHost) {
    this.#execution = execution
    const { workflow, start } = execution
    this.workflow = { name: workflow.name, id: start.id, version: start.version, run: start.run }
    this.#numbers = new SeededNumbers(hash32(`${start.key} ${start.run} ${start.atMs}`) || 1)
  }

  async request<Result>(name: string, effect: Effect<Result>, options?: RequestOptions<Result>): Promise<Result> {
    const execution = this.#execution
    assertOperationName('request', name)
    if (typeof effect !== 'function')
      throw new CommanderError('invalid_module', `request "${name}": the effect must be a function`)
    const policy = requestPolicyOf(options, execution.workflow, name)
    const id = execution.nameOf('request', name)
    const result = await execution.open<Result>({ kind: 'request', id, effect, policy })
    const compensate = options?.compensate
    if (compensate !== undefined)
      execution.compensateBy({ name, effect: (context) => compensate(result, context), policy })
    return result
  }

  async command(
    aggregate: Pick<AnyAggregate, 'name' | 'queues'> | string,
    id: string,
    command: string,
    data?: unknown,
    { expectedRevision, compensate }: WorkflowCommandOptions = {},
  ): Promise<WorkflowCommandOutcome> {
    const type = typeof aggregate === 'string' ? aggregate : aggregate.name
    const to = { type, id }
    const sent = recordedOrThrow(data, () => `the data of command ${command} on ${type}/${id}`)
    const undoing =
      compensate === undefined
        ? null
        : recordedOrThrow(compensate.data, () => `the data of command ${compensate.command} on ${type}/${id}`)
    const name = this.#execution.nameOf('command', `${command} ${type}/${id}`)
    const outcome = await this.#execution.open<WorkflowCommandOutcome>({
      kind: 'command',
      id: name,
      to,
      command,
      data: sent,
      expectedRevision: expectedRevision ?? null,
      ...partitionIn(typeof aggregate === 'string' ? undefined : aggregate.queues?.[command], sent, to),
    })
    if (compensate !== undefined && outcome.outcome === 'completed')
      this.#execution.compensateBy({ to, command: compensate.command, data: undoing })
    return outcome
  }

  sleep(ms: number): Promise<void> {
    if (typeof ms !== 'number')
      throw invalid(`sleep takes a number of milliseconds, 0 or more, and not ${describe(ms)}`)
    if (!(ms >= 0)) throw invalid(`sleep(${ms}): milliseconds must be 0 or more`)
    return this.#sleepUntil(this.#execution.nowMs + ms, false)
  }

  sleepUntil(date: Date | string): Promise<void> {
    const dueMs = new Date(date).getTime()
    if (Number.isNaN(dueMs)) throw invalid(`sleepUntil(${String(date)}): this is no time`)
    return this.#sleepUntil(dueMs, true)
  }

  #sleepUntil(dueMs: number, isAbsolute: boolean): Promise<void> {
    const id = this.#execution.nameOf('timer', 'sleep')
    const atMs = Math.max(0, Math.ceil(Math.min(dueMs, Number.MAX_SAFE_INTEGER)))
    return this.#execution.open({ kind: 'timer', id, dueMs: atMs, isAbsolute })
  }

  signal<Data = unknown>(name: string, { timeoutMs }: { readonly timeoutMs?: number } = {}): Promise<Data> {
    assertOperationName('signal', name)
    const execution = this.#execution
    const dueMs = timeoutMs === undefined ? null : Math.ceil(execution.nowMs + timeoutMs)
    const id = execution.nameOf('signal', name)
    return execution.waitForSignal({ kind: 'signal', id, name, dueMs }) as Promise<Data>
  }

  awakeable<Value = unknown>(): Awakeable<Value> {
    const execution = this.#execution
    const operation = execution.nameOf('awakeable', 'callback')
    const value = execution.open<Value>({ kind: 'awakeable', id: operation })
    const { key, run } = execution.start
    return { id: awakeableId(key, run, operation), value }
  }

  async startChild(workflow: AnyWorkflow, id: string, input: unknown): Promise<ChildHandle<never>> {
    const execution = this.#execution
    const type = workflowType(workflow.name)
    const sent = recordedOrThrow(input, () => `the input of workflow ${workflow.name}/${id}`)
    const operation = execution.nameOf('child', `${workflow.name}/${id}`)
    const to = { type, id }
    const partition = partitionIn(workflow.queue, sent, to)
    const result = execution.open<never>({ kind: 'child', id: operation, to, input: sent, ...partition })
    await Promise.race([execution.childStarted(operation), result])
    const send = async (command: string, data: unknown): Promise<void> => {
      await this.command(type, id, command, data)
    }
    return {
      id,
      result: () => result,
      signal: (name, data) => send('signal', { name, data }),
      cancel: (reason) => send('cancel', reason === undefined ? {} : { reason }),
    }
  }

  async executeChild(workflow: AnyWorkflow, id: string, input: unknown): Promise<never> {
    const child = await this.startChild(workflow, id, input)
    return child.result()
  }

  all<T extends readonly unknown[] | []>(values: T): Promise<{ -readonly [P in keyof T]: Awaited<T[P]> }> {
    return Promise.all(values)
  }

  race<T extends readonly unknown[] | []>(values: T): Promise<Awaited<T[number]>> {
    return Promise.race(values)
  }

  any<T extends readonly unknown[] | []>(values: T): Promise<Awaited<T[number]>> {
    return Promise.any(values)
  }

  now(): number {
    return this.#execution.nowMs
  }

  random(): number {
    return this.#numbers.fraction()
  }

  uuid(): string {
    return this.#numbers.uuid()
  }

  setStatus(value: unknown): void {
    this.#execution.setStatus(recordedOrThrow(value, () => 'what setStatus was given'))
  }

  get isCancelled(): boolean {
    return this.#execution.isCancelled
  }

  get abortSignal(): AbortSignal {
    return this.#execution.abortController.signal
  }

  patched(id: string): boolean {
    assertOperationName('patch', id)
    return this.#execution.patched(id)
  }

  continueAsNew(input: unknown): never {
    throw new ContinueAsNew(recordedOrThrow(input, () => 'the input of continueAsNew'))
  }
}

function partitionIn(
  queue: AnyQueue | undefined,
  data: unknown,
  { type, id }: AggregateReference,
): { partition?: string } {
  if (queue === undefined) return {}
  const subject = isWorkflowType(type) ? `workflow ${workflowNameOf(type)}/${id}` : `${type}/${id}`
  return { partition: partitionOf(queue, data, id, subject) }
}

function assertOperationName(kind: string, name: unknown): void {
  if (typeof name === 'string' && name.length >= 1 && name.length <= nameLengthMax) return
  throw invalid(`the name of a ${kind} is ${JSON.stringify(name)}, but must have 1 to ${nameLengthMax} characters`)
}

const invalid = (message: string): CommanderError => new CommanderError('invalid_input', message)
