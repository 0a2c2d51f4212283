import type { Action } from '../actions/action.ts'
import { actionTypeOf } from '../actions/action-codes.ts'
import { CommanderError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import { whenApplied } from './http-apply-wait.ts'
import type { CommandWaits } from './http-command-waits.ts'
import { httpLimits } from './http-limits.ts'
import type { HttpReplier } from './http-replier.ts'
import type { HttpContext, HttpExchange, HttpRoute } from './http-route.ts'
import { commandList, integer, json, object, problem, text } from './http-schemas.ts'
import type { CommandView } from './queries.ts'

const idParam = { id: text('Id of the command, as its answer gave it') }
const operated = (description: string): HttpRoute['answers'] => ({
  200: json(
    description,
    object({ id: text('Id of the command'), lsn: integer('Entry that says so'), outcome: text('retried or skipped') }),
  ),
  400: problem('The command is not parked'),
  404: problem('No such command'),
})

/** What became of commands, and what a person does about those that were parked. */
export function operationRoutes(context: HttpContext, replier: HttpReplier, waits: CommandWaits): HttpRoute[] {
  return [
    {
      method: 'GET',
      path: '/v1/commands/{id}',
      operation: 'getCommand',
      summary: 'What is known of a command',
      scopes: ['read', 'send'],
      params: idParam,
      query: {
        wait: { type: 'number', minimum: 0, description: 'Seconds to wait for its end, at most 60; default 0' },
      },
      answers: { 200: json('The command', 'Command'), 404: problem('No such command') },
      handle: (exchange) => getCommand(waits, exchange),
    },
    {
      method: 'GET',
      path: '/v1/commands',
      operation: 'listCommands',
      summary: 'Parked or pending commands, oldest first',
      scopes: ['read', 'operate'],
      query: {
        state: { enum: ['parked', 'pending'], description: 'Which' },
        after: integer('Go on after the command with this id; default 0: from the first'),
        limit: integer(`At most this many; default ${httpLimits.pageItemsDefault}, most ${limits.pageEventsMax}`, 1),
      },
      requiredQuery: ['state'],
      answers: { 200: json('The commands', object({ commands: commandList })) },
      handle: (exchange) => {
        const limit = (exchange.query['limit'] as number | undefined) ?? httpLimits.pageItemsDefault
        whenApplied(context, exchange, {}, () => {
          const after = exchange.query['after'] as number | undefined
          const commands = context.queries.commands(exchange.query['state'] as 'parked' | 'pending', limit, after)
          exchange.json(200, { commands: commands.map(withOutcome) })
        })
      },
    },
    {
      method: 'POST',
      path: '/v1/commands/{id}:retry',
      operation: 'retryCommand',
      summary: 'Put a parked command back: it is decided again',
      scopes: ['operate'],
      params: idParam,
      answers: { ...operated('It is pending again, and that is flushed'), 410: problem('Its stream was deleted') },
      handle: (exchange) => {
        operate(context, replier, exchange, (id) => ({ type: 'command/retried', ...context.queries.retryable(id) }))
      },
    },
    {
      method: 'POST',
      path: '/v1/commands/{id}:skip',
      operation: 'skipCommand',
      summary: 'Give a parked command up for good',
      scopes: ['operate'],
      params: idParam,
      body: object({ 'reason?': text('Kept with the command') }),
      answers: operated('It is given up, and that is flushed'),
      handle: (exchange) => {
        const reason = reasonOf(exchange.body)
        operate(context, replier, exchange, (id) => context.queries.skippable(id, reason))
      },
    },
  ]
}

function getCommand(waits: CommandWaits, exchange: HttpExchange): void {
  const waitSeconds = (exchange.query['wait'] as number | undefined) ?? 0
  const waitMs = Math.min(waitSeconds * 1000, httpLimits.waitMsMax)
  waits.wait(exchange.params['id'] as string, waitMs, exchange, (view) => exchange.json(200, withOutcome(view)))
}

const withOutcome = (view: CommandView): object =>
  view.status === 'pending' ? view : { ...view, outcome: view.status }

type Operation = Extract<Action, { type: 'command/retried' | 'command/skipped' }>

function operate(
  context: HttpContext,
  replier: HttpReplier,
  exchange: HttpExchange,
  actionOn: (id: string) => Operation,
): void {
  const id = exchange.params['id'] as string
  whenApplied(context, exchange, {}, () => {
    const action = actionOn(id)
    const request = replier.expect(exchange, ({ endLsn, code }) => {
      exchange.json(200, { id, lsn: endLsn, outcome: actionTypeOf(code)?.replace('command/', '') })
    })
    context.gateway.operate(replier, request, action)
  })
}

function reasonOf(body: unknown): string {
  if (body === undefined || body === null) return 'skipped over HTTP'
  const reason = (body as { readonly reason?: unknown }).reason ?? ''
  const isObject = typeof body === 'object' && !Array.isArray(body)
  if (isObject && typeof reason === 'string' && Buffer.byteLength(reason) <= limits.metadataBytesMax) return reason
  const message = `the body must be { "reason": "…" }, with at most ${limits.metadataBytesMax} bytes, or empty`
  throw new CommanderError('invalid_input', message)
}
