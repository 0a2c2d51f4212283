import type { Log } from '../kernel/environment.ts'
import type { TokenConfig } from '../sdk/config.ts'
import { createFastifyServer, type FastifyServer } from './fastify-adapter.ts'
import { Access } from './http-access.ts'
import { commandRoutes } from './http-command-routes.ts'
import { CommandWaits } from './http-command-waits.ts'
import { EventRoutes } from './http-event-routes.ts'
import { httpLimits } from './http-limits.ts'
import { openApiOf } from './http-openapi.ts'
import { operationRoutes } from './http-operation-routes.ts'
import { queueingRoutes } from './http-queueing-routes.ts'
import { readRoutes } from './http-read-routes.ts'
import { HttpReplier } from './http-replier.ts'
import type { HttpContext, HttpRoute } from './http-route.ts'
import { streamRoutes } from './http-stream-routes.ts'
import { systemRoutes } from './http-system-routes.ts'
import { workflowRoutes } from './http-workflow-routes.ts'
import { HttpWorkflowWaits } from './http-workflow-waits.ts'

export interface HttpServerOptions extends HttpContext {
  readonly security: { readonly tokens: readonly TokenConfig[] }
  readonly limits: { readonly payloadBytes: number }
  readonly log: Log
  /** How long a client may take nothing of an answer, in milliseconds. Default 120,000. */
  readonly stalledMs?: number
}

export interface HttpServer {
  /**
   * @param port 0 to 65,535; 0 takes any free one, which the URL then names
   * @throws CommanderError `invalid_config` when the address is taken, not this host's, or open to others without tokens
   */
  listen(host: string, port: number): Promise<{ readonly url: string }>
  /** Ends followed streams, answers what is under way, within a bound, and takes nothing more. Idempotent. */
  close(): Promise<void>
}

/** The database over HTTP: JSON, problem details for errors (RFC 9457), OpenAPI at `/openapi.json`. */
export function createHttpServer(options: HttpServerOptions): HttpServer {
  const { environment, security, log, version } = options
  const access = new Access(security.tokens)
  const replier = new HttpReplier(environment)
  const waits = new CommandWaits(options)
  const workflowWaits = new HttpWorkflowWaits(options)
  const events = new EventRoutes(options)
  const routes: HttpRoute[] = [
    ...commandRoutes(options, replier, waits),
    ...operationRoutes(options, replier, waits),
    ...readRoutes(options),
    ...streamRoutes(options),
    ...workflowRoutes(options, replier, workflowWaits),
    ...queueingRoutes(options),
    ...events.routes(),
    ...systemRoutes(options, () => openApiOf(routes, version, security.tokens.length > 0)),
  ]
  const bodyBytesMax = options.limits.payloadBytes * httpLimits.bodyBytesPerPayloadByte
  const stalled = options.stalledMs === undefined ? {} : { stalledMs: options.stalledMs }
  let server: FastifyServer | null = null
  let closed: Promise<void> | null = null
  const close = async (): Promise<void> => {
    waits.close()
    workflowWaits.close()
    events.close()
    await server?.close()
    replier.close()
  }
  return {
    async listen(host, port) {
      access.assertMayListen(host)
      server = await createFastifyServer({ routes, access, bodyBytesMax, log, ...stalled })
      const bound = await server.listen(host, port)
      return { url: `http://${hostOf(host)}:${bound}` }
    },
    close() {
      closed ??= close()
      return closed
    },
  }
}

/** A host that a client can connect to: addresses that mean "any" stand for this one. */
function hostOf(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}
