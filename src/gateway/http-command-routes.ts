import type { CallOutcome } from './call.ts'
import { commandDraft } from './http-command-draft.ts'
import { assertAsync, type Preferences, preferencesOf, queueingHeaders, waitOf } from './http-command-headers.ts'
import type { CommandWaits } from './http-command-waits.ts'
import { addressed } from './http-names.ts'
import { answerOutcome, outcomeOf, outcomeOfView } from './http-outcome.ts'
import type { HttpReplier } from './http-replier.ts'
import type { HttpContext, HttpExchange, HttpRoute } from './http-route.ts'
import { aggregateParams, anything, integer, json, problem, text } from './http-schemas.ts'

const replayed = { 'Idempotency-Replayed': text('`true`: the outcome of an earlier call with the same key') }

export function commandRoutes(context: HttpContext, replier: HttpReplier, waits: CommandWaits): HttpRoute[] {
  const sender = new Sender(context, replier, waits)
  return [
    {
      method: 'POST',
      path: '/v1/aggregates/{type}/{id}/commands/{command}',
      operation: 'sendCommand',
      summary: 'Send a command and get its outcome',
      description:
        'Answers once the command has ended and its events are flushed. An empty body is no data. A call that was not ' +
        'answered may be repeated under the same Idempotency-Key: it takes effect once.',
      scopes: ['send'],
      params: { ...aggregateParams, command: text('Command of the aggregate') },
      headers: {
        'Idempotency-Key': text('The same key with the same command gives the first outcome. 1 to 256 bytes'),
        'If-Match': text('Decide only if the aggregate is at this revision: "5"'),
        Prefer: text(
          'respond-async: answer when received; wait=<seconds>: answer 202 when it takes longer; durability=written|flushed|replicated|applied',
        ),
        ...queueingHeaders,
        traceparent: text('W3C Trace Context; decide sees it as metadata'),
      },
      body: anything("The command's data"),
      answers: {
        200: { ...json('Completed', 'Completed'), headers: replayed },
        202: {
          ...json('Received and not ended; ask at Location', 'Received'),
          headers: { Location: text('/v1/commands/{id}') },
        },
        400: problem('The data, the id or a header is wrong'),
        404: problem('Unknown aggregate or command'),
        409: problem('The idempotency key was used with another command, or an operator skipped the command'),
        412: problem('The aggregate is at another revision', 'Rejected'),
        413: problem('The data is too large'),
        415: problem('The body is not application/json'),
        422: { ...problem('The application rejected the command', 'Rejected'), headers: replayed },
        500: problem(
          'command_parked: the application failed in every attempt; a person must retry or skip the command',
          'Rejected',
        ),
        504: problem('No answer in time; the outcome may still come'),
        507: { ...problem('No room on the disk'), headers: { 'Retry-After': integer('Seconds') } },
      },
      handle: (exchange) => sender.send(exchange),
    },
  ]
}

/** Turns requests into drafts of `command/received`, and outcomes into answers. */
class Sender {
  readonly #context: HttpContext
  readonly #replier: HttpReplier
  readonly #waits: CommandWaits

  constructor(context: HttpContext, replier: HttpReplier, waits: CommandWaits) {
    this.#context = context
    this.#replier = replier
    this.#waits = waits
  }

  send(exchange: HttpExchange): void {
    const preferences = preferencesOf(exchange.header('prefer'))
    const addressee = addressed(this.#context.gateway, exchange)
    if (preferences.respondAsync) assertAsync(preferences)
    const draft = commandDraft(this.#context, exchange, addressee, exchange.params['command'] as string, exchange.body)
    if (preferences.respondAsync) this.#sendAsync(exchange, draft, waitOf('received', preferences))
    else if (preferences.waitMs !== null) this.#sendAndWait(exchange, draft, preferences, preferences.waitMs)
    else this.#sendAndAnswer(exchange, draft, waitOf('completed', preferences))
  }

  #sendAsync(exchange: HttpExchange, draft: Buffer, wait: number): void {
    this.#submit(exchange, draft, wait, (outcome) => {
      answerOutcome(exchange, outcomeOf(this.#context.gateway, outcome), { 'preference-applied': 'respond-async' })
    })
  }

  /** Received first, so that the id is known when the time is over. */
  #sendAndWait(exchange: HttpExchange, draft: Buffer, preferences: Preferences, waitMs: number): void {
    const { gateway, environment } = this.#context
    const headers = { 'preference-applied': `wait=${waitMs / 1000}` }
    const startedMs = environment.clock.monotonicMs()
    this.#submit(exchange, draft, waitOf('received', preferences), (call) => {
      const outcome = outcomeOf(gateway, call)
      if (outcome.outcome !== 'received') return answerOutcome(exchange, outcome, headers)
      const leftMs = waitMs - (environment.clock.monotonicMs() - startedMs)
      this.#waits.wait(outcome.id, leftMs, exchange, (view) => {
        const ended = outcomeOfView(view)
        answerOutcome(exchange, ended === null ? outcome : { ...ended, isDuplicate: outcome.isDuplicate }, headers)
      })
    })
  }

  #sendAndAnswer(exchange: HttpExchange, draft: Buffer, wait: number): void {
    this.#submit(exchange, draft, wait, (call) => answerOutcome(exchange, outcomeOf(this.#context.gateway, call)))
  }

  #submit(exchange: HttpExchange, draft: Buffer, wait: number, answer: (outcome: CallOutcome) => void): void {
    this.#context.gateway.submit(this.#replier, this.#replier.expect(exchange, answer), wait, draft, 0)
  }
}
