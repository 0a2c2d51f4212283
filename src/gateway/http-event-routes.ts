import type { Timer } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import { minLsnOf, whenApplied } from './http-apply-wait.ts'
import { EventReading, type EventSink, type ReadingOptions } from './http-event-reading.ts'
import { LineSink, MessageSink, PageSink } from './http-event-sinks.ts'
import { httpLimits } from './http-limits.ts'
import type { HttpContext, HttpExchange, HttpRoute } from './http-route.ts'
import { eventList, integer, json, minLsn, object, problem, text } from './http-schemas.ts'

const page = 'application/json'
const ndjson = 'application/x-ndjson'
const serverSentEvents = 'text/event-stream'
type Form = typeof page | typeof ndjson | typeof serverSentEvents

const forms: Readonly<Record<string, Form | undefined>> = {
  '*/*': page,
  'application/*': page,
  [page]: page,
  [ndjson]: ndjson,
  'application/ndjson': ndjson,
  [serverSentEvents]: serverSentEvents,
}

interface Following {
  readonly sink: MessageSink
  readonly reading: EventReading
}

/** The route of all events, and what it keeps going: a server has one. */
export class EventRoutes {
  readonly #context: HttpContext
  readonly #following = new Set<Following>()
  readonly #unlisten: () => void
  #keepAliveTimer: Timer | null = null

  constructor(context: HttpContext) {
    this.#context = context
    this.#unlisten = context.gateway.onApplied(() => {
      for (const { reading } of this.#following) reading.resume()
    })
  }

  routes(): HttpRoute[] {
    return [
      {
        method: 'GET',
        path: '/v1/events',
        operation: 'readEvents',
        summary: 'The events of all aggregates, in order',
        description:
          'By Accept: application/json answers one page, which may be shorter than `limit`; go on after `next` until a page ' +
          'is empty. application/x-ndjson streams one event a line up to the latest. text/event-stream goes on with those ' +
          'to come; the id of each is its position, and Last-Event-ID resumes after it.',
        scopes: ['read'],
        query: {
          after: integer('Position after which to begin; default 0: from the first event'),
          types: text('Only these event types, separated by commas'),
          limit: integer(`Events at most; of a JSON page by default ${limits.pageEventsMax}, and never more`, 1),
          minLsn,
        },
        headers: { 'Last-Event-ID': text('Of server-sent events: takes the place of `after`') },
        answers: {
          200: {
            description: 'Events',
            content: {
              ...json('', object({ events: eventList, next: integer('Position to go on after') })).content,
              [ndjson]: text('One event a line'),
              [serverSentEvents]: text('One event a message, its position as id'),
            },
          },
          504: problem('The store did not reach `minLsn` in time'),
        },
        streams: true,
        handle: (exchange) => this.#handle(exchange),
      },
    ]
  }

  /** Ends the streams that would go on for ever. */
  close(): void {
    this.#unlisten()
    this.#keepAliveTimer?.cancel()
    for (const { sink, reading } of this.#following) {
      reading.abandon()
      sink.end()
    }
    this.#following.clear()
  }

  #handle(exchange: HttpExchange): void {
    const form = preferredForm(exchange.header('accept'))
    const types = exchange.query['types'] as string | undefined
    const limit = (exchange.query['limit'] as number | undefined) ?? Number.POSITIVE_INFINITY
    const options = {
      after: form === serverSentEvents ? resumedAfter(exchange) : afterOf(exchange),
      types: types === undefined ? null : new Set(types.split(',').map((type) => type.trim())),
      limit: form === page ? Math.min(limit, limits.pageEventsMax) : limit,
      follows: form === serverSentEvents,
    }
    whenApplied(this.#context, exchange, minLsnOf(exchange), () => {
      if (form === serverSentEvents) this.#follow(exchange, options)
      else
        this.#start(exchange, options, form === ndjson ? new LineSink(exchange.stream(ndjson)) : new PageSink(exchange))
    })
  }

  #start(exchange: HttpExchange, options: ReadingOptions, sink: EventSink): EventReading {
    const { environment, queries } = this.#context
    const reading = new EventReading(environment, queries, options, sink)
    exchange.onClosed(() => reading.abandon())
    reading.resume()
    return reading
  }

  #follow(exchange: HttpExchange, options: ReadingOptions): void {
    const sink = new MessageSink(exchange.stream(serverSentEvents))
    const following = { sink, reading: this.#start(exchange, options, sink) }
    this.#following.add(following)
    exchange.onClosed(() => this.#following.delete(following))
    if (this.#keepAliveTimer === null) this.#keepAliveLater()
  }

  #keepAliveLater(): void {
    this.#keepAliveTimer = this.#context.environment.scheduler.after(httpLimits.keepAliveCommentMs, () => {
      this.#keepAliveTimer = null
      for (const { sink, reading } of this.#following) sink.keepAlive(reading.position)
      if (this.#following.size > 0) this.#keepAliveLater()
    })
  }
}

const afterOf = (exchange: HttpExchange): number => (exchange.query['after'] as number | undefined) ?? 0

function resumedAfter(exchange: HttpExchange): number {
  const last = exchange.header('last-event-id')
  if (last === undefined || last === '') return afterOf(exchange)
  if (/^[0-9]{1,16}$/.test(last) && Number.isSafeInteger(Number(last))) return Number(last)
  throw new CommanderError(
    'invalid_input',
    `the header Last-Event-ID must be the position of an event, not "${last.slice(0, 64)}"`,
  )
}

/** The form that `Accept` likes best, the first of those that it likes alike; JSON where it does not say. */
function preferredForm(accept: string | undefined): Form {
  let best: Form = page
  let bestQuality = 0
  for (const range of (accept ?? '').toLowerCase().split(',')) {
    const [type, ...parameters] = range.split(';').map((part) => part.trim())
    const form = forms[type ?? '']
    const quality = Number(parameters.find((parameter) => parameter.startsWith('q='))?.slice(2) ?? 1)
    if (form === undefined || !(quality > bestQuality)) continue
    best = form
    bestQuality = quality
  }
  return best
}
