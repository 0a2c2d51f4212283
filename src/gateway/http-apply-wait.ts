import { type ArchivedElsewhere, isArchivedElsewhere } from '../tables/archived-streams.ts'
import { httpLimits } from './http-limits.ts'
import type { HttpContext, HttpExchange } from './http-route.ts'

/** Undefined: the reader asks for nothing special, and then sees all that anybody here was told is done. */
export const minLsnOf = (exchange: HttpExchange): number | undefined => exchange.query['minLsn'] as number | undefined

/** Calls `read` once the store has applied `lsn`, unless the client is gone by then. */
export function whenApplied(
  context: HttpContext,
  exchange: HttpExchange,
  lsn: number | undefined,
  read: () => void,
): void {
  if (lsn === 0) {
    readNow(context, exchange, read)
    return
  }
  context.waiter.wait(lsn, httpLimits.readWaitMs, (error) => {
    if (!exchange.isOpen) return
    if (error !== null) return exchange.fail(error)
    readNow(context, exchange, read)
  })
}

/** Reads, and again when what was archived has been brought back. */
export function readNow(context: HttpContext, exchange: HttpExchange, read: () => void): void {
  if (!exchange.isOpen) return
  try {
    read()
  } catch (failure) {
    if (isArchivedElsewhere(failure)) bringBack(context, exchange, failure, read)
    else exchange.fail(failure)
  }
}

function bringBack(context: HttpContext, exchange: HttpExchange, elsewhere: ArchivedElsewhere, read: () => void): void {
  context.queries.archived.load(elsewhere).then(
    () => readNow(context, exchange, read),
    (error: unknown) => exchange.fail(error),
  )
}
