import type { RequestOperation } from '../workflows/operation.ts'
import type { EventOfType } from '../workflows/workflow-events.ts'
import type { RequestResult } from './running-requests.ts'

/** A longer pause is kept by a timer of the database, so that the workflow takes no memory meanwhile. */
const pauseInMemoryMs = 5_000

type Failed = Extract<RequestResult, { error: unknown }>

/** What becomes of a request whose attempt failed. @param failures before this one */
export function afterFailure(
  { id, policy }: RequestOperation,
  attempt: number,
  failures: number,
  { error, isTerminal, retryAfterMs }: Failed,
  atMs: number,
): EventOfType<'request/failed'> {
  const { maxAttempts, initialDelayMs, maxDelayMs, onExhausted } = policy.retry
  const isLast = failures + 1 >= maxAttempts
  const base = { operation: id, attempt, error, atMs }
  if (isTerminal || (isLast && onExhausted === 'fail')) {
    const thrown = isTerminal ? error : { ...error, code: 'request_failed', details: { cause: error.code } }
    return { type: 'request/failed', data: { ...base, error: thrown, next: 'final', retryAtMs: null, isTimer: false } }
  }
  if (isLast) return { type: 'request/failed', data: { ...base, next: 'exhausted', retryAtMs: null, isTimer: false } }
  const delayMs = retryAfterMs ?? Math.min(maxDelayMs, initialDelayMs * 2 ** failures)
  const retryAtMs = Math.ceil(atMs + delayMs)
  return { type: 'request/failed', data: { ...base, next: 'again', retryAtMs, isTimer: delayMs > pauseInMemoryMs } }
}

/** It failed in every attempt, or its result cannot be recorded. A `TerminalError` is an answer, and not meant. */
export const isGivenUp = ({ data: { next, error } }: EventOfType<'request/failed'>): boolean =>
  next === 'exhausted' || (next === 'final' && (error.code === 'request_failed' || error.code === 'result_invalid'))
