import { CommanderError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'

const pattern = /^[A-Za-z][A-Za-z0-9_.-]*$/

/**
 * Names of applications, aggregates, commands, events and projections: 1 to 128 ASCII characters of
 * `[A-Za-z0-9_.-]`, a letter first. They are part of URLs, store keys, file names and process names.
 */
export function isName(value: unknown, lengthMax: number = limits.nameBytesMax): value is string {
  return typeof value === 'string' && value.length <= lengthMax && pattern.test(value)
}

/** @throws CommanderError `invalid_module` */
export function assertName(
  value: unknown,
  subject: string,
  lengthMax: number = limits.nameBytesMax,
): asserts value is string {
  if (isName(value, lengthMax)) return
  const found = typeof value === 'string' ? foundText(value, lengthMax) : typeof value
  throw new CommanderError(
    'invalid_module',
    `${subject} is ${found}, but must be a string of 1 to ${lengthMax} characters: ` +
      'a letter, then letters, digits, "_", "." or "-"',
  )
}

const shownMax = 40

const foundText = (value: string, lengthMax: number): string =>
  value.length <= lengthMax
    ? JSON.stringify(value)
    : `${JSON.stringify(`${value.slice(0, shownMax)}…`)}, which has ${value.length} characters`
