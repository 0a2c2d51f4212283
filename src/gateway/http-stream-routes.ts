import { addressed } from './http-names.ts'
import type { HttpContext, HttpExchange, HttpRoute } from './http-route.ts'
import { aggregateParams, integer, json, problem } from './http-schemas.ts'
import type { StreamView } from './queries.ts'

const life = json('What has become of it', 'Stream')

/** What operators decide on streams. */
export function streamRoutes(context: HttpContext): HttpRoute[] {
  const { streams } = context
  return [
    {
      method: 'GET',
      path: '/v1/streams/{type}/{id}/life',
      operation: 'getStreamLife',
      summary: 'Whether a stream is open, closed or deleted',
      scopes: ['read', 'operate'],
      params: aggregateParams,
      answers: { 200: life, 404: problem('Unknown aggregate type') },
      handle: (exchange) => answer(context, exchange, (type, id) => streams.life(type, id)),
    },
    {
      method: 'POST',
      path: '/v1/streams/{type}/{id}:close',
      operation: 'closeStream',
      summary: 'The aggregate takes no further command, for good',
      description: 'Commands received before are still decided; later ones are answered 409. Reads go on.',
      scopes: ['operate'],
      params: aggregateParams,
      answers: {
        200: life,
        404: problem('Unknown aggregate type, or nothing was ever sent to this id'),
        410: problem('The stream was deleted'),
      },
      handle: (exchange) => answer(context, exchange, (type, id) => streams.close(type, id)),
    },
    {
      method: 'POST',
      path: '/v1/streams/{type}/{id}:archive',
      operation: 'archiveStream',
      summary: 'Put events of a stream into the archive and remove them from the store',
      description:
        'The aggregate goes on, and reads bring the events back. Answered when it is done: ask again after a 504.',
      scopes: ['operate'],
      params: aggregateParams,
      query: { upTo: integer('Last revision to be archived; default: the latest', 1) },
      answers: {
        200: life,
        400: problem('There is no such revision, or the state cannot be saved as a snapshot'),
        404: problem('Unknown aggregate type, or nothing was ever sent to this id'),
        410: problem('The stream was deleted'),
        500: problem('The database has no archive'),
      },
      handle: (exchange) => {
        const upTo = exchange.query['upTo'] as number | undefined
        answer(context, exchange, (type, id) => streams.archive(type, id, upTo))
      },
    },
    {
      method: 'POST',
      path: '/v1/streams/{type}/{id}:delete',
      operation: 'deleteStream',
      summary: 'Close a stream and remove its events from the store, for good',
      description:
        'The positions of its events are left out by whoever reads all events; its id is not used again: commands and ' +
        'reads are answered 410. Journal, archive and backups keep what they hold.',
      scopes: ['operate'],
      params: aggregateParams,
      answers: {
        200: life,
        404: problem('Unknown aggregate type, or nothing was ever sent to this id'),
        409: problem('Commands from before it was closed do not end'),
      },
      handle: (exchange) => answer(context, exchange, (type, id) => streams.delete(type, id)),
    },
  ]
}

function answer(
  { gateway }: HttpContext,
  exchange: HttpExchange,
  operate: (type: string, id: string) => Promise<StreamView>,
): void {
  const { type, id } = addressed(gateway, exchange)
  operate(type, id).then(
    (view) => exchange.json(200, view),
    (error: unknown) => exchange.fail(error),
  )
}
