import type { ReplyAddress } from '../actions/action.ts'
import { pack } from '../actions/message-pack.ts'
import { digest16 } from '../kernel/checksum.ts'
import type { CommandContext } from '../sdk/aggregate-types.ts'
import { CommandRejected } from '../sdk/rejection.ts'
import { TerminalError } from '../sdk/workflow-errors.ts'
import type { AnyWorkflow, WorkflowCommandOutcome } from '../sdk/workflow-types.ts'
import { type Failure, failureOf } from './failure.ts'
import type { WorkflowEvent } from './workflow-events.ts'
import { operationAt, workflowNameOf } from './workflow-names.ts'
import { hasEnded, interruptedTimers, pendingTimers, timeoutOperation, type WorkflowState } from './workflow-state.ts'

/** What comes to a workflow from outside, as commands on its aggregate. */
export interface WorkflowCommands {
  readonly start: { readonly input: unknown; readonly parent?: ReplyAddress }
  readonly signal: { readonly name: string; readonly data?: unknown }
  /** `parent`: only if that has started it. */
  readonly cancel: { readonly reason?: string; readonly force?: boolean; readonly parent?: ReplyAddress }
  readonly retry: Record<string, never>
  readonly resolve: { readonly operation: string; readonly value?: unknown; readonly error?: string }
  readonly timer: { readonly operation: string; readonly dueMs: number }
  readonly commandEnded: {
    readonly operation: string
    readonly command: number
    readonly outcome: 'completed' | 'rejected' | 'skipped'
    readonly events?: readonly { readonly type: string; readonly data: unknown }[]
    readonly code?: string
    readonly message?: string
    readonly details?: unknown
  }
  readonly childEnded: {
    readonly operation: string
    readonly child: string
    readonly result?: unknown
    readonly error?: Failure
  }
  readonly park: { readonly message: string }
}

/** `nowMs`: when it is decided, by the clock; without it the time at which the command was received counts. */
type WorkflowCommandContext = CommandContext & { readonly nowMs?: number }

type Decide<Data> = (data: Data, state: WorkflowState, context: WorkflowCommandContext) => WorkflowEvent[]

type Deciders = { readonly [Command in keyof WorkflowCommands]: Decide<WorkflowCommands[Command]> }

const nothing: WorkflowEvent[] = []

/** Not before it was received, if a clock says so. */
const happenedMs = ({ command, nowMs = 0 }: WorkflowCommandContext): number =>
  Math.max(Date.parse(command.receivedAt), nowMs)

export const inputDigest = (input: unknown): string => digest16(pack(input)).toString('hex')

/** The commands on a workflow's aggregate, decided on its state alone: no user code runs here. */
export const workflowDeciders = (workflow: AnyWorkflow): Deciders => ({
  start: ({ input, parent }, state, context) => {
    const digest = inputDigest(input)
    if (state.status !== 'none') {
      // Its parent asks again only after a restart of everything, and its own message is forwarded once.
      if (digest === state.digest && parent === undefined) return nothing
      const what = digest === state.digest ? 'by somebody else' : 'with other input'
      throw new CommandRejected(
        'workflow_conflict',
        `workflow ${workflow.name}/${context.aggregate.id} was started before ${what}; use another id`,
        { status: state.status },
      )
    }
    const atMs = happenedMs(context)
    const timeoutAtMs = workflow.timeoutMs === null ? null : atMs + workflow.timeoutMs
    const { version } = workflow
    return [{ type: 'workflow/started', data: { input, digest, version, atMs, timeoutAtMs, parent: parent ?? null } }]
  },
  signal: ({ name, data }, state, context) => {
    assertUnderWay(state, context)
    return [{ type: 'signal/received', data: { name, data: data ?? null, atMs: happenedMs(context) } }]
  },
  cancel: ({ reason = 'cancelled from outside', force = false, parent }, state, context) => {
    // Whose child it is cancels it unseen: it may have ended meanwhile, or be somebody else's.
    if (parent !== undefined && (hasEnded(state) || !isSameAddress(parent, state.parent))) return nothing
    assertUnderWay(state, context)
    const atMs = happenedMs(context)
    const error = failureOf(new TerminalError('cancelled', reason))
    if (force) return [{ type: 'workflow/cancelled', data: { error, atMs, timers: pendingTimers(state) } }]
    if (state.isCancelled && state.status === 'running') return nothing
    return [{ type: 'workflow/cancel-requested', data: { reason, atMs, timers: interruptedTimers(state) } }]
  },
  retry: (_, state, context) => {
    if (state.status === 'parked') return [{ type: 'workflow/retried', data: { atMs: happenedMs(context) } }]
    if (state.status === 'none') throw unknownWorkflow(context)
    const message = `workflow ${nameOf(context)} is ${state.status}; only a parked one can be retried`
    throw new CommandRejected('workflow_not_parked', message, { status: state.status })
  },
  resolve: ({ operation: address, value, error }, state, context) => {
    assertUnderWay(state, context)
    const operation = operationAt(address, state.run)
    if (operation === null || state.operations[operation]?.kind !== 'awakeable') {
      const message = `workflow ${nameOf(context)} does not wait for "${address}": it was resolved before, or never asked for`
      throw new CommandRejected('awakeable_unknown', message, { operation: address })
    }
    const atMs = happenedMs(context)
    const came =
      error === undefined ? { value: value ?? null } : { error: { code: 'awakeable_rejected', message: error } }
    return [{ type: 'awakeable/resolved', data: { operation, ...came, atMs } }]
  },
  timer: ({ operation, dueMs }, state, context) => {
    const isDue =
      operation === timeoutOperation ? state.timeoutAtMs === dueMs : state.operations[operation]?.dueMs === dueMs
    if (!isDue || hasEnded(state)) return nothing
    const dropped = operation === timeoutOperation ? { timers: interruptedTimers(state) } : {}
    return [{ type: 'timer/fired', data: { operation, dueMs, atMs: happenedMs(context), ...dropped } }]
  },
  commandEnded: (ended, state, context) => {
    const operation = operationAt(ended.operation, state.run)
    if (hasEnded(state) || operation === null) return nothing
    const pending = state.operations[operation]
    const atMs = happenedMs(context)
    if (pending?.kind === 'command')
      return [{ type: 'command/ended', data: { operation, outcome: outcomeOf(ended), atMs } }]
    if (pending?.kind !== 'child') return nothing
    if (ended.outcome === 'completed') return [{ type: 'child/started', data: { operation, atMs } }]
    const error = { code: 'conflict', message: ended.message ?? 'the child was not started' }
    return [{ type: 'child/ended', data: { operation, error, atMs } }]
  },
  childEnded: ({ operation: address, child, result, error }, state, context) => {
    const operation = operationAt(address, state.run)
    if (hasEnded(state) || operation === null || state.operations[operation]?.child !== child) return nothing
    const came = error === undefined ? { result } : { error }
    return [{ type: 'child/ended', data: { operation, ...came, atMs: happenedMs(context) } }]
  },
  park: ({ message }, state, context) => {
    if (state.status !== 'running') return nothing
    const error = { code: 'process_failed', message }
    return [{ type: 'workflow/parked', data: { atMs: happenedMs(context), error, operation: null } }]
  },
})

const isSameAddress = (a: ReplyAddress, b: ReplyAddress | null): boolean =>
  a.key === b?.key && a.operation === b.operation

function outcomeOf(ended: WorkflowCommands['commandEnded']): WorkflowCommandOutcome {
  const id = String(ended.command)
  const { code = '', message = '', details = null } = ended
  switch (ended.outcome) {
    case 'completed':
      return { outcome: 'completed', id, events: ended.events ?? [] }
    case 'rejected':
      return { outcome: 'rejected', id, code, message, details }
    default:
      return { outcome: 'skipped', id, message }
  }
}

const nameOf = ({ aggregate }: CommandContext): string => `${workflowNameOf(aggregate.type)}/${aggregate.id}`

const unknownWorkflow = (context: CommandContext): CommandRejected =>
  new CommandRejected('workflow_unknown', `there is no workflow ${nameOf(context)}; start it first`)

function assertUnderWay(state: WorkflowState, context: CommandContext): void {
  if (state.status === 'none') throw unknownWorkflow(context)
  if (!hasEnded(state)) return
  const message = `workflow ${nameOf(context)} has ended: it is ${state.status}, and takes nothing more; start another one under an id of its own`
  throw new CommandRejected('workflow_ended', message, { status: state.status })
}
