import { limits } from '../kernel/limits.ts'
import { appliedHeader, readFloorOf, whenApplied } from './http-apply-wait.ts'
import { EventReading } from './http-event-reading.ts'
import { PageSink } from './http-event-sinks.ts'
import { StreamSource } from './http-event-sources.ts'
import { addressed } from './http-names.ts'
import type { HttpContext, HttpRoute } from './http-route.ts'
import {
  aggregateParams,
  anything,
  appliedLsn,
  eventList,
  integer,
  json,
  object,
  problem,
  projectionList,
  readFloor,
  text,
} from './http-schemas.ts'

const notInTime = problem('The store did not reach `minLsn` in time, or no leader confirmed a linearizable read')
const noRoom = problem('The store has no room on its disk, and applies nothing')

/** States, streams and projections, as the store has them. */
export function readRoutes(context: HttpContext): HttpRoute[] {
  return [...aggregateRoutes(context), ...projectionRoutes(context)]
}

function aggregateRoutes(context: HttpContext): HttpRoute[] {
  const { gateway, queries } = context
  return [
    {
      method: 'GET',
      path: '/v1/aggregates/{type}/{id}',
      operation: 'getState',
      summary: "An aggregate's state",
      description: 'Its initial state, at revision 0, before the first event.',
      scopes: ['read'],
      params: aggregateParams,
      query: { atLsn: integer('As it was when this entry was applied'), ...readFloor },
      answers: {
        200: {
          ...json(
            'The state',
            object({
              aggregate: object({ type: text('Type'), id: text('Id') }),
              revision: integer('Of the latest event'),
              state: anything('As the application folds it'),
            }),
          ),
          headers: { ETag: text('The revision in quotes, for If-Match'), ...appliedLsn },
        },
        404: problem('Unknown aggregate type'),
        410: problem('The stream was deleted'),
        504: notInTime,
        507: noRoom,
      },
      handle: (exchange) => {
        const { type, id } = addressed(gateway, exchange)
        const atLsn = exchange.query['atLsn'] as number | undefined
        const floor = readFloorOf(exchange)
        const wanted = atLsn === undefined ? floor : { ...floor, minLsn: Math.max(atLsn, floor.minLsn ?? 0) }
        whenApplied(context, exchange, wanted, () => {
          const view = queries.state(type, id, atLsn)
          exchange.json(200, view, { etag: `"${view.revision}"`, ...appliedHeader(context) })
        })
      },
    },
    {
      method: 'GET',
      path: '/v1/streams/{type}/{id}',
      operation: 'readStream',
      summary: "An aggregate's events",
      scopes: ['read'],
      params: aggregateParams,
      query: {
        fromRevision: integer('First revision wanted; default 1'),
        limit: integer(`At most this many; default ${limits.pageEventsMax}, and never more`, 1),
        ...readFloor,
      },
      answers: {
        200: {
          ...json('One page', object({ events: eventList, nextRevision: integer('Where the next page begins', 1) })),
          headers: appliedLsn,
        },
        404: problem('Unknown aggregate type'),
        410: problem('The stream was deleted'),
        504: notInTime,
        507: noRoom,
      },
      handle: (exchange) => {
        const { type, id } = addressed(gateway, exchange)
        const from = (exchange.query['fromRevision'] as number | undefined) ?? 1
        const wanted = (exchange.query['limit'] as number | undefined) ?? limits.pageEventsMax
        const limit = Math.min(wanted, limits.pageEventsMax)
        whenApplied(context, exchange, readFloorOf(exchange), () => {
          // Before the answer begins: afterwards it could only be cut off.
          queries.stream(type, id, from, 1)
          const source = new StreamSource(queries, type, id, from)
          const sink = new PageSink(
            exchange.stream('application/json; charset=utf-8', appliedHeader(context)),
            'nextRevision',
          )
          const reading = new EventReading(context.environment, {
            source,
            sink,
            limit,
            archived: queries.archived,
            follows: false,
          })
          exchange.onClosed(() => reading.abandon())
        })
      },
    },
  ]
}

function projectionRoutes(context: HttpContext): HttpRoute[] {
  const { queries } = context
  return [
    {
      method: 'GET',
      path: '/v1/projections/{name}/{key}',
      operation: 'getProjectionRow',
      summary: 'One row of a projection',
      scopes: ['read'],
      params: { name: text('Projection'), key: text('Key of the row, percent-encoded') },
      query: readFloor,
      answers: {
        200: {
          ...json(
            'The row',
            object({
              name: text('Projection'),
              key: text('Key'),
              version: integer('Of the projection', 1),
              value: anything('The row'),
            }),
          ),
          headers: appliedLsn,
        },
        404: problem('Unknown projection, or it has no such row'),
        504: notInTime,
        507: noRoom,
      },
      handle: (exchange) => {
        const { name, key } = exchange.params as { name: string; key: string }
        whenApplied(context, exchange, readFloorOf(exchange), () =>
          exchange.json(200, queries.projection(name, key), appliedHeader(context)),
        )
      },
    },
    {
      method: 'GET',
      path: '/v1/projections',
      operation: 'listProjections',
      summary: 'All projections and how far they are',
      scopes: ['read'],
      answers: { 200: json('The projections', object({ projections: projectionList })) },
      handle: (exchange) => exchange.json(200, { projections: queries.projections() }),
    },
    {
      method: 'POST',
      path: '/v1/projections/{name}:rebuild',
      operation: 'rebuildProjection',
      summary: 'Build a projection anew from the first event; it is not read until that is done',
      scopes: ['operate'],
      params: { name: text('Projection') },
      answers: { 202: json('It begins', object({ name: text('Projection') })), 404: problem('Unknown projection') },
      handle: (exchange) => {
        const name = exchange.params['name'] as string
        context.rebuild(name, (error) => (error === null ? exchange.json(202, { name }) : exchange.fail(error)))
      },
    },
  ]
}
