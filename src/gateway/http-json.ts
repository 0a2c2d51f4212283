import { CommanderError } from '../kernel/errors.ts'
import { payloadDepthMax } from '../sdk/command-payload.ts'

const decoder = new TextDecoder('utf-8', { fatal: true })

/**
 * The JSON value of a request's body; undefined when the body is empty.
 *
 * @throws CommanderError `invalid_input`, which says where the text stops being JSON
 */
export function parseJson(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined
  const text = textOf(bytes)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw malformed(text, firstError(text), error)
  }
  assertPlain(value, 0)
  return value
}

function textOf(bytes: Buffer): string {
  try {
    return decoder.decode(bytes)
  } catch (error) {
    throw notText(error)
  }
}

const notText = (cause: unknown): CommanderError =>
  new CommanderError('invalid_input', 'the body is not UTF-8; send JSON in UTF-8', { cause })

/** Deep data would overflow the stack of whoever encodes it; `__proto__` would change objects instead of being data. */
function assertPlain(value: unknown, depth: number): void {
  if (typeof value !== 'object' || value === null) return
  if (depth >= payloadDepthMax) {
    throw new CommanderError('invalid_input', `the body is nested more than ${payloadDepthMax} levels deep; flatten it`)
  }
  if (Array.isArray(value)) {
    for (const item of value) assertPlain(item, depth + 1)
    return
  }
  for (const key of Object.keys(value)) {
    if (key === '__proto__')
      throw new CommanderError('invalid_input', 'the body has a key "__proto__"; use another name')
    assertPlain((value as Record<string, unknown>)[key], depth + 1)
  }
}

function malformed(text: string, at: number, cause: unknown): CommanderError {
  const before = text.slice(0, at)
  const line = before.split('\n').length
  const column = at - before.lastIndexOf('\n')
  const found = at >= text.length ? 'ends too early' : `has ${JSON.stringify(text.slice(at, at + 10))}`
  const message = `the body is not JSON: it ${found} at position ${at} (line ${line}, column ${column})`
  return new CommanderError('invalid_input', message, { details: { position: at, line, column }, cause })
}

const space = /[ \t\n\r]*/y
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids exactly these inside of strings
const string = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const scalar = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null/y

/**
 * Where a text that is not JSON stops being it (RFC 8259): what V8 says about that depends on the mistake. Keeps its
 * own stack, so that no nesting is too deep.
 */
function firstError(text: string): number {
  const open: string[] = []
  let at = 0
  let expects: 'value' | 'value or ]' | 'key' | 'key or }' | 'end' = 'value'
  const take = (pattern: RegExp): boolean => {
    pattern.lastIndex = at
    const found = pattern.test(text)
    if (found) at = pattern.lastIndex
    return found
  }
  for (;;) {
    take(space)
    const next = text[at]
    const closes = next === '}' || next === ']'
    if (closes && expects !== 'value' && expects !== 'key') {
      const opener = next === '}' ? '{' : '['
      const fits = open.at(-1) === opener && (expects === 'end' || (expects === 'key or }') === (next === '}'))
      if (!fits) return at
      open.pop()
      at++
      expects = 'end'
    } else if (expects === 'end') {
      if (next !== ',' || open.length === 0) return at
      at++
      expects = open.at(-1) === '{' ? 'key' : 'value'
    } else if (expects === 'key' || expects === 'key or }') {
      if (!take(string)) return at
      take(space)
      if (text[at] !== ':') return at
      at++
      expects = 'value'
    } else if (next === '{' || next === '[') {
      open.push(next)
      at++
      expects = next === '{' ? 'key or }' : 'value or ]'
    } else if (take(string) || take(scalar)) expects = 'end'
    else return at
  }
}
