import { CommanderError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import { awakeablePlace, workflowType } from '../workflows/workflow-names.ts'
import { workflowStatuses } from '../workflows/workflow-view.ts'
import type { CallOutcome } from './call.ts'
import { commandDraft } from './http-command-draft.ts'
import { preferencesOf, queueingHeaders, queueingOf, waitOf } from './http-command-headers.ts'
import { httpLimits } from './http-limits.ts'
import { type Addressed, addressedAs } from './http-names.ts'
import { answerOutcome, outcomeOf } from './http-outcome.ts'
import type { HttpReplier } from './http-replier.ts'
import type { HttpContext, HttpExchange, HttpRoute } from './http-route.ts'
import { anything, integer, json, object, problem, text, workflowList } from './http-schemas.ts'
import { WorkflowAnswers, type WorkflowQuestion } from './http-workflow-answers.ts'
import type { HttpWorkflowWaits } from './http-workflow-waits.ts'

const params = {
  name: text('Name of the workflow'),
  id: text(`Id, 1 to ${limits.aggregateIdBytesMax} bytes of UTF-8; percent-encoded, "/" and ":" too`),
}
const key = { 'Idempotency-Key': text('The same key with the same call takes effect once. 1 to 256 bytes') }
const sent = (description: string): HttpRoute['answers'] => ({
  200: json(description, 'Completed'),
  400: problem('The body, the id or a header is wrong'),
  404: problem('Unknown workflow, or no workflow with this id was started'),
  409: problem('The workflow has ended, or the idempotency key was used with another call'),
  410: problem('Its history was deleted'),
})

/** Workflows: start them, look at them, and send them what they wait for. */
export function workflowRoutes(context: HttpContext, replier: HttpReplier, waits: HttpWorkflowWaits): HttpRoute[] {
  const desk = new WorkflowDesk(context, replier, waits)
  return [...startAndRead(context, desk), ...commands(desk), ...callbacks(desk)]
}

function startAndRead(context: HttpContext, desk: WorkflowDesk): HttpRoute[] {
  return [
    {
      method: 'POST',
      path: '/v1/workflows/{name}/{id}',
      operation: 'startWorkflow',
      summary: 'Start a workflow',
      description:
        'Again with the same id and input it is the same workflow. Answers when the start is durable, or, with ' +
        '`Prefer: wait`, when the workflow has ended. One that is put off, or waits its turn, is `pending`.',
      scopes: ['send'],
      params,
      headers: {
        ...key,
        ...queueingHeaders,
        Prefer: text(
          'wait=<seconds>: answer when it has ended, or 202 when it takes longer; return=minimal: only status, result and error',
        ),
      },
      body: anything('The input'),
      answers: {
        200: json('It has ended', 'Workflow'),
        202: { ...json('It has not ended; ask at Location', 'Workflow'), headers: { Location: text('Where to ask') } },
        400: problem('The input, the id or a header is wrong'),
        404: problem('Unknown workflow'),
        409: problem('It was started before with other input, or the idempotency key was used with another call'),
        410: problem('Its history was deleted'),
        413: problem('The input is too large'),
        504: problem('No answer in time; ask again: it is started once'),
      },
      handle: (exchange) => desk.start(exchange),
    },
    {
      method: 'GET',
      path: '/v1/workflows/{name}/{id}',
      operation: 'getWorkflow',
      summary: 'What is known of a workflow',
      scopes: ['read', 'send'],
      params,
      query: {
        wait: { type: 'number', minimum: 0, description: 'Seconds to wait for its end, at most 60; default 0' },
      },
      headers: { Prefer: text('return=minimal: only how far it is, and with `wait` how it ended') },
      answers: {
        200: json('The workflow', 'Workflow'),
        404: problem('Unknown workflow, or no workflow with this id was started'),
        410: problem('Its history was deleted'),
      },
      handle: (exchange) => desk.get(exchange),
    },
    {
      method: 'GET',
      path: '/v1/workflows/{name}',
      operation: 'listWorkflows',
      summary: 'Workflows of one name, by their ids',
      scopes: ['read', 'operate'],
      params: { name: params.name },
      query: { ...listQuery, after: text('Go on after the workflow with this id') },
      answers: { 200: json('The workflows', object({ workflows: workflowList })), 404: problem('Unknown workflow') },
      handle: (exchange) => listed(context, exchange),
    },
    {
      method: 'GET',
      path: '/v1/workflows',
      operation: 'listAllWorkflows',
      summary: 'Workflows of all names, by those and their ids',
      scopes: ['read', 'operate'],
      query: { ...listQuery, after: text('Go on after this workflow, as order/17') },
      answers: { 200: json('The workflows', object({ workflows: workflowList })) },
      handle: (exchange) => listed(context, exchange),
    },
  ]
}

const listQuery = {
  status: { enum: workflowStatuses, description: 'Only those' },
  waiting: { enum: ['true', 'false'], description: 'true: say what those wait for that are running' },
  limit: integer(`At most this many; default ${httpLimits.pageItemsDefault}, most ${limits.pageEventsMax}`, 1),
}

function commands(desk: WorkflowDesk): HttpRoute[] {
  return [
    {
      method: 'POST',
      path: '/v1/workflows/{name}/{id}:signal',
      operation: 'signalWorkflow',
      summary: 'Send a signal to a workflow',
      scopes: ['send'],
      params,
      headers: key,
      body: object({ name: text('Name of the signal'), 'data?': anything('What goes with it') }),
      answers: sent('It is durable'),
      handle: (exchange) => {
        const { name, data = null } = fieldsOf(exchange, { name: 'string', data: 'any' })
        if (name === undefined) throw wrongBody('must have a "name": that of the signal')
        desk.send(exchange, 'signal', { name, data })
      },
    },
    {
      method: 'POST',
      path: '/v1/workflows/{name}/{id}:cancel',
      operation: 'cancelWorkflow',
      summary: 'Cancel a workflow: it undoes what it did, and ends',
      description: 'With `force` it ends at once, and nothing is undone.',
      scopes: ['send', 'operate'],
      params,
      headers: key,
      body: object({ 'reason?': text('Kept in its history'), 'force?': { type: 'boolean' } }),
      answers: sent('It is told'),
      handle: (exchange) => desk.send(exchange, 'cancel', fieldsOf(exchange, { reason: 'string', force: 'boolean' })),
    },
    {
      method: 'POST',
      path: '/v1/workflows/{name}/{id}:retry',
      operation: 'retryWorkflow',
      summary: 'Have a parked workflow go on',
      scopes: ['send', 'operate'],
      params,
      headers: key,
      answers: { ...sent('It goes on'), 409: problem('It is not parked') },
      handle: (exchange) => desk.send(exchange, 'retry', {}),
    },
  ]
}

function callbacks(desk: WorkflowDesk): HttpRoute[] {
  const ofAwakeable = {
    params: { id: text('As the workflow handed it out') },
    scopes: ['send'],
    headers: key,
    answers: { ...sent('The workflow has it'), 404: problem('No workflow waits for this callback') },
  } as const
  return [
    {
      method: 'POST',
      path: '/v1/awakeables/{id}:resolve',
      operation: 'resolveAwakeable',
      summary: 'Answer a workflow that waits for a callback',
      body: anything('The value that it gets'),
      ...ofAwakeable,
      handle: (exchange) => desk.callBack(exchange, { value: exchange.body ?? null }),
    },
    {
      method: 'POST',
      path: '/v1/awakeables/{id}:reject',
      operation: 'rejectAwakeable',
      summary: 'Answer a workflow that waits for a callback with an error',
      body: object({ message: text('What went wrong') }),
      ...ofAwakeable,
      handle: (exchange) => {
        const { message } = fieldsOf(exchange, { message: 'string' })
        if (message === undefined) throw wrongBody('must have a "message" that says what went wrong')
        desk.callBack(exchange, { error: message })
      },
    },
  ]
}

/** Turns requests into commands on workflows, and what came of them into answers. */
class WorkflowDesk {
  readonly #context: HttpContext
  readonly #replier: HttpReplier
  readonly #waits: HttpWorkflowWaits
  readonly #answers: WorkflowAnswers

  constructor(context: HttpContext, replier: HttpReplier, waits: HttpWorkflowWaits) {
    this.#context = context
    this.#replier = replier
    this.#waits = waits
    this.#answers = new WorkflowAnswers(context)
  }

  start(exchange: HttpExchange): void {
    const preferences = preferencesOf(exchange.header('prefer'))
    const { waitMs } = preferences
    const question = questionOf(exchange, 202)
    const draft = commandDraft(this.#context, exchange, this.#addressed(exchange), 'start', {
      input: exchange.body ?? null,
    })
    if (waitMs !== null && waitMs > 0) {
      this.#waits.start(exchange, draft, waitOf('ended', preferences), waitMs, (came) =>
        this.#answers.answer(exchange, question, came),
      )
      return
    }
    if ((queueingOf(exchange).delayMs ?? 0) > 0) return this.#startLater(exchange, question, draft)
    this.#submit(exchange, draft, (outcome) => {
      const isStarted = outcomeOf(this.#context.gateway, outcome).outcome === 'completed'
      this.#answers.answer(exchange, question, isStarted ? null : outcome)
    })
  }

  /** Answered when it is received. */
  #startLater(exchange: HttpExchange, { name, id }: WorkflowQuestion, draft: Buffer): void {
    const answer = (call: CallOutcome): void => {
      const outcome = outcomeOf(this.#context.gateway, call)
      if (outcome.outcome === 'received') this.#answers.pending(exchange, name, id, outcome.id)
      else this.#answers.answer(exchange, questionOf(exchange, 202), outcome.outcome === 'completed' ? null : call)
    }
    const { gateway } = this.#context
    const wait = waitOf('received', preferencesOf(exchange.header('prefer')))
    gateway.submit(this.#replier, this.#replier.expect(exchange, answer), wait, draft, 0)
  }

  get(exchange: HttpExchange): void {
    const question = questionOf(exchange, 200)
    const { type, id } = this.#addressed(exchange)
    const waitMs = Math.min(((exchange.query['wait'] as number | undefined) ?? 0) * 1000, httpLimits.waitMsMax)
    if (waitMs === 0) this.#answers.answer(exchange, question, null)
    else this.#waits.await(exchange, `${type}/${id}`, waitMs, (came) => this.#answers.answer(exchange, question, came))
  }

  send(exchange: HttpExchange, command: string, data: unknown): void {
    this.#send(exchange, this.#addressed(exchange), command, data)
  }

  callBack(exchange: HttpExchange, came: { readonly value: unknown } | { readonly error: string }): void {
    const awakeable = exchange.params['id'] as string
    const place = awakeablePlace(awakeable)
    if (place === null) {
      const message = `"${awakeable.slice(0, 64)}" is no callback of a workflow; send back the whole id that the workflow handed out`
      throw new CommanderError('awakeable_unknown', message)
    }
    const { operation, workflow } = place
    const to = addressedAs(this.#context.gateway, workflow.type, workflow.id)
    this.#send(exchange, to, 'resolve', { operation, ...came })
  }

  #send(exchange: HttpExchange, to: Addressed, command: string, data: unknown): void {
    this.#submit(exchange, commandDraft(this.#context, exchange, to, command, data), (outcome) => {
      answerOutcome(exchange, outcomeOf(this.#context.gateway, outcome), {}, true)
    })
  }

  #submit(exchange: HttpExchange, draft: Buffer, answer: Parameters<HttpReplier['expect']>[1]): void {
    const wait = waitOf('completed', preferencesOf(exchange.header('prefer')))
    this.#context.gateway.submit(this.#replier, this.#replier.expect(exchange, answer), wait, draft, 0)
  }

  #addressed({ params: { name = '', id = '' } }: HttpExchange): Addressed {
    return addressedAs(this.#context.gateway, workflowType(name), id)
  }
}

function questionOf(exchange: HttpExchange, runningStatus: 200 | 202): WorkflowQuestion {
  const { name = '', id = '' } = exchange.params
  return { name, id, isMinimal: preferencesOf(exchange.header('prefer')).isMinimal, runningStatus }
}

function listed({ waiter, workflows }: HttpContext, exchange: HttpExchange): void {
  const {
    limit = httpLimits.pageItemsDefault,
    waiting,
    ...rest
  } = exchange.query as {
    readonly status?: string
    readonly after?: string
    readonly limit?: number
    readonly waiting?: string
  }
  const query = { ...rest, name: exchange.params['name'], limit, waiting: waiting === 'true' }
  waiter.wait(undefined, httpLimits.readWaitMs, (error) => {
    if (error !== null) return exchange.fail(error)
    workflows.list(query).then(
      (found) => exchange.json(200, { workflows: found }),
      (failure: unknown) => exchange.fail(failure),
    )
  })
}

type FieldKind = 'string' | 'boolean' | 'any'

/** The fields of a body that is an object, or none. @throws CommanderError `invalid_input` */
function fieldsOf<Fields extends Readonly<Record<string, FieldKind>>>(
  { body }: HttpExchange,
  fields: Fields,
): { readonly [Name in keyof Fields]?: FieldOf<Fields[Name]> } {
  const known = Object.keys(fields).join(', ')
  if (body === undefined || body === null) return {}
  if (typeof body !== 'object' || Array.isArray(body)) throw wrongBody(`must be an object with ${known}`)
  for (const [name, value] of Object.entries(body)) {
    const kind = fields[name]
    if (kind === undefined) throw wrongBody(`has "${name}", but may have only ${known}`)
    const found = typeof value
    if (kind !== 'any' && found !== kind) throw wrongBody(`has a "${name}" that is no ${kind}`)
  }
  return body as never
}

type FieldOf<Kind extends FieldKind> = Kind extends 'string' ? string : Kind extends 'boolean' ? boolean : unknown

const wrongBody = (what: string): CommanderError => new CommanderError('invalid_input', `the body ${what}`)
