import type { Timer } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import { appliedHeader, readFloorOf, whenApplied } from './http-apply-wait.ts'
import { EventReading, type ReadingOptions } from './http-event-reading.ts'
import { LineSink, MessageSink, PageSink } from './http-event-sinks.ts'
import { type EventSource, LogSource } from './http-event-sources.ts'
import { EventTexts } from './http-event-texts.ts'
import { httpLimits } from './http-limits.ts'
import type { HttpContext, HttpExchange, HttpRoute, HttpStream } from './http-route.ts'
import { appliedLsn, eventList, integer, json, object, problem, readFloor, text } from './http-schemas.ts'

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
  readonly source: EventSource
  readonly reading: EventReading
}

/** The route of all events, and what it keeps going: a server has one. */
export class EventRoutes {
  readonly #context: HttpContext
  readonly #following = new Set<Following>()
  readonly #texts: EventTexts
  readonly #unlisten: () => void
  #keepAliveTimer: Timer | null = null

  constructor(context: HttpContext) {
    this.#context = context
    this.#texts = new EventTexts((block) => context.queries.blockEvents(block))
    this.#unlisten = context.gateway.onApplied(() => {
      for (const { reading } of this.#following) reading.wake()
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
          'By Accept: application/json answers one page, up to `limit` events; go on after `next` ' +
          'until a page is empty. application/x-ndjson streams one event a line up to the latest. text/event-stream goes on with those ' +
          'to come; the id of each is its position, and Last-Event-ID resumes after it.',
        scopes: ['read'],
        query: {
          after: integer('Position after which to begin; default 0: from the first event'),
          types: text('Only these event types, separated by commas'),
          limit: integer(`Events at most; of a JSON page by default ${limits.pageEventsMax}, and never more`, 1),
          ...readFloor,
        },
        headers: { 'Last-Event-ID': text('Of server-sent events: takes the place of `after`') },
        answers: {
          200: {
            description: 'Events',
            headers: appliedLsn,
            content: {
              ...json('', object({ events: eventList, next: integer('Position to go on after') })).content,
              [ndjson]: text('One event a line'),
              [serverSentEvents]: text('One event a message, its position as id'),
            },
          },
          504: problem('The store did not reach `minLsn` in time, or no leader confirmed a linearizable read'),
          507: problem('The store has no room on its disk, and applies nothing'),
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
    for (const { reading } of this.#following) reading.end()
    this.#following.clear()
  }

  #handle(exchange: HttpExchange): void {
    const form = preferredForm(exchange.header('accept'))
    const types = exchange.query['types'] as string | undefined
    const limit = (exchange.query['limit'] as number | undefined) ?? Number.POSITIVE_INFINITY
    const after = form === serverSentEvents ? resumedAfter(exchange) : afterOf(exchange)
    const wanted = types === undefined ? null : new Set(types.split(',').map((type) => type.trim()))
    const source = new LogSource(this.#context.queries, this.#texts, after, wanted)
    whenApplied(this.#context, exchange, readFloorOf(exchange), () => {
      // Before the answer begins: afterwards it could only be cut off.
      for (const _ of this.#context.queries.log.blocksFrom(after + 1)) break
      const stream = exchange.stream(form === page ? `${page}; charset=utf-8` : form, appliedHeader(this.#context))
      if (form === serverSentEvents) this.#follow(exchange, stream, source, limit)
      else if (form === ndjson) this.#start(exchange, { source, sink: new LineSink(stream), limit, follows: false })
      else {
        const most = Math.min(limit, limits.pageEventsMax)
        this.#start(exchange, { source, sink: new PageSink(stream, 'next'), limit: most, follows: false })
      }
    })
  }

  #start(exchange: HttpExchange, options: Omit<ReadingOptions, 'archived'>): EventReading {
    const { environment, queries } = this.#context
    const reading = new EventReading(environment, { ...options, archived: queries.archived })
    exchange.onClosed(() => reading.abandon())
    return reading
  }

  #follow(exchange: HttpExchange, stream: HttpStream, source: EventSource, limit: number): void {
    const sink = new MessageSink(stream)
    const following = { sink, source, reading: this.#start(exchange, { source, sink, limit, follows: true }) }
    this.#following.add(following)
    exchange.onClosed(() => this.#following.delete(following))
    if (this.#keepAliveTimer === null) this.#keepAliveLater()
  }

  #keepAliveLater(): void {
    this.#keepAliveTimer = this.#context.environment.scheduler.after(httpLimits.keepAliveCommentMs, () => {
      this.#keepAliveTimer = null
      for (const { sink, source } of this.#following) sink.keepAlive(source.next)
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
