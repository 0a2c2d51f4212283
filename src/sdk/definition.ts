import { CommanderError } from '../kernel/errors.ts'
import { assertName } from './name.ts'
import type { StandardSchema } from './standard-schema.ts'
import { isStandardSchema } from './standard-schema.ts'

export type Handlers = Readonly<Record<string, (...args: never[]) => unknown>>

/** @throws CommanderError `invalid_module` */
export function assertObject(value: unknown, subject: string): asserts value is Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return
  throw new CommanderError('invalid_module', `${subject} is ${describe(value)}, but must be an object`)
}

/** @throws CommanderError `invalid_module`, so that a misspelt option is not silently without effect */
export function assertKnownKeys(value: object, known: ReadonlySet<string>, subject: string): void {
  for (const key of Object.keys(value)) {
    if (known.has(key)) continue
    throw new CommanderError(
      'invalid_module',
      `${subject} has the unknown key "${key}"; known are ${[...known].join(', ')}`,
    )
  }
}

/** @throws CommanderError `invalid_module` */
export function assertIntegerOption(
  value: unknown,
  otherwise: number,
  min: number,
  max: number,
  subject: string,
): number {
  if (value === undefined) return otherwise
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return value as number
  throw new CommanderError(
    'invalid_module',
    `${subject} is ${describe(value)}, but must be an integer from ${min} to ${max}`,
  )
}

/**
 * A frozen copy without a prototype: a name that comes from a client is looked up in it, and must not find
 * `constructor` or `toString`.
 *
 * @throws CommanderError `invalid_module`
 */
export function copyHandlers(input: unknown, subject: string, kind: string, needsOne: boolean): Handlers {
  assertObject(input, subject)
  const handlers: Record<string, Handlers[string]> = Object.create(null)
  for (const [name, handler] of Object.entries(input)) {
    assertName(name, `${subject}: a key`)
    handlers[name] = synchronous(handler, `${subject}.${name}`)
  }
  if (needsOne && Object.keys(handlers).length === 0) {
    throw new CommanderError('invalid_module', `${subject} is empty, but must have a function for at least one ${kind}`)
  }
  return Object.freeze(handlers)
}

function synchronous(handler: unknown, subject: string): Handlers[string] {
  if (typeof handler !== 'function') {
    throw new CommanderError('invalid_module', `${subject} is ${describe(handler)}, but must be a function`)
  }
  const tag = Object.prototype.toString.call(handler)
  if (tag !== '[object Function]') {
    const found = tag.slice('[object '.length, -1)
    throw new CommanderError(
      'invalid_module',
      `${subject} is of type ${found}, but must be a plain synchronous function`,
    )
  }
  return handler as Handlers[string]
}

/** @throws CommanderError `invalid_module` */
export function copySchemas(
  input: unknown,
  handlers: object,
  subject: string,
): Readonly<Record<string, StandardSchema>> {
  const schemas: Record<string, StandardSchema> = Object.create(null)
  if (input === undefined) return Object.freeze(schemas)
  assertObject(input, subject)
  assertKnownKeys(input, new Set(Object.keys(handlers)), subject)
  for (const [name, schema] of Object.entries(input)) {
    if (schema === undefined) continue
    if (!isStandardSchema(schema)) {
      const message = `${subject}.${name} is ${describe(schema)}, but must be a Standard Schema version 1 (zod, valibot…)`
      throw new CommanderError('invalid_module', message)
    }
    schemas[name] = schema
  }
  return Object.freeze(schemas)
}

/** A value as an error message shows it: short, and never an exception of its own. */
export function describe(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  switch (typeof value) {
    case 'undefined':
      return 'missing'
    case 'object':
      return 'an object'
    case 'function':
      return 'a function'
    case 'string':
      return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value)
    default:
      return String(value)
  }
}
