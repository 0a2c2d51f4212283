import { CommanderError } from '../kernel/errors.ts'
import { epoch, lsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import { checkPolicy } from './replication-policy.ts'
import type { LogEnd, Peer, SegmentMeta, StreamMeta } from './stream-meta.ts'

const currentFormat = 1

export const encodeStreamMeta = (meta: StreamMeta): string => JSON.stringify({ format: currentFormat, ...meta })

/** @throws CommanderError `protocol_violation` for anything that `encodeStreamMeta` does not write; `unsupported_version` */
export function decodeStreamMeta(text: string): StreamMeta {
  const record = fieldsOf(parsed(text), 'the record')
  const { format } = record
  if (typeof format === 'number' && format > currentFormat) {
    const message = `the record of a stream has format ${format}, this program knows ${currentFormat}: upgrade CommanderDB`
    throw new CommanderError('unsupported_version', message, { details: { version: format, known: currentFormat } })
  }
  if (format !== currentFormat) throw wrong('format', format)
  if (!Array.isArray(record['segments'])) throw wrong('segments', record['segments'])
  const meta: StreamMeta = {
    stream: textOf(record, 'stream'),
    epoch: epoch(integer(record, 'epoch')),
    leader: record['leader'] === null ? null : peer(record['leader']),
    nonce: textOf(record, 'nonce'),
    trimLsn: lsn(integer(record, 'trimLsn')),
    ...(record['begin'] === undefined ? {} : { begin: logEnd(fieldsOf(record['begin'], 'begin')) }),
    segments: record['segments'].map(segment),
  }
  checkOrder(meta)
  return meta
}

/** I9, and that epochs rise. */
function checkOrder({ epoch: last, segments }: StreamMeta): void {
  for (const [index, one] of segments.entries()) {
    const next = segments[index + 1]
    if (one.epoch > last || (next !== undefined && next.epoch <= one.epoch)) throw wrong('epoch', one.epoch)
    if (one.state === 'sealed' && one.tail < one.base) throw wrong('tail', one.tail)
    if (next === undefined) continue
    if (one.state === 'open') throw wrong('state', one.state)
    if (next.base !== one.tail + 1 || next.baseDigest !== one.tailDigest) throw wrong('base', next.base)
  }
}

type Fields = Readonly<Record<string, unknown>>

function segment(value: unknown): SegmentMeta {
  const fields = fieldsOf(value, 'a segment')
  const base = {
    epoch: epoch(integer(fields, 'epoch')),
    base: lsn(integer(fields, 'base')),
    baseDigest: digest(fields, 'baseDigest'),
    group: group(fields),
    policy: checkPolicy(fields['policy']),
  }
  if (fields['state'] === 'open') return { ...base, state: 'open' }
  if (fields['state'] !== 'sealed') throw wrong('state', fields['state'])
  const sealed = { ...base, state: 'sealed' as const, ...logEnd(fields) }
  return fields['archive'] === undefined ? sealed : { ...sealed, archive: textOf(fields, 'archive') }
}

const logEnd = (fields: Fields): LogEnd => ({
  tail: lsn(integer(fields, 'tail')),
  tailDigest: digest(fields, 'tailDigest'),
})

/** Of a sealed segment the group may be larger than the policy says: replacements. */
function group(fields: Fields): readonly string[] {
  const servers = fields['group']
  const isGroup =
    Array.isArray(servers) &&
    servers.length >= 1 &&
    servers.length <= 2 * limits.replicasMax &&
    servers.every((server) => typeof server === 'string' && server !== '') &&
    new Set(servers).size === servers.length
  if (!isGroup) throw wrong('group', servers)
  return servers as readonly string[]
}

function peer(value: unknown): Peer {
  const fields = fieldsOf(value, 'the leader')
  return { id: textOf(fields, 'id'), incarnation: textOf(fields, 'incarnation'), address: textOf(fields, 'address') }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw wrong('the JSON', text, cause)
  }
}

function fieldsOf(value: unknown, name: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(name, value)
  return value as Fields
}

function integer(fields: Fields, name: string): number {
  const value = fields[name]
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw wrong(name, value)
  return value as number
}

function textOf(fields: Fields, name: string): string {
  const value = fields[name]
  if (typeof value !== 'string') throw wrong(name, value)
  return value
}

function digest(fields: Fields, name: string): string {
  const value = textOf(fields, name)
  if (!/^[0-9a-f]{32}$/.test(value)) throw wrong(name, value)
  return value
}

function wrong(name: string, value: unknown, cause?: unknown): CommanderError {
  const message = `in the record of a stream ${name} is ${JSON.stringify(value)?.slice(0, 200)}: who wrote it?`
  return new CommanderError('protocol_violation', message, { cause })
}
