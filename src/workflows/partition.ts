import { CommanderError, messageOf } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import type { AnyQueue } from '../sdk/queue.ts'

/**
 * The partition of a queue that data belongs to.
 * @throws CommanderError `invalid_input` where the definition's function throws, or returns what is no key
 */
export function partitionOf({ partitionKey }: AnyQueue, data: unknown, id: string, subject: string): string {
  if (partitionKey === undefined) return ''
  const key = keyOf(partitionKey, data, id, subject)
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
): unknown {
  try {
    return partitionKey(data, id)
  } catch (error) {
    throw threw(subject, error)
  }
}

const threw = (subject: string, cause: unknown): CommanderError =>
  new CommanderError('invalid_input', `the partitionKey of ${subject} threw: ${messageOf(cause)}`, { cause })
