import type { ReadFloor } from '../ipc/client-protocol.ts'
import { type ArchivedElsewhere, isArchivedElsewhere } from '../tables/archived-streams.ts'
import { httpLimits } from './http-limits.ts'
import type { HttpContext, HttpExchange } from './http-route.ts'

/** Empty: the reader asks for nothing special, and then sees all that anybody here was told is done. */
export const readFloorOf = ({ query }: HttpExchange): ReadFloor => query as ReadFloor

/** How far the store was, for a later read that is to see no less, on whichever node. */
export const appliedHeader = ({ gateway }: HttpContext): Readonly<Record<string, string>> => ({
  'applied-lsn': String(gateway.marks.applied),
})

/** Calls `read` once the store has applied what it is to see, unless the client is gone by then. */
export function whenApplied(context: HttpContext, exchange: HttpExchange, floor: ReadFloor, read: () => void): void {
  context.waiter.waitFor(floor, httpLimits.readWaitMs, (error) => {
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
