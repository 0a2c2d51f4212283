import type { HttpContext, HttpRoute } from './http-route.ts'
import { json, list, object, reference } from './http-schemas.ts'
import { queuesOf, schedulesOf } from './queueing-views.ts'

/** When workflows are started, and what waits its turn. */
export function queueingRoutes({ gateway, environment }: HttpContext): HttpRoute[] {
  return [
    {
      method: 'GET',
      path: '/v1/schedules',
      operation: 'listSchedules',
      summary: 'All schedules, with the next and the last time of each',
      scopes: ['read', 'operate'],
      answers: { 200: json('The schedules', object({ schedules: list(reference('Schedule')) })) },
      handle: (exchange) => exchange.json(200, { schedules: schedulesOf(gateway.state, environment.clock.wallMs()) }),
    },
    {
      method: 'GET',
      path: '/v1/queues',
      operation: 'listQueues',
      summary: 'Partitions of queues: what waits in them, what runs, and their limits',
      description: 'Those in which most waits come first; at most 10,000.',
      scopes: ['read', 'operate'],
      answers: { 200: json('The partitions', object({ queues: list(reference('Queue')) })) },
      handle: (exchange) => exchange.json(200, { queues: queuesOf(gateway.state) }),
    },
  ]
}
