import type { EventSink } from './http-event-reading.ts'
import type { EventText } from './http-event-texts.ts'
import type { HttpStream } from './http-route.ts'

/** What the three forms have in common: events leave as they are read, as fast as the client takes them. */
abstract class StreamSink implements EventSink {
  protected readonly stream: HttpStream
  #isReady = true

  constructor(stream: HttpStream) {
    this.stream = stream
  }

  /** The client takes more. */
  get isReady(): boolean {
    return this.#isReady
  }

  begin(drained: () => void): void {
    this.stream.onDrain(() => {
      this.#isReady = true
      drained()
    })
  }

  abstract take(texts: readonly EventText[]): boolean

  end(_next: number): void {
    this.stream.end()
  }

  fail(error: unknown): void {
    this.stream.fail(error)
  }

  protected write(text: string): boolean {
    if (text !== '' && !this.stream.write(text)) this.#isReady = false
    return this.#isReady
  }
}

/** One page of JSON: `{ events, … }`. */
export class PageSink extends StreamSink {
  /** Of the member that says where the next page begins. */
  readonly #nextName: string
  #before = '{"events":['

  constructor(stream: HttpStream, nextName: string) {
    super(stream)
    this.#nextName = nextName
  }

  take(texts: readonly EventText[]): boolean {
    if (texts.length === 0) return true
    const before = this.#before
    this.#before = ','
    return this.write(before + texts.map(({ json }) => json).join(','))
  }

  override end(next: number): void {
    this.write(`${this.#before === ',' ? '' : this.#before}],"${this.#nextName}":${next}}`)
    this.stream.end()
  }
}

/** Newline-delimited JSON. */
export class LineSink extends StreamSink {
  take(texts: readonly EventText[]): boolean {
    return this.write(texts.map(({ json }) => `${json}\n`).join(''))
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

  take(texts: readonly EventText[]): boolean {
    return this.write(texts.map(({ position, json }) => `id: ${position}\ndata: ${json}\n\n`).join(''))
  }

  /** @param position last event looked at: where to go on, even if none of the types asked for was there */
  keepAlive(position: number): void {
    if (this.isReady) this.write(`: keep-alive\nid: ${position}\n\n`)
  }
}
