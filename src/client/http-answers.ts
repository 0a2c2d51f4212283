import type { ClientEvent, ClientOutcome } from '../ipc/call-codec.ts'
import type { Durability } from '../ipc/client-protocol.ts'
import { CommanderError, type ErrorCode, errorCodes, isRefusal } from '../kernel/errors.ts'
import { isWorkflowType } from '../workflows/workflow-names.ts'
import type { HttpAnswer } from './http-requester.ts'

type Body = Readonly<Record<string, unknown>>

/** @throws CommanderError `protocol_violation` when the answer is no JSON */
export async function jsonOf(answer: HttpAnswer): Promise<unknown> {
  const text = await answer.text()
  try {
    return JSON.parse(text)
  } catch (error) {
    throw noJson(answer, error)
  }
}

function noJson({ status, header }: HttpAnswer, cause: unknown): CommanderError {
  const type = header('content-type') ?? 'no content type'
  const message = `the answer with status ${status} (${type}) is not JSON; does the URL lead to a CommanderDB?`
  return new CommanderError('protocol_violation', message, { cause })
}

/** @throws CommanderError what the answer says went wrong */
export async function bodyOrError(answer: HttpAnswer): Promise<unknown> {
  if (answer.status < 200 || answer.status > 299) throw await errorOf(answer)
  return jsonOf(answer)
}

const codeByStatus: Readonly<Record<number, ErrorCode>> = {
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not_found',
  408: 'timeout',
  413: 'payload_too_large',
  429: 'overloaded',
  502: 'connection_lost',
  503: 'not_ready',
  504: 'timeout',
}

/** The error that an answer stands for: problem details (RFC 9457), or what a proxy in between says. */
export async function errorOf(answer: HttpAnswer): Promise<CommanderError> {
  const { status } = answer
  const type = answer.header('content-type') ?? ''
  if (/^application\/(problem\+)?json\b/.test(type)) return problemOf(status, (await jsonOf(answer)) as Body)
  const code = codeByStatus[status] ?? 'protocol_violation'
  return new CommanderError(code, `the answer has status ${status} and is ${type || 'empty'}, from a proxy perhaps`)
}

function problemOf(status: number, { code, detail, retryable, details }: Body): CommanderError {
  const known = typeof code === 'string' && code in errorCodes ? (code as ErrorCode) : codeByStatus[status]
  return new CommanderError(known ?? 'protocol_violation', String(detail), {
    details,
    ...(typeof retryable === 'boolean' ? { retryable } : {}),
  })
}

export interface CallContext {
  readonly aggregate: { readonly type: string; readonly id: string }
  /** The caller's own idempotency key went with the call; one that was made for it has no earlier call. */
  readonly isKeyGiven: boolean
}

/** Others are errors, and so is what the database refused: a revision that does not match, a stream that is closed. */
const outcomeStatuses: ReadonlySet<number> = new Set([200, 202, 409, 422, 500])

/**
 * What became of a command.
 *
 * @throws CommanderError what the answer says went wrong; `revision_mismatch` is such
 */
export async function outcomeOf(answer: HttpAnswer, context: CallContext): Promise<ClientOutcome> {
  const { status } = answer
  if (!outcomeStatuses.has(status)) throw await errorOf(answer)
  const body = (await jsonOf(answer)) as Body
  const { id, lsn, outcome, durability } = body
  const duplicate = context.isKeyGiven && answer.header('idempotency-replayed') === 'true'
  const common = { id: String(id), lsn: Number(lsn), duplicate }
  const reached = durability as Durability
  switch (outcome) {
    case 'completed':
      return { outcome, ...common, durability: reached, events: eventsOf(body['events'], context) }
    case 'received':
      return { outcome, ...common, durability: reached }
    case 'rejected': {
      const { code, message, details } = body
      if (isRefusal(String(code), isWorkflowType(context.aggregate.type))) throw problemOf(status, body)
      return { outcome, ...common, code: String(code), message: String(message), details }
    }
    case 'parked':
    case 'skipped':
      return { outcome, ...common, message: String(body['message']) }
    default:
      throw problemOf(status, body)
  }
}

function eventsOf(events: unknown, { aggregate }: CallContext): ClientEvent[] {
  return (events as Omit<ClientEvent, 'aggregate'>[]).map((event) => ({ aggregate, ...event }))
}
