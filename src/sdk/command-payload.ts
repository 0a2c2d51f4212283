import { digest16 } from '../kernel/checksum.ts'
import { CommanderError } from '../kernel/errors.ts'

/**
 * Digest of a command's payload: two commands have the same one if and only if they mean the same. The order of keys
 * does not count; as in JSON, `undefined` in an object counts as a missing key and in a list as `null`; `1` and `"1"`
 * differ, and so do `null` and a missing key. Dates, bigints, byte arrays, maps and sets, which msgpack carries but
 * JSON does not, are marked by type.
 *
 * @returns 16 bytes
 */
export function payloadDigest(commandName: string, data: unknown): Buffer {
  return digest16(Buffer.from(`${JSON.stringify(commandName)}${canonical(data)}`, 'utf8'))
}

/** Digest of a whole command: what an idempotency key stands for. @returns 16 bytes */
export const commandDigest = (aggregateType: string, id: string, command: string, data: unknown): Buffer =>
  payloadDigest(`${aggregateType}/${id} ${command}`, data)

/** Deeper data is refused, so that neither a cycle nor a hostile payload can overflow the stack. */
export const payloadDepthMax = 200

function canonical(value: unknown, depth = 0): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value)
    case 'number':
      return String(value)
    case 'boolean':
      return value ? 'true' : 'false'
    case 'bigint':
      return `bigint:${value}`
    case 'object':
      return value === null ? 'null' : canonicalObject(value, depth + 1)
    default:
      return 'undefined'
  }
}

// The words before ":" cannot be confused with anything: outside of quotes JSON has no words but true, false and null.
function canonicalObject(value: object, depth: number): string {
  if (depth > payloadDepthMax) {
    const message = `the data of the command is nested more than ${payloadDepthMax} levels deep, or refers to itself; flatten it`
    throw new CommanderError('invalid_input', message)
  }
  if (Array.isArray(value)) return `[${Array.from(value, (item) => canonicalItem(item, depth)).join()}]`
  if (value instanceof Date) return `date:${value.getTime()}`
  if (ArrayBuffer.isView(value))
    return `bytes:${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`
  if (value instanceof ArrayBuffer) return `bytes:${Buffer.from(value).toString('hex')}`
  if (value instanceof Map) {
    const entries = Array.from(value, ([key, item]) => `${canonicalItem(key, depth)}:${canonicalItem(item, depth)}`)
    return `map:{${entries.sort().join()}}`
  }
  if (value instanceof Set)
    return `set:[${Array.from(value, (item) => canonicalItem(item, depth))
      .sort()
      .join()}]`
  return canonicalRecord(value as Readonly<Record<string, unknown>>, depth)
}

function canonicalItem(value: unknown, depth: number): string {
  return isMissing(value) ? 'null' : canonical(value, depth)
}

function canonicalRecord(record: Readonly<Record<string, unknown>>, depth: number): string {
  let text = '{'
  for (const key of Object.keys(record).sort()) {
    const value = record[key]
    if (isMissing(value)) continue
    if (text.length > 1) text += ','
    text += `${JSON.stringify(key)}:${canonical(value, depth)}`
  }
  return `${text}}`
}

/** What JSON leaves out of objects. */
const isMissing = (value: unknown): boolean =>
  value === undefined || typeof value === 'function' || typeof value === 'symbol'
