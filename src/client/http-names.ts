import { CommanderError } from '../kernel/errors.ts'
import { payloadDepthMax } from '../sdk/command-payload.ts'
import type { QueueingOptions } from './workflow-options.ts'

/** A name or an id as one segment of a path. @throws CommanderError `invalid_input` */
export function segment(kind: string, text: string): string {
  // URLs take "." and ".." for directories, however they are encoded.
  if (text === '' || text === '.' || text === '..' || !text.isWellFormed()) {
    throw new CommanderError(
      'invalid_input',
      `${kind} ${JSON.stringify(text)} cannot be said in a URL; use another one`,
    )
  }
  return encodeURIComponent(text)
}

/** What is `undefined` is left out. */
export function query(values: Readonly<Record<string, string | number | undefined>>): string {
  const given = Object.entries(values).filter((pair): pair is [string, string | number] => pair[1] !== undefined)
  if (given.length === 0) return ''
  return `?${given.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&')}`
}

/** The value of `Idempotency-Key`: quoted, as bytes of UTF-8. @throws CommanderError `invalid_input` */
export function keyHeader(key: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these would end the header
  if (/[\u0000-\u001f\u007f]/.test(key) || !key.isWellFormed()) {
    throw new CommanderError(
      'invalid_input',
      `the idempotency key ${JSON.stringify(key)} has characters that a header cannot hold`,
    )
  }
  return `"${Buffer.from(key.replace(/["\\]/g, '\\$&'), 'utf8').toString('latin1')}"`
}

/** When a command may be started: what they hold is for the gateway to check. */
export const queueingHeaders = ({ priority, delayMs }: QueueingOptions): Readonly<Record<string, string>> => ({
  ...(priority === undefined ? {} : { 'command-priority': String(priority) }),
  ...(delayMs === undefined ? {} : { 'command-delay-ms': String(delayMs) }),
})

/** The body that stands for the data of a command. @throws CommanderError `invalid_input` for what JSON would change */
export function bodyOf(data: unknown): string | null {
  assertJson(data, 0)
  return JSON.stringify(data) ?? null
}

function assertJson(value: unknown, depth: number): void {
  switch (typeof value) {
    case 'bigint':
      throw notJson('a bigint')
    case 'number':
      if (!Number.isFinite(value)) throw notJson(String(value))
      return
    case 'object':
      break
    default:
      return
  }
  if (value === null) return
  if (depth > payloadDepthMax) {
    const message = `the data of the command is nested more than ${payloadDepthMax} levels deep, or refers to itself; flatten it`
    throw new CommanderError('invalid_input', message)
  }
  const isBytes = ArrayBuffer.isView(value) || value instanceof ArrayBuffer
  if (isBytes || value instanceof Date || value instanceof Map || value instanceof Set)
    throw notJson(value.constructor.name)
  for (const item of Object.values(value)) assertJson(item, depth + 1)
}

const notJson = (what: string): CommanderError =>
  new CommanderError(
    'invalid_input',
    `the data of the command holds ${what}, which JSON cannot carry; send text, or connect by dataDir`,
  )
