import { CommanderError, messageOf } from '../kernel/errors.ts'
import type { HttpAnswer, HttpRequester } from './http-requester.ts'

/** @param url of the database, without a slash at its end */
export function createHttpRequester(url: string): HttpRequester {
  return async ({ method, path, headers, body, signal }) => {
    try {
      const init = { method, headers, signal, redirect: 'manual' as const }
      const response = await fetch(`${url}${path}`, body === null ? init : { ...init, body })
      return answerOf(response, url)
    } catch (error) {
      throw failureOf(error, url)
    }
  }
}

function answerOf(response: Response, url: string): HttpAnswer {
  return {
    status: response.status,
    header: (name) => response.headers.get(name),
    text: () => response.text().catch((error: unknown) => Promise.reject(failureOf(error, url))),
    async *chunks() {
      if (response.body === null) return
      try {
        yield* response.body
      } catch (error) {
        throw failureOf(error, url)
      }
    },
  }
}

/** Before a connection is up: nothing was sent. */
const nobodyThere: ReadonlySet<unknown> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
])

function failureOf(error: unknown, url: string): CommanderError {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  const reason = messageOf(cause) || String(code)
  if (nobodyThere.has(code)) {
    const message = `no database answers at ${url} (${reason}); start it, or correct the URL`
    return new CommanderError('no_database', message, { cause: error })
  }
  const message = `the connection to ${url} ended before the answer (${reason})`
  return new CommanderError('connection_lost', message, { cause: error })
}
