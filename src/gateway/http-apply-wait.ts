import { httpLimits } from './http-limits.ts'
import type { HttpContext, HttpExchange } from './http-route.ts'

export const minLsnOf = (exchange: HttpExchange): number => (exchange.query['minLsn'] as number | undefined) ?? 0

/** Calls `read` once the store has applied `lsn`, unless the client is gone by then. */
export function whenApplied({ waiter }: HttpContext, exchange: HttpExchange, lsn: number, read: () => void): void {
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
