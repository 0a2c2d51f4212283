import type { Socket } from 'node:net'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { httpLimits } from './http-limits.ts'
import { type ProtocolStatus, problemOf } from './http-problem.ts'

/** What a check of query parameters finds, in the form of ajv. */
export interface WrongParameter {
  readonly keyword: string
  readonly params: Readonly<Record<string, unknown>>
  readonly instancePath: string
  readonly message?: string
}

export function wrongParameter({ keyword, params, instancePath, message }: WrongParameter): CommanderError {
  const { additionalProperty, allowedValues } = params as {
    additionalProperty?: string
    allowedValues?: readonly string[]
  }
  const name = instancePath.slice(1)
  if (keyword === 'additionalProperties') {
    return new CommanderError(
      'invalid_input',
      `there is no query parameter "${additionalProperty}" here; see /openapi.json`,
    )
  }
  if (keyword === 'required') return new CommanderError('invalid_input', `the query ${message}; see /openapi.json`)
  const values = allowedValues === undefined ? '' : `: ${allowedValues.join(', ')}`
  return new CommanderError('invalid_input', `the query parameter "${name}" ${message}${values}`)
}

export interface RequestFacts {
  readonly contentType: string | undefined
  readonly url: string
  readonly bodyBytesMax: number
}

/** What the server itself finds wrong with a request, in our words. */
export function requestError(
  error: Error,
  { contentType, url, bodyBytesMax }: RequestFacts,
): { readonly error: Error; readonly status?: ProtocolStatus } {
  if (isCommanderError(error)) return { error }
  const { code, statusCode } = error as { readonly code?: string; readonly statusCode?: number }
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE': {
      const message = `the body is larger than ${bodyBytesMax} bytes, which is the most for the configured limits.payloadBytes`
      return { error: new CommanderError('payload_too_large', message, { details: { bytesMax: bodyBytesMax } }) }
    }
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE': {
      const found = contentType === undefined ? 'of no type' : `"${contentType.slice(0, 64)}"`
      const message = `the body is ${found}; send JSON with "Content-Type: application/json"`
      return { error: new CommanderError('invalid_input', message), status: 415 }
    }
    case 'FST_ERR_BAD_URL':
      return {
        error: new CommanderError('invalid_input', `the path ${url.slice(0, 256)} is not percent-encoded UTF-8`),
      }
    default: {
      if (statusCode === undefined || statusCode < 400 || statusCode >= 500) return { error }
      const known = new CommanderError('invalid_input', error.message, { cause: error })
      return { error: known, status: statusCode as ProtocolStatus }
    }
  }
}

/** Before there is a request: what came cannot be read as HTTP. */
export function answerUnreadable(error: Error & { readonly code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const [status, line, message] = unreadable[error.code ?? ''] ?? [400, 'Bad Request', 'the request is not HTTP/1.1']
  const body = JSON.stringify(problemOf(new CommanderError('invalid_input', message), status).body)
  const head = `HTTP/1.1 ${status} ${line}\r\nConnection: close\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}`
  socket.end(`${head}\r\n\r\n${body}`)
}

const unreadable: Readonly<Record<string, readonly [ProtocolStatus, string, string]>> = {
  HPE_HEADER_OVERFLOW: [
    431,
    'Request Header Fields Too Large',
    `the request line and headers are over ${httpLimits.headerBytesMax} bytes`,
  ],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout', `the request was not complete within ${httpLimits.requestMs} ms`],
}

export function cannotListen(error: NodeJS.ErrnoException, host: string, port: number): CommanderError {
  const where = `${host.includes(':') ? `[${host}]` : host}:${port}`
  const what =
    listenErrors[error.code ?? ''] ?? `cannot be listened on (${error.message}): choose another http.host or http.port`
  return new CommanderError('invalid_config', `${where} ${what}`, { cause: error, details: { host, port } })
}

const listenErrors: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use by another process: stop that one, choose another http.port, or 0 for any free one',
  EACCES: 'may not be listened on by this user: choose an http.port of 1024 or more',
  EADDRNOTAVAIL: 'is not an address of this host: choose another http.host',
  ENOTFOUND: 'is not a known name: choose another http.host',
}
