import { CommanderError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import type { RetryOptions } from './aggregate-types.ts'
import { assertIntegerOption } from './definition.ts'

const hourMs = 3_600_000

export const retryDefaults: Required<RetryOptions> = {
  maxAttempts: limits.attemptsDefault,
  initialDelayMs: 100,
  maxDelayMs: 10_000,
}

/** The options of a retry policy with every default filled in. @throws CommanderError `invalid_module` */
export function retryOptionsOf(
  input: Readonly<Record<string, unknown>>,
  defaults: Required<RetryOptions>,
  subject: string,
): Required<RetryOptions> {
  const option = (key: keyof RetryOptions, min: number, max: number): number =>
    assertIntegerOption(input[key], defaults[key], min, max, `${subject}.${key}`)
  const initialDelayMs = option('initialDelayMs', 0, hourMs)
  const maxDelayMs =
    input.maxDelayMs === undefined ? Math.max(defaults.maxDelayMs, initialDelayMs) : option('maxDelayMs', 0, hourMs)
  if (maxDelayMs < initialDelayMs) {
    const message = `${subject}.maxDelayMs is ${maxDelayMs}, but must not be below retry.initialDelayMs, ${initialDelayMs}`
    throw new CommanderError('invalid_module', message)
  }
  return { maxAttempts: option('maxAttempts', 1, limits.attemptsMax), initialDelayMs, maxDelayMs }
}
