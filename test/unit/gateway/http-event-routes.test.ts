import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { EventRoutes } from '../../../src/gateway/http-event-routes.ts'
import type { HttpContext, HttpRoute, HttpStream } from '../../../src/gateway/http-route.ts'
import { createHttpServer, type HttpServerOptions } from '../../../src/gateway/http-server.ts'
import { manualEnvironment, RecordedExchange, SlowStream } from './http-fakes.ts'

class StreamedExchange extends RecordedExchange {
  readonly sent: SlowStream = new SlowStream(1000)

  override header(name: string): string | undefined {
    return name === 'accept' ? 'text/event-stream' : undefined
  }

  override stream(): HttpStream {
    return this.sent
  }
}

function setUp() {
  const { environment, scheduler } = manualEnvironment()
  const listeners = new Set<() => void>()
  const context = {
    environment,
    gateway: {
      marks: { applied: 0 },
      onApplied: (run: () => void) => listeners.add(run) && (() => listeners.delete(run)),
    },
    queries: { log: { blocksFrom: () => [] }, blockEvents: () => [] },
    waiter: { waitFor: (_floor: unknown, _ms: number, done: (error: null) => void) => done(null) },
  }
  const events = new EventRoutes(context as unknown as HttpContext)
  const [route] = events.routes()
  return { events, route: route as HttpRoute, scheduler, listeners, context }
}

const follow = (route: HttpRoute): StreamedExchange => {
  const exchange = new StreamedExchange()
  route.handle(exchange)
  return exchange
}

describe('followed events', () => {
  it('are kept alive by a comment every 15 s, as long as somebody follows', () => {
    const { route, scheduler } = setUp()
    const [first, second] = [follow(route), follow(route)]
    scheduler.advance(15_000)
    second.close()
    scheduler.advance(30_000)
    const comments = ({ sent }: StreamedExchange) => sent.texts.filter((text) => text.startsWith(': ')).length
    expect([comments(first), comments(second)]).toEqual([3, 1])
    first.close()
    scheduler.advance(60_000)
    const third = follow(route)
    scheduler.advance(15_000)
    expect([comments(first), comments(third)]).toEqual([3, 1])
  })

  it('end when the server closes, and leave nothing behind', () => {
    const { events, route, scheduler, listeners } = setUp()
    const { sent } = follow(route)
    events.close()
    scheduler.advance(60_000)
    expect({ isEnded: sent.isEnded, texts: sent.texts, listeners: listeners.size }).toEqual({
      isEnded: true,
      texts: ['retry: 1000\n\n'],
      listeners: 0,
    })
  })
})

describe('the server', () => {
  it('is loaded when it listens, and not before', async () => {
    const isLoaded = () =>
      Object.keys(createRequire(import.meta.url).cache).some((path) => path.includes('/fastify/fastify.js'))
    const { context } = setUp()
    const security = { tokens: [] }
    const server = createHttpServer({
      ...context,
      security,
      limits: { payloadBytes: 1 },
    } as unknown as HttpServerOptions)
    const before = isLoaded()
    await server.listen('127.0.0.1', 0)
    await server.close()
    expect({ before, after: isLoaded() }).toEqual({ before: false, after: true })
  })
})
