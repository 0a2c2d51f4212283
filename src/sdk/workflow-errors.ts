import { hasBrand } from '../kernel/brand.ts'

const terminalBrand = Symbol.for('commanderdb.terminal')
const retryableBrand = Symbol.for('commanderdb.retryable')

/**
 * Thrown by a request's effect or by a workflow: trying again will not help. A request that throws it is not tried again and
 * throws it into the workflow; a workflow that throws it undoes what it has compensations for, and ends as failed.
 *
 * Known by a symbol and not by its class, because two copies of the package may be loaded and because it comes back from
 * the journal.
 *
 * @example
 * throw new TerminalError('card_declined', 'the card was declined', { orderId })
 */
export class TerminalError extends Error {
  /** For programs; chosen by the application, for example `card_declined`. */
  readonly code: string
  /** Values for programs; must survive JSON. */
  readonly details: unknown

  constructor(code: string, message: string = code, details?: unknown) {
    super(message)
    this.name = 'TerminalError'
    this.code = code
    this.details = details
    Object.defineProperty(this, terminalBrand, { value: true })
  }
}

/**
 * Thrown by a request's effect: try again, after `retryAfterMs` if the other side has said so. Every error that is no
 * `TerminalError` counts as retryable; this one is for saying when.
 */
export class RetryableError extends Error {
  /** Milliseconds, 0 or more; undefined: as the retry policy says. */
  readonly retryAfterMs: number | undefined

  constructor(message: string, options: { readonly retryAfterMs?: number; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'RetryableError'
    this.retryAfterMs = options.retryAfterMs
    Object.defineProperty(this, retryableBrand, { value: true })
  }
}

/** Codes of the terminal errors that CommanderDB itself throws into workflows. */
export const workflowErrorCodes = {
  cancelled: 'the workflow was cancelled',
  timeout: 'the time was over: of the workflow, or of a signal that it waited for',
  request_failed: 'a request failed in every attempt, and its policy is to fail',
  result_invalid: 'a request has returned what cannot be recorded',
  child_failed: 'a child workflow failed or was cancelled',
  conflict: 'a workflow with this id was started before with other input',
} as const

export function isTerminalError(value: unknown): value is TerminalError {
  return hasBrand(value, terminalBrand)
}

export function isRetryableError(value: unknown): value is RetryableError {
  return hasBrand(value, retryableBrand)
}
