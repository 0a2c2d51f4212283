import { httpLimits } from './http-limits.ts'
import type { HttpContext, HttpExchange } from './http-route.ts'

/** Undefined: the reader asks for nothing special, and then sees all that anybody here was told is done. */
export const minLsnOf = (exchange: HttpExchange): number | undefined => exchange.query['minLsn'] as number | undefined

/** Calls `read` once the store has applied `lsn`, unless the client is gone by then. */
export function whenApplied(
  { waiter }: HttpContext,
  exchange: HttpExchange,
  lsn: number | undefined,
  read: () => void,
): void {
  if (lsn === 0) {
    read()
    return
  }
  waiter.wait(lsn, httpLimits.readWaitMs, (error) => {
    if (!exchange.isOpen) return
    if (error !== null) return exchange.fail(error)
    try {
      read()
    } catch (failure) {
      exchange.fail(failure)
    }
  })
}
