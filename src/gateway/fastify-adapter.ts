import type { Server } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Log } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { Access } from './http-access.ts'
import { BodyBudget } from './http-body-budget.ts'
import { ServerExchange } from './http-exchange.ts'
import { parseJson } from './http-json.ts'
import { httpLimits } from './http-limits.ts'
import type { HttpRoute } from './http-route.ts'
import { RunningRequests } from './http-running-requests.ts'
import {
  answerUnreadable,
  cannotListen,
  requestError,
  type WrongParameter,
  wrongParameter,
} from './http-server-errors.ts'
import { HttpVerbs, routedPath } from './http-verbs.ts'

declare module 'fastify' {
  interface FastifyRequest {
    bodyReceived: (() => void) | null
  }
}

/** The owner file of fastify, which is loaded when a server is made and not before: a gateway without HTTP never does. */
export interface FastifyOptions {
  readonly routes: readonly HttpRoute[]
  readonly access: Access
  /** Most bytes of one request's body. */
  readonly bodyBytesMax: number
  readonly log: Log
  /** How long a client may take nothing of an answer. Default `httpLimits.stalledMs`. */
  readonly stalledMs?: number
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
  const verbs = new HttpVerbs(options.routes)
  const app: FastifyInstance = fastify({
    logger: false,
    rewriteUrl: ({ method, url = '/' }) => verbs.rewritten(method, url),
    bodyLimit: bodyBytesMax,
    requestTimeout: httpLimits.requestMs,
    keepAliveTimeout: httpLimits.keepAliveMs,
    http: { maxHeaderSize: httpLimits.headerBytesMax, headersTimeout: httpLimits.headersMs },
    routerOptions: { maxParamLength: httpLimits.pathSegmentBytesMax },
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    exposeHeadRoutes: false,
    ajv: { customOptions: { removeAdditional: false, coerceTypes: true, useDefaults: false } },
    schemaErrorFormatter: (errors) => wrongParameter(errors[0] as WrongParameter),
    frameworkErrors: (error, request, reply) => answerError(error, request, reply, options),
    clientErrorHandler: answerUnreadable,
  })
  app.server.maxConnections = httpLimits.connectionsMax
  cutOffStalled(app.server, options.stalledMs ?? httpLimits.stalledMs, log)
  const requests = new RunningRequests()
  app.server.on('request', (_request, response) => requests.add(response))
  app.decorateRequest('bodyReceived', null)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, parseJson(body as Buffer))
    } catch (error) {
      done(error as Error)
    }
  })
  app.setErrorHandler((error: Error, request, reply) => answerError(error, request, reply, options))
  app.setNotFoundHandler((request, reply) => answerUnknown(request, reply, verbs, options))
  const receiveBody = bodyReceiver(options)
  for (const route of options.routes) addRoute(app, route, receiveBody, options)
  return {
    listen: (host, port) => listen(app, host, port),
    close: () => close(app, requests, log),
  }
}

/** Who waits for its answer is left alone; who does not read it is not. */
function cutOffStalled(server: Server, stalledMs: number, log: Log): void {
  server.setTimeout(stalledMs, (socket) => {
    const { writableLength: bytes, remoteAddress: peer } = socket
    if (bytes === 0) return
    log.warn({ peer, bytes, stalledMs }, 'an HTTP client takes nothing of its answer and is cut off')
    socket.destroy()
  })
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

type ReceiveBody = (request: FastifyRequest, reply: FastifyReply, done: () => void) => void

/** What holds for bodies before they are read. */
function bodyReceiver({ bodyBytesMax, log }: FastifyOptions): ReceiveBody {
  const budget = new BodyBudget(httpLimits.bodiesBytesMax)
  return (request, reply, done) => {
    const { 'content-length': length, 'content-encoding': encoding, 'transfer-encoding': chunked } = request.headers
    if (encoding !== undefined && encoding !== 'identity') {
      const message = `the body is encoded as "${encoding}"; send it as it is`
      return exchangeOf(request, reply, log).fail(new CommanderError('invalid_input', message), 415)
    }
    const bytes = chunked === undefined ? Number(length ?? 0) : bodyBytesMax
    // The server refuses by itself what is too large, or no number.
    const giveBack = bytes > 0 && bytes <= bodyBytesMax ? budget.take(bytes) : nothing
    if (giveBack === null) {
      const message = `${budget.bytes} bytes of bodies are being received, and ${bytes} more would be too much; try again later`
      return exchangeOf(request, reply, log).fail(new CommanderError('overloaded', message))
    }
    request.bodyReceived = giveBack
    if (giveBack !== nothing) reply.raw.once('close', giveBack)
    done()
  }
}

const nothing = (): void => {}

function addRoute(
  app: FastifyInstance,
  route: HttpRoute,
  receiveBody: ReceiveBody,
  { access, log }: FastifyOptions,
): void {
  app.route({
    method: route.method,
    url: routedPath(route.path)
      .replace(/:/g, '::')
      .replace(/\{(\w+)\}/g, ':$1'),
    exposeHeadRoute: route.method === 'GET' && !route.streams,
    schema: { querystring: querySchema(route) },
    onRequest: (request, reply, done) => {
      const { authorization, host, origin } = request.headers
      const refusal = access.refuse(route.scopes, { authorization, host, origin })
      if (refusal === null) return route.method === 'POST' ? receiveBody(request, reply, done) : done()
      if (refusal.challenge !== null) reply.header('www-authenticate', refusal.challenge)
      exchangeOf(request, reply, log).fail(refusal.error)
    },
    handler: (request, reply) => {
      request.bodyReceived?.()
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

function answerError(error: Error, request: FastifyRequest, reply: FastifyReply, options: FastifyOptions): void {
  const { headers, url } = request
  const known = requestError(error, { contentType: headers['content-type'], url, bodyBytesMax: options.bodyBytesMax })
  exchangeOf(request, reply, options.log).fail(known.error, known.status)
}

/** 405 where the path is right and the method is not. */
function answerUnknown(
  request: FastifyRequest,
  reply: FastifyReply,
  verbs: HttpVerbs,
  { routes, log }: FastifyOptions,
): void {
  const exchange = exchangeOf(request, reply, log)
  const unknownVerb = verbs.unknownVerb(request.method, request.originalUrl)
  if (unknownVerb !== null) return exchange.fail(new CommanderError('not_found', unknownVerb))
  const path = request.originalUrl.split('?')[0] as string
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

async function listen(app: FastifyInstance, host: string, port: number): Promise<number> {
  try {
    // Fastify would listen on both addresses of this name with two servers, of which it shows one.
    await app.listen({ host: host === 'localhost' ? '127.0.0.1' : host, port })
  } catch (error) {
    await app.close()
    throw cannotListen(error as NodeJS.ErrnoException, host, port)
  }
  const address = app.server.address()
  return typeof address === 'object' && address !== null ? address.port : port
}

/**
 * Ends the connections that wait for no answer, those that have never asked anything too: a browser opens some ahead of
 * time, and the server would wait for their first request.
 */
async function close(app: FastifyInstance, requests: RunningRequests, log: Log): Promise<void> {
  const { server } = app
  const cut = setTimeout(() => {
    log.warn(
      { requests: requests.count, drainMs: httpLimits.drainMs },
      'HTTP answers did not leave in time and are cut off',
    )
    server.closeAllConnections()
  }, httpLimits.drainMs)
  const closed = app.close()
  requests.whenNone(() => server.closeAllConnections())
  try {
    await closed
  } finally {
    clearTimeout(cut)
  }
}
