import { assert } from '../kernel/assert.ts'
import type { GatewayBody } from './etcd-gateway.ts'
import type { MetadataChange, MetadataValue } from './metadata-store.ts'

/** A key-value pair as the gateway has it: an empty value is left out. */
interface GatewayPair {
  readonly key: string
  readonly value?: string
  readonly mod_revision: string
}

export const base64 = (text: string): string => Buffer.from(text).toString('base64')

/** The keys that begin with a prefix: up to the prefix whose last byte is one more. */
export function rangeOf(prefix: string): { readonly key: string; readonly range_end: string } {
  const end = Buffer.from(prefix)
  const last = end.findLastIndex((byte) => byte < 0xff)
  assert(last >= 0, 'the names of etcd are all in a folder')
  end[last] = (end[last] ?? 0) + 1
  return { key: base64(prefix), range_end: end.subarray(0, last + 1).toString('base64') }
}

/** @param folder - in front of every key in etcd, and of none outside of it */
export function metadataValueOf(pair: GatewayPair, folder: string): MetadataValue {
  const key = Buffer.from(pair.key, 'base64').toString('utf8').slice(folder.length)
  const value = Buffer.from(pair.value ?? '', 'base64').toString('utf8')
  return { key, value, revision: integerOf(pair.mod_revision) }
}

export const valuesIn = (body: GatewayBody, folder: string): readonly MetadataValue[] =>
  ((body['kvs'] ?? []) as readonly GatewayPair[]).map((pair) => metadataValueOf(pair, folder))

/** Changes of a watch with the revision of each. */
export function changesIn(
  body: GatewayBody,
  folder: string,
): readonly { readonly change: MetadataChange; readonly revision: number }[] {
  const events = (body['events'] ?? []) as readonly { readonly type?: string; readonly kv: GatewayPair }[]
  return events.map(({ type, kv }) => {
    const value = metadataValueOf(kv, folder)
    return { change: { key: value.key, value: type === 'DELETE' ? null : value }, revision: value.revision }
  })
}

export function integerOf(text: string | undefined): number {
  const value = Number(text ?? 0)
  assert(Number.isSafeInteger(value), `etcd counts to ${text}`)
  return value
}
