import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { Log } from '../kernel/environment.ts'
import { type ProblemBody, type ProtocolStatus, problemOf } from './http-problem.ts'
import type { HttpExchange, HttpStream } from './http-route.ts'

const noStore = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }

/** What this needs of a server's request. */
export interface ServerRequest {
  readonly method: string
  readonly url: string
  readonly params: unknown
  readonly query: unknown
  readonly body: unknown
  readonly headers: IncomingHttpHeaders
}

/** What this needs of a server's reply. */
export interface ServerReply {
  readonly raw: ServerResponse
  /** The server leaves the answer to us. */
  hijack(): unknown
  send(status: number, headers: Readonly<Record<string, string>>, body: string): void
}

/** One request and its answer. Answers after the first one, and to clients that are gone, go nowhere. */
export class ServerExchange implements HttpExchange {
  readonly #request: ServerRequest
  readonly #reply: ServerReply
  readonly #log: Log
  #isAnswered = false

  constructor(request: ServerRequest, reply: ServerReply, log: Log) {
    this.#request = request
    this.#reply = reply
    this.#log = log
  }

  get params(): Readonly<Record<string, string>> {
    return this.#request.params as Record<string, string>
  }

  get query(): Readonly<Record<string, string | number | undefined>> {
    return this.#request.query as Record<string, string | number | undefined>
  }

  get body(): unknown {
    return this.#request.body
  }

  get isOpen(): boolean {
    return !this.#isAnswered && !this.#reply.raw.destroyed
  }

  header(name: string): string | undefined {
    const value = this.#request.headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  }

  onClosed(run: () => void): void {
    this.#reply.raw.once('close', run)
  }

  json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): void {
    this.#send(status, JSON.stringify(body) ?? 'null', 'application/json; charset=utf-8', headers)
  }

  text(status: number, body: string, contentType: string): void {
    this.#send(status, body, contentType, {})
  }

  problem(body: ProblemBody, headers: Readonly<Record<string, string>> = {}): void {
    this.#send(body.status, JSON.stringify(body), 'application/problem+json', headers)
  }

  fail(error: unknown, status?: ProtocolStatus): void {
    if (!this.isOpen) return
    const { body, headers } = problemOf(error, status)
    if (body.status === 500)
      this.#log.error({ error, method: this.#request.method, url: this.#request.url }, 'a request failed')
    this.problem(body, headers)
  }

  stream(contentType: string, headers: Readonly<Record<string, string>> = {}): HttpStream {
    this.#isAnswered = true
    const { raw } = this.#reply
    this.#reply.hijack()
    // Proxies would otherwise keep back what is meant to arrive now.
    raw.writeHead(200, { ...noStore, ...headers, 'content-type': contentType, 'x-accel-buffering': 'no' })
    return {
      write: (text) => !raw.destroyed && raw.write(text),
      onDrain: (run) => raw.on('drain', run),
      end: () => raw.end(),
      fail: (error) => {
        this.#log.error({ error, url: this.#request.url }, 'a stream of events failed')
        raw.destroy()
      },
    }
  }

  #send(status: number, body: string, contentType: string, headers: Readonly<Record<string, string>>): void {
    if (!this.isOpen) return
    this.#isAnswered = true
    this.#reply.send(status, { ...noStore, ...headers, 'content-type': contentType }, body)
  }
}
