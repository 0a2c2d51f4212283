import type { StartedWorkflowStatus, WorkflowSummary, WorkflowView } from '../workflows/workflow-view.ts'

export type {
  StartedWorkflowStatus,
  WorkflowEnd,
  WorkflowRequestView,
  WorkflowSummary,
  WorkflowView,
  WorkflowWaiting,
} from '../workflows/workflow-view.ts'

/** When a command may be started, or a workflow. */
export interface QueueingOptions {
  /** Before those of a lower one that wait in the same partition of its queue: 0 (default) to 9. Only where it has a queue. */
  readonly priority?: number
  /**
   * Not before so long after it was received, in milliseconds: 0 (default) to 31,622,400,000, a year. It is pending until
   * then, and holds back what comes behind it on its aggregate.
   */
  readonly delayMs?: number
}

export interface WorkflowSendOptions {
  /** The same key with the same call takes effect once. 1 to 256 bytes. */
  readonly idempotencyKey?: string
}

export interface WorkflowStartOptions extends WorkflowSendOptions, QueueingOptions {}

export interface WorkflowWaitOptions {
  /** How long to wait for the end, in milliseconds; then `timeout`, and the workflow goes on. Default: that of the connection. */
  readonly timeoutMs?: number
}

/** What became of a start. */
export interface WorkflowStarted {
  readonly id: string
  /** pending: it was put off by `delayMs`, and is durable. */
  readonly status: StartedWorkflowStatus | 'pending'
  /** It had been started with the same input before. Of one that is pending only a call with the same key is known. */
  readonly alreadyStarted: boolean
}

export interface WorkflowCancelOptions {
  /** End it at once: nothing is undone. Default: it is told, undoes what it did, and ends. */
  readonly force?: boolean
}

export interface WorkflowsOptions {
  /** Name of the workflow. Default: those of all names, also of such as no application defines any more. */
  readonly name?: string
  readonly status?: StartedWorkflowStatus
  /** Default and most: 10,000. */
  readonly limit?: number
  /** Go on after the workflow with this id; without `name` after `name/id`. */
  readonly after?: string
  /** Say of those that are running what they wait for; each has to be looked at. Default false. */
  readonly waiting?: boolean
}

/**
 * All workflows of one definition, by their ids.
 *
 * @example
 * const orders = db.workflow(order)
 * const { parcel } = await orders.execute('17', { item: 'a book', amountCents: 1500 })
 */
export interface WorkflowHandle<Input, Output> {
  readonly name: string
  /**
   * Starts a workflow; resolves when that is durable. Again with the same id and input it is the same workflow. With
   * `delayMs` it resolves before it is started: that its id is taken by then by one with other input is not told.
   * @throws CommanderError `unknown_workflow`, `workflow_conflict` with other input, `schema_violation`,
   * `payload_too_large`, `invalid_input`, `idempotency_conflict`, `stream_deleted`, `overloaded`, `not_ready`, `timeout`
   */
  start(id: string, input: Input, options?: WorkflowStartOptions): Promise<WorkflowStarted>
  /**
   * Starts a workflow and waits for its output.
   * @throws CommanderError as `start` and `result`
   */
  execute(id: string, input: Input, options?: WorkflowStartOptions & WorkflowWaitOptions): Promise<Output>
  /**
   * Waits for the output of a workflow that was started.
   * @throws CommanderError `workflow_failed`, `workflow_cancelled` or `workflow_parked` with the recorded error as
   * details; `workflow_unknown`, `unknown_workflow`, `stream_deleted`, `timeout`
   */
  result(id: string, options?: WorkflowWaitOptions): Promise<Output>
  /** @throws CommanderError `workflow_unknown`, `unknown_workflow`, `stream_deleted` */
  get(id: string): Promise<WorkflowView>
  /** Resolves when the signal is durable. @throws CommanderError `workflow_unknown`, `workflow_ended` */
  signal(id: string, name: string, data?: unknown, options?: WorkflowSendOptions): Promise<void>
  /**
   * Tells a workflow to undo what it did, and to end; with `force` it ends at once. Resolves when that is durable.
   * @throws CommanderError `workflow_unknown`, `workflow_ended`
   */
  cancel(id: string, reason?: string, options?: WorkflowCancelOptions): Promise<void>
  /** Has a parked workflow go on. @throws CommanderError `workflow_unknown`, `workflow_not_parked` */
  retry(id: string): Promise<void>
}

/** What a connection can do with workflows. */
export interface Workflows {
  workflows(options: WorkflowsOptions): Promise<readonly WorkflowSummary[]>
  /** Answers the workflow that made this callback. @throws CommanderError `awakeable_unknown`, `workflow_ended` */
  resolveAwakeable(awakeableId: string, value?: unknown): Promise<void>
  /** As `resolveAwakeable`, but that the workflow gets a `TerminalError` with the code `awakeable_rejected`. */
  rejectAwakeable(awakeableId: string, message: string): Promise<void>
}
