import { actionCodes, actionTypeOf } from '../actions/action-codes.ts'
import { aggregateTypeOf } from '../actions/aggregate-key.ts'
import { eventsOf, payloadOf } from '../actions/decode.ts'
import { isRemoved, keyOf, lsnOf, revisionOf, variantOf } from '../actions/entry-layout.ts'
import { durabilities } from '../ipc/client-protocol.ts'
import { unreachable } from '../kernel/assert.ts'
import { CommanderError, type ErrorCode, errorCodes, isRefusal } from '../kernel/errors.ts'
import { upcastEvent } from '../sdk/upcast-event.ts'
import { isWorkflowType } from '../workflows/workflow-names.ts'
import type { CallOutcome } from './call.ts'
import { statusOf } from './http-problem.ts'
import type { HttpExchange, HttpGateway } from './http-route.ts'
import type { CommandView } from './queries.ts'

export interface DecidedEvent {
  readonly type: string
  readonly data: unknown
  readonly revision: number
  readonly globalPosition: number
  readonly lsn: number
}

/** How a command came out, wherever that was learnt. */
export interface HttpOutcome {
  readonly id: string
  /** Entry that ended the command; of the command itself while it is only received. */
  readonly lsn: number
  readonly outcome: 'received' | 'completed' | 'rejected' | 'parked' | 'skipped'
  readonly durability: string
  readonly isDuplicate: boolean
  readonly events: readonly DecidedEvent[]
  readonly reason: { readonly code: string; readonly message: string; readonly details?: unknown } | null
}

/** Decodes at once: the bytes belong to whoever called. */
export function outcomeOf(gateway: HttpGateway, call: CallOutcome): HttpOutcome {
  const { commandLsn, endLsn, code, isDuplicate, offset: o } = call
  const b = call.entry ?? Buffer.alloc(0)
  const common = {
    id: String(commandLsn),
    lsn: endLsn,
    durability: durabilities[call.durability] ?? 'written',
    isDuplicate,
    events: [],
    reason: null,
  }
  switch (code) {
    case actionCodes['command/received']:
      return { ...common, outcome: 'received', lsn: commandLsn }
    case actionCodes['command/completed']:
      return { ...common, outcome: 'completed', events: decidedEvents(gateway, b, o, call.firstPosition) }
    case actionCodes['command/rejected']:
      return { ...common, outcome: 'rejected', reason: payloadOf(b, o) as { code: string; message: string } }
    case actionCodes['command/parked']: {
      const { message, attempts } = payloadOf(b, o) as { message: string; attempts: number }
      return { ...common, outcome: 'parked', reason: { code: 'command_parked', message, details: { attempts } } }
    }
    case actionCodes['command/skipped']: {
      const { reason } = payloadOf(b, o) as { reason: string }
      return { ...common, outcome: 'skipped', reason: { code: 'command_skipped', message: reason } }
    }
    default:
      throw new CommanderError('internal', `command ${commandLsn} ended with ${actionTypeOf(code) ?? code}`)
  }
}

function decidedEvents({ admission }: HttpGateway, b: Buffer, o: number, firstPosition: number): DecidedEvent[] {
  if (isRemoved(b, o)) return []
  const definition = admission.aggregate(aggregateTypeOf(keyOf(b, o)))
  const version = variantOf(b, o)
  const base = revisionOf(b, o)
  const lsn = lsnOf(b, o)
  return eventsOf(b, o).map((stored, i) => {
    const { type, data } = upcastEvent(definition, stored, version)
    return { type, data, revision: base + i + 1, globalPosition: firstPosition + i, lsn }
  })
}

/** Of a command that the store knows; null while it is pending. */
export function outcomeOfView(view: CommandView): HttpOutcome | null {
  if (view.status === 'pending') return null
  return {
    id: view.id,
    lsn: view.endLsn ?? view.lsn,
    outcome: view.status,
    durability: 'applied',
    isDuplicate: false,
    events: (view.events ?? []).map(({ type, data, revision, globalPosition, lsn }) => ({
      type,
      data,
      revision,
      globalPosition,
      lsn,
    })),
    reason: view.reason ?? null,
  }
}

export function answerOutcome(
  exchange: HttpExchange,
  result: HttpOutcome,
  headers: Record<string, string> = {},
  isOfWorkflow: boolean = isWorkflowType(exchange.params['type'] ?? ''),
): void {
  const { id, lsn, outcome, durability, events, isDuplicate } = result
  const all = isDuplicate ? { ...headers, 'idempotency-replayed': 'true' } : headers
  switch (outcome) {
    case 'received':
      return exchange.json(202, { id, lsn, outcome, durability }, { ...all, location: `/v1/commands/${id}` })
    case 'completed':
      return exchange.json(200, { id, lsn, outcome, durability, events }, all)
    case 'rejected':
    case 'parked':
    case 'skipped':
      return answerNo(exchange, result, all, isOfWorkflow)
    default:
      unreachable(outcome)
  }
}

/** 422: the application said no. 409, 410, 412: the database did. 500: the application failed. 409: a person said no. */
function answerNo(
  exchange: HttpExchange,
  result: HttpOutcome,
  headers: Record<string, string>,
  isOfWorkflow: boolean,
): void {
  const { id, lsn, outcome, durability, reason } = result
  const { code, message, details } = reason ?? { code: 'internal', message: '' }
  const isRefused = outcome === 'rejected' && isRefusal(code, isOfWorkflow)
  const kind = isRefused ? (code as ErrorCode) : (noCodes[outcome] ?? 'internal')
  const body = {
    type: kind === 'command_rejected' ? 'urn:commanderdb:rejection' : `urn:commanderdb:error:${kind}`,
    title: errorCodes[kind],
    status: isRefused ? statusOf[kind] : (noStatuses[outcome] ?? 500),
    detail: message,
    id,
    lsn,
    outcome,
    durability,
    code,
    message,
    retryable: false,
  }
  exchange.problem(details === undefined ? body : { ...body, details }, headers)
}

const noCodes: Readonly<Record<string, 'command_rejected' | 'command_parked' | 'command_skipped'>> = {
  rejected: 'command_rejected',
  parked: 'command_parked',
  skipped: 'command_skipped',
}

const noStatuses: Readonly<Record<string, number>> = { rejected: 422, parked: 500, skipped: 409 }
