import { messageOf } from '../kernel/errors.ts'
import { UsageError } from './exit-code.ts'

export interface AggregateArgument {
  readonly type: string
  readonly id: string
}

/** `account/42`. Ids may hold slashes, types may not. */
export function parseAggregate(text: string): AggregateArgument {
  const [type, id] = partsOf(text, 'AGGREGATE/ID', 'account/42')
  return { type, id }
}

/** `order/17`. Ids may hold slashes, names may not. */
export function parseWorkflow(text: string): { readonly name: string; readonly id: string } {
  const [name, id] = partsOf(text, 'NAME/ID', 'order/17')
  return { name, id }
}

function partsOf(text: string, form: string, example: string): [name: string, id: string] {
  const slash = text.indexOf('/')
  if (slash > 0 && slash < text.length - 1) return [text.slice(0, slash), text.slice(slash + 1)]
  throw new UsageError(`"${text}" is not ${form}; write for example ${example}`)
}

/** @param name of the flag or argument, for errors */
export function parseInteger(name: string, text: string, min = 0, max: number = Number.MAX_SAFE_INTEGER): number {
  const value = Number(text)
  if (/^[0-9]+$/.test(text) && Number.isSafeInteger(value) && value >= min && value <= max) return value
  const range = max === Number.MAX_SAFE_INTEGER ? `of ${min} or more` : `from ${min} to ${max}`
  throw new UsageError(`${name} is "${text}", but must be a whole number ${range}`)
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `250ms`, `5s`, `1.5h`, `30d`: whole milliseconds. */
export function parseDuration(name: string, text: string, maxMs: number): number {
  const [, number, unit = ''] = /^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)$/.exec(text) ?? []
  const ms = Math.ceil(Number(number) * (unitMs[unit] ?? Number.NaN))
  if (ms <= maxMs) return ms
  const most = `${maxMs / 86_400_000}d`
  throw new UsageError(`${name} is "${text}", but must be a time such as 250ms, 5s, 10m, 2h or 30d, at most ${most}`)
}

/** @param subject names the text in errors */
export function parseJson(subject: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text
    throw new UsageError(`${subject} is not JSON: ${messageOf(error)}; it is ${JSON.stringify(shown)}`, {
      cause: error,
    })
  }
}

/** An optional argument that is JSON, or `-` for standard input; undefined where it is not there. @param subject names it in errors */
export async function readJson(
  input: AsyncIterable<Uint8Array>,
  subject: string,
  json: string | undefined,
): Promise<unknown> {
  if (json === '-') return parseJson('standard input', await readInput(input))
  return json === undefined ? undefined : parseJson(subject, json)
}

const secondsMax = 86_400 * 7

/** Seconds, as people write them, in milliseconds. */
export function parseSeconds(name: string, text: string): number {
  const seconds = Number(text)
  if (/^[0-9]+(\.[0-9]+)?$/.test(text) && seconds > 0 && seconds <= secondsMax) return Math.ceil(seconds * 1000)
  throw new UsageError(`${name} is "${text}", but must be a number of seconds above 0, at most ${secondsMax}`)
}

const inputBytesMax = 16_777_216

/** All of standard input. */
async function readInput(input: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of input) {
    bytes += chunk.length
    if (bytes > inputBytesMax) throw new UsageError(`standard input has more than ${inputBytesMax} bytes; send less`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
