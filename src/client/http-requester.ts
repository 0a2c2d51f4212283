/** One request, as the client sees HTTP: what is under it is in an adapter. */
export interface HttpRequest {
  readonly method: 'GET' | 'POST'
  /** With the query, from the slash on. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
  /** Aborting ends the request, and the reading of its answer. */
  readonly signal: AbortSignal
}

export interface HttpAnswer {
  readonly status: number
  /** @param name in lower case */
  header(name: string): string | null
  /** All of the body. */
  text(): Promise<string>
  /** The body as it comes. */
  chunks(): AsyncIterable<Uint8Array>
}

/**
 * Sends one request over connections that are kept for the next ones.
 *
 * @throws CommanderError `no_database` when nobody listens there, `connection_lost` when the answer did not come
 */
export type HttpRequester = (request: HttpRequest) => Promise<HttpAnswer>
