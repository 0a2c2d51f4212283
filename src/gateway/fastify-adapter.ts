import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, FastifySchemaValidationError } from 'fastify'
import type { Log } from '../kernel/environment.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import type { Access } from './http-access.ts'
import { ServerExchange } from './http-exchange.ts'
import { parseJson } from './http-json.ts'
import { httpLimits } from './http-limits.ts'
import { type ProtocolStatus, problemOf } from './http-problem.ts'
import type { HttpRoute } from './http-route.ts'

/** The owner file of fastify, which is loaded when a server is made and not before: a gateway without HTTP never does. */
export interface FastifyOptions {
  readonly routes: readonly HttpRoute[]
  readonly access: Access
  /** Most bytes of one request's body. */
  readonly bodyBytesMax: number
  readonly log: Log
}

export interface FastifyServer {
  /** The port, which is another one than asked for where that was 0. */
  listen(host: string, port: number): Promise<number>
  /** Takes no more connections, waits for the answers under way, and then cuts what is left. */
  close(): Promise<void>
}

export async function createFastifyServer(options: FastifyOptions): Promise<FastifyServer> {
  const { fastify } = await import('fastify')
  const { log, bodyBytesMax } = options
  const app: FastifyInstance = fastify({
    logger: false,
    bodyLimit: bodyBytesMax,
    requestTimeout: httpLimits.requestMs,
    keepAliveTimeout: httpLimits.keepAliveMs,
    http: { maxHeaderSize: httpLimits.headerBytesMax, headersTimeout: httpLimits.headersMs },
    routerOptions: { maxParamLength: httpLimits.pathSegmentBytesMax },
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    exposeHeadRoutes: false,
    ajv: { customOptions: { removeAdditional: false, coerceTypes: true, useDefaults: false } },
    schemaErrorFormatter: (errors) => wrongParameter(errors[0] as FastifySchemaValidationError),
    frameworkErrors: (error, request, reply) => answerError(error, request, reply, options),
    clientErrorHandler: answerUnreadable,
  })
  app.server.maxConnections = httpLimits.connectionsMax
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, parseJson(body as Buffer))
    } catch (error) {
      done(error as Error)
    }
  })
  app.setErrorHandler((error: FastifyError, request, reply) => answerError(error, request, reply, options))
  app.setNotFoundHandler((request, reply) => answerUnknown(request, reply, options))
  for (const route of options.routes) addRoute(app, route, options)
  return {
    listen: (host, port) => listen(app, host, port),
    close: () => close(app, app.server, log),
  }
}

const exchangeOf = (request: FastifyRequest, reply: FastifyReply, log: Log): ServerExchange =>
  new ServerExchange(
    request,
    {
      raw: reply.raw,
      hijack: () => reply.hijack(),
      send: (status, headers, body) => reply.code(status).headers(headers).send(body),
    },
    log,
  )

function addRoute(app: FastifyInstance, route: HttpRoute, { access, log }: FastifyOptions): void {
  app.route({
    method: route.method,
    url: route.path
      .replace(/:/g, '::')
      .replace(/\{(\w+)\}::/g, ':$1(^[^:]+)::')
      .replace(/\{(\w+)\}/g, ':$1'),
    exposeHeadRoute: route.method === 'GET' && !route.streams,
    schema: { querystring: querySchema(route) },
    onRequest: (request, reply, done) => {
      const { authorization, host, origin } = request.headers
      const refusal = access.refuse(route.scopes, { authorization, host, origin })
      if (refusal === null) return done()
      if (refusal.challenge !== null) reply.header('www-authenticate', refusal.challenge)
      exchangeOf(request, reply, log).fail(refusal.error)
    },
    handler: (request, reply) => {
      const exchange = exchangeOf(request, reply, log)
      try {
        route.handle(exchange)
      } catch (error) {
        exchange.fail(error)
      }
    },
  })
}

const querySchema = ({ query, requiredQuery }: HttpRoute): object => ({
  type: 'object',
  properties: query ?? {},
  required: requiredQuery ?? [],
  additionalProperties: false,
})

function wrongParameter({ keyword, params, instancePath, message }: FastifySchemaValidationError): CommanderError {
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

/** What fastify itself finds wrong. */
function answerError(
  error: Error,
  request: FastifyRequest,
  reply: FastifyReply,
  { log, bodyBytesMax }: FastifyOptions,
): void {
  const exchange = exchangeOf(request, reply, log)
  const { code, statusCode } = error as FastifyError
  if (isCommanderError(error)) return exchange.fail(error)
  switch (code as string) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE': {
      const message = `the body is larger than ${bodyBytesMax} bytes, which is the most for the configured limits.payloadBytes`
      return exchange.fail(new CommanderError('payload_too_large', message, { details: { bytesMax: bodyBytesMax } }))
    }
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE': {
      const type = request.headers['content-type']
      const message = `the body is ${type === undefined ? 'of no type' : `"${type}"`}; send JSON with "Content-Type: application/json"`
      return exchange.fail(new CommanderError('invalid_input', message), 415)
    }
    case 'FST_ERR_BAD_URL':
      return exchange.fail(
        new CommanderError('invalid_input', `the path ${request.url.slice(0, 256)} is not percent-encoded UTF-8`),
      )
    default:
      if (statusCode === undefined || statusCode >= 500) return exchange.fail(error)
      exchange.fail(new CommanderError('invalid_input', error.message, { cause: error }), statusCode as ProtocolStatus)
  }
}

/** 405 where the path is right and the method is not. */
function answerUnknown(request: FastifyRequest, reply: FastifyReply, { routes, log }: FastifyOptions): void {
  const exchange = exchangeOf(request, reply, log)
  const path = request.url.split('?')[0] as string
  const methods = routes.filter((route) => patternOf(route).test(path)).map(({ method }) => method)
  if (methods.length === 0) {
    return exchange.fail(
      new CommanderError('not_found', `there is no ${request.method} ${path.slice(0, 256)}; see /openapi.json`),
    )
  }
  reply.header('allow', [...new Set(methods)].join(', '))
  exchange.fail(
    new CommanderError('invalid_input', `${path.slice(0, 256)} takes ${methods.join(', ')}, not ${request.method}`),
    405,
  )
}

const patternOf = ({ path }: HttpRoute): RegExp =>
  new RegExp(`^${path.replace(/[.]/g, '\\.').replace(/\{\w+\}/g, '[^/:]+')}$`)

/** Before there is a request: what came cannot be read as HTTP. */
function answerUnreadable(error: Error & { readonly code?: string }, socket: Socket): void {
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

async function listen(app: FastifyInstance, host: string, port: number): Promise<number> {
  try {
    await app.listen({ host, port })
  } catch (error) {
    throw cannotListen(error as NodeJS.ErrnoException, host, port)
  }
  const address = app.server.address()
  return typeof address === 'object' && address !== null ? address.port : port
}

function cannotListen(error: NodeJS.ErrnoException, host: string, port: number): CommanderError {
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

async function close(app: FastifyInstance, server: Server, log: Log): Promise<void> {
  const cut = setTimeout(() => {
    log.warn({ drainMs: httpLimits.drainMs }, 'HTTP answers did not leave in time; their connections are cut')
    server.closeAllConnections()
  }, httpLimits.drainMs)
  // A connection whose answer has just left is idle, and would be kept for the next request.
  const idle = setInterval(() => server.closeIdleConnections(), 50)
  try {
    await app.close()
  } finally {
    clearTimeout(cut)
    clearInterval(idle)
  }
}
