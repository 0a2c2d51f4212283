import { CommanderError, messageOf } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import type { AnyQueue } from '../sdk/queue.ts'

/**
 * The partition of a queue that data belongs to.
 * @param given what the application's function is given of it
 * @throws CommanderError `invalid_input` where the definition's function throws, or returns what is no key
 */
export function partitionOf(
  { partitionKey }: AnyQueue,
  data: unknown,
  id: string,
  subject: string,
  given: unknown = data,
): string {
  if (partitionKey === undefined) return ''
  const key = keyOf(partitionKey, data, id, subject, given)
  const isKey = typeof key === 'string' && key.isWellFormed() && Buffer.byteLength(key) <= limits.partitionBytesMax
  if (isKey) return key
  const found = typeof key === 'string' ? `${Buffer.byteLength(key)} bytes` : typeof key
  const message = `the partitionKey of ${subject} returned ${found}; it must be a text of at most ${limits.partitionBytesMax} bytes`
  throw new CommanderError('invalid_input', message)
}

function keyOf(
  partitionKey: NonNullable<AnyQueue['partitionKey']>,
  data: unknown,
  id: string,
  subject: string,
  given: unknown,
): unknown {
  try {
    return partitionKey(data, id)
  } catch (error) {
    throw threw(subject, given, error)
  }
}

function threw(subject: string, given: unknown, cause: unknown): CommanderError {
  const missing = given === undefined || given === null ? '; it was given nothing: send the data that it reads' : ''
  return new CommanderError('invalid_input', `the partitionKey of ${subject} threw: ${messageOf(cause)}${missing}`, {
    cause,
  })
}
