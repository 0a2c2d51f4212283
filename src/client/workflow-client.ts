import type { ClientOutcome } from '../ipc/call-codec.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import type { AnyWorkflow } from '../sdk/workflow-types.ts'
import { handedOut, recordedOrThrow } from '../workflows/recorded-value.ts'
import { endOf, outputOf } from '../workflows/workflow-end.ts'
import { awakeablePlace, workflowType } from '../workflows/workflow-names.ts'
import type { WorkflowEnd, WorkflowSummary, WorkflowView } from '../workflows/workflow-view.ts'
import type { ExecuteOptions } from './options.ts'
import type {
  WorkflowCancelOptions,
  WorkflowHandle,
  WorkflowSendOptions,
  WorkflowStarted,
  WorkflowStartOptions,
  WorkflowWaitOptions,
} from './workflow-options.ts'

/** What a connection has for workflows, whatever it goes over. */
export interface WorkflowConnection {
  execute(
    aggregate: string,
    id: string,
    command: string,
    data?: unknown,
    options?: ExecuteOptions,
  ): Promise<ClientOutcome>
  /** Starts it, and waits for its end. */
  runWorkflow(
    name: string,
    id: string,
    input: unknown,
    options: WorkflowStartOptions & WorkflowWaitOptions,
  ): Promise<WorkflowEnd>
  workflowEnd(name: string, id: string, options: WorkflowWaitOptions): Promise<WorkflowEnd>
  workflowView(name: string, id: string): Promise<WorkflowView>
  workflowStatus(name: string, id: string): Promise<Pick<WorkflowSummary, 'status'>>
}

/** A workflow is an aggregate, and what is asked of it from outside are commands: this gives them their names. */
export class WorkflowClient implements WorkflowHandle<unknown, never> {
  readonly name: string
  readonly #connection: WorkflowConnection

  constructor(connection: WorkflowConnection, name: string) {
    this.name = name
    this.#connection = connection
  }

  async start(id: string, input: unknown, options: WorkflowStartOptions = {}): Promise<WorkflowStarted> {
    const isPutOff = options.delayMs !== undefined && options.delayMs > 0
    const outcome = await this.#send(
      id,
      'start',
      startData(input),
      isPutOff ? { ...options, wait: 'received' } : options,
    )
    if (outcome.outcome === 'received') return { id, status: 'pending', alreadyStarted: outcome.duplicate }
    const isNew = !outcome.duplicate && outcome.outcome === 'completed' && outcome.events.length > 0
    if (isNew) return { id, status: 'running', alreadyStarted: false }
    const { status } = await this.#connection.workflowStatus(this.name, id)
    return { id, status, alreadyStarted: true }
  }

  async execute(id: string, input: unknown, options: WorkflowStartOptions & WorkflowWaitOptions = {}): Promise<never> {
    return handedOut(outputOf(await this.#connection.runWorkflow(this.name, id, input, options))) as never
  }

  async result(id: string, options: WorkflowWaitOptions = {}): Promise<never> {
    return handedOut(outputOf(await this.#connection.workflowEnd(this.name, id, options))) as never
  }

  async get(id: string): Promise<WorkflowView> {
    const view = await this.#connection.workflowView(this.name, id)
    return { ...view, result: handedOut(view.result), progress: handedOut(view.progress) }
  }

  async signal(id: string, name: string, data: unknown = null, options: WorkflowSendOptions = {}): Promise<void> {
    await this.#send(id, 'signal', { name, data: recordedOrThrow(data, () => `the data of signal ${name}`) }, options)
  }

  async cancel(id: string, reason?: string, { force = false }: WorkflowCancelOptions = {}): Promise<void> {
    await this.#send(id, 'cancel', { ...(reason === undefined ? {} : { reason }), force })
  }

  async retry(id: string): Promise<void> {
    await this.#send(id, 'retry', {})
  }

  async #send(id: string, command: string, data: unknown, options: ExecuteOptions = {}): Promise<ClientOutcome> {
    return done(
      `${command} on workflow ${this.name}/${id}`,
      await this.#connection.execute(workflowType(this.name), id, command, data, options),
    )
  }
}

export const startData = (input: unknown): { readonly input: unknown } => ({
  input: recordedOrThrow(input, () => 'the input of the workflow'),
})

/** @param came what the workflow gets */
export async function answerAwakeable(
  connection: WorkflowConnection,
  awakeableId: string,
  came: { readonly value: unknown } | { readonly error: string },
): Promise<void> {
  const place = awakeablePlace(awakeableId)
  if (place === null) throw noAwakeable(awakeableId)
  const { operation, workflow } = place
  const answer = 'error' in came ? came : { value: recordedOrThrow(came.value, () => 'the value') }
  done(
    `answer to ${awakeableId}`,
    await connection.execute(workflow.type, workflow.id, 'resolve', { operation, ...answer }),
  )
}

export const noAwakeable = (awakeableId: string): CommanderError =>
  new CommanderError(
    'awakeable_unknown',
    `"${awakeableId}" is no callback of a workflow; send back the whole id that the workflow handed out, with the dot at its end`,
  )

export const workflowHandle = (connection: WorkflowConnection, definition: AnyWorkflow | string): WorkflowClient =>
  new WorkflowClient(connection, typeof definition === 'string' ? definition : definition.name)

/** What came of a call that waited for the end of a workflow: its ending entry. */
export function ended(name: string, id: string, outcome: ClientOutcome): WorkflowEnd {
  done(`start on workflow ${name}/${id}`, outcome)
  const events = outcome.outcome === 'completed' ? outcome.events : []
  const end = endOf({ type: workflowType(name), id }, events)
  if (end !== null) return end
  throw new CommanderError(
    'protocol_violation',
    `the gateway answered for ${name}/${id} with an entry that ends nothing`,
  )
}

export function notEnded(name: string, id: string, timeoutMs: number): CommanderError {
  const message = `workflow ${name}/${id} has not ended after ${timeoutMs} ms, and goes on: wait for its result again, for longer, or look at it with get`
  return new CommanderError('timeout', message, { details: { name, id, timeoutMs } })
}

/** Whether it says that a workflow was waited for, and has not ended in time. */
export const isNotEnded = (error: unknown): boolean =>
  isCommanderError(error) && error.code === 'timeout' && 'timeoutMs' in ((error.details ?? {}) as object)

/** Deciders of workflows reject with errors only, which the connection has thrown by now; others are for a person to see. */
export function done(what: string, outcome: ClientOutcome): ClientOutcome {
  const { id } = outcome
  switch (outcome.outcome) {
    case 'completed':
    case 'received':
      return outcome
    case 'rejected':
      throw new CommanderError('command_rejected', `${what} was rejected: ${outcome.message}`, {
        details: outcome.details,
      })
    default: {
      const message = `${what} was ${outcome.outcome}: ${outcome.message}; commanderdb command get ${id} tells more`
      throw new CommanderError(outcome.outcome === 'parked' ? 'command_parked' : 'command_skipped', message)
    }
  }
}
