import type { Appetite, EventSink } from './http-event-reading.ts'
import { httpLimits } from './http-limits.ts'
import type { HttpExchange, HttpStream } from './http-route.ts'
import type { ReadEvent } from './queries.ts'

/** One page of JSON, bounded in events and in bytes. */
export class PageSink implements EventSink {
  readonly #exchange: HttpExchange
  readonly #events: ReadEvent[] = []
  #bytes = 0

  constructor(exchange: HttpExchange) {
    this.#exchange = exchange
  }

  begin(): void {}

  take(events: readonly ReadEvent[], bytes: number): Appetite {
    if (events.length === 0) return 'go'
    for (const event of events) this.#events.push(event)
    this.#bytes += bytes
    return this.#bytes >= httpLimits.pageBytesMax ? 'stop' : 'go'
  }

  end(next: number): void {
    this.#exchange.json(200, { events: this.#events, next })
  }

  fail(error: unknown): void {
    this.#exchange.fail(error)
  }
}

/** What lines and messages have in common: they leave as they are read, as fast as the client takes them. */
abstract class StreamSink implements EventSink {
  protected readonly stream: HttpStream
  #isDraining = false

  constructor(stream: HttpStream) {
    this.stream = stream
  }

  begin(resume: () => void): void {
    this.stream.onDrain(() => {
      this.#isDraining = false
      resume()
    })
  }

  /** The client takes more. */
  get isReady(): boolean {
    return !this.#isDraining
  }

  take(events: readonly ReadEvent[]): Appetite {
    return this.write(events.map((event) => this.format(event)).join(''))
  }

  end(): void {
    this.stream.end()
  }

  fail(error: unknown): void {
    this.stream.fail(error)
  }

  protected abstract format(event: ReadEvent): string

  protected write(text: string): Appetite {
    if (text !== '' && !this.stream.write(text)) this.#isDraining = true
    return this.#isDraining ? 'pause' : 'go'
  }
}

/** Newline-delimited JSON. */
export class LineSink extends StreamSink {
  protected format(event: ReadEvent): string {
    return `${JSON.stringify(event)}\n`
  }
}

/**
 * Server-sent events, as the HTML standard has them: the id of a message is the event's position, so that a client
 * that comes back says by itself where to go on. Messages have no name of their own: each reaches `onmessage`.
 */
export class MessageSink extends StreamSink {
  constructor(stream: HttpStream) {
    super(stream)
    // Sent at once, so that the client sees its connection open while there are no events.
    this.write('retry: 1000\n\n')
  }

  /** @param position last event looked at: where to go on, even if none of the types asked for was there */
  keepAlive(position: number): void {
    if (this.isReady) this.write(`: keep-alive\nid: ${position}\n\n`)
  }

  protected format(event: ReadEvent): string {
    return `id: ${event.globalPosition}\ndata: ${JSON.stringify(event)}\n\n`
  }
}
