import { unreachable } from '../kernel/assert.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { ValueKind } from './config-key.ts'
import { describe } from './definition.ts'

/** Where a value was found, and under which key: both are named when it is wrong. */
export interface ValueSource {
  readonly key: string
  /** For example `commanderdb.config.ts`, `--http-port` or `COMMANDERDB_HTTP_PORT`. */
  readonly origin: string
  readonly unit?: string
}

type ScalarKind = Exclude<ValueKind, { readonly type: 'list' }>

/** Text from a flag or a variable as the value that it stands for; text that stands for none stays text, for the check to refuse. */
export function parseText(kind: ValueKind, text: string): unknown {
  switch (kind.type) {
    case 'integer':
      return kind.orFalse === true && isNo(text) ? false : parseNumber(text)
    case 'number':
      return parseNumber(text)
    case 'boolean':
      return parseBoolean(text)
    case 'integers':
      return text.split(',').flatMap(parseRange)
    case 'choices':
      return text.split(',').map((item) => item.trim())
    case 'texts':
      return text.trimStart().startsWith('[') ? parseJson(text) : text.split(/\s+/).filter((item) => item !== '')
    case 'record':
      return parseJson(text)
    case 'list':
      return text.trimStart().startsWith('[') || kind.shorthand === undefined ? parseJson(text) : text.split(',')
    case 'text':
    case 'path':
    case 'choice':
      return text
    default:
      return unreachable(kind)
  }
}

/** @throws CommanderError `invalid_config` naming the key, the value, the range and the origin */
export function checkValue(kind: ScalarKind, value: unknown, source: ValueSource): void {
  if (isOfKind(kind, value)) return
  const unit = source.unit === undefined ? '' : ` (${source.unit})`
  throw new CommanderError(
    'invalid_config',
    `${source.origin}: ${source.key} is ${shown(kind, value)}, but must be ${expectedBy(kind)}${unit}`,
    { details: { key: source.key, origin: source.origin } },
  )
}

/** Whoever puts the token where its digest belongs must not find it in the log. */
function shown(kind: ScalarKind, value: unknown): string {
  return kind.type === 'text' && kind.isSecret && typeof value === 'string' ? 'another text' : describe(value)
}

function isOfKind(kind: ScalarKind, value: unknown): boolean {
  switch (kind.type) {
    case 'integer':
      return (kind.orFalse === true && value === false) || isIntegerWithin(value, kind, kind.multipleOf)
    case 'number':
      return typeof value === 'number' && value >= kind.min && value <= kind.max
    case 'boolean':
      return typeof value === 'boolean'
    case 'text':
      return typeof value === 'string' && value !== '' && (kind.pattern?.test(value) ?? true)
    case 'path':
      return typeof value === 'string' && value !== '' && !value.includes('\0')
    case 'choice':
      return typeof value === 'string' && kind.choices.includes(value)
    case 'choices':
      return isListOf(value, (item) => typeof item === 'string' && kind.choices.includes(item))
    case 'integers':
      return isListOf(value, (item) => isIntegerWithin(item, kind, 1))
    case 'texts':
      return Array.isArray(value) && value.every((item) => typeof item === 'string' && item !== '')
    case 'record':
      return isTextRecord(value)
    default:
      return unreachable(kind)
  }
}

function expectedBy(kind: ScalarKind): string {
  switch (kind.type) {
    case 'integer': {
      const multiple = kind.multipleOf === undefined ? 'an integer' : `a multiple of ${kind.multipleOf}`
      return `${multiple} from ${kind.min} to ${kind.max}${kind.orFalse === true ? ', or false' : ''}`
    }
    case 'number':
      return `a number from ${kind.min} to ${kind.max}`
    case 'boolean':
      return 'true or false'
    case 'text':
      return kind.expected ?? 'a text that is not empty'
    case 'path':
      return 'a path'
    case 'choice':
      return `one of ${kind.choices.join(', ')}`
    case 'choices':
      return `a list of at least one of ${kind.choices.join(', ')}`
    case 'integers':
      return `a list of at least one integer from ${kind.min} to ${kind.max}`
    case 'texts':
      return 'a list of texts'
    case 'record':
      return 'an object whose values are all texts'
    default:
      return unreachable(kind)
  }
}

function isIntegerWithin(value: unknown, range: { min: number; max: number }, multipleOf = 1): boolean {
  if (!Number.isSafeInteger(value)) return false
  const integer = value as number
  return integer >= range.min && integer <= range.max && integer % multipleOf === 0
}

function isListOf(value: unknown, is: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(is)
}

function isTextRecord(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return Object.values(value).every((item) => typeof item === 'string')
}

function parseBoolean(text: string): unknown {
  if (isNo(text) || text.trim() === '0') return false
  return /^(true|on|yes|1)$/i.test(text.trim()) ? true : text
}

const isNo = (text: string): boolean => /^(false|off|no)$/i.test(text.trim())

function parseNumber(text: string): unknown {
  return /^\s*[+-]?\d[\d_]*(\.\d+)?\s*$/.test(text) ? Number(text.replaceAll('_', '')) : text
}

const cpusMax = 4096

/** `0-3` as Linux writes sets of CPUs. */
function parseRange(text: string): readonly unknown[] {
  const range = /^\s*(\d+)-(\d+)\s*$/.exec(text)
  if (range === null) return [parseNumber(text)]
  const [first, last] = [Number(range[1]), Number(range[2])]
  if (last < first || last >= cpusMax) return [text]
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
