import type { IdempotencyKey } from '../actions/action.ts'
import { envelopeOf } from '../actions/decode.ts'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'

/** What a received command says beside its header. */
export interface Envelope {
  readonly idempotencyKey?: IdempotencyKey
  readonly expectedRevision?: number
  readonly metadata?: Readonly<Record<string, string>>
  /** Of its queue: computed here, never the caller's. */
  readonly partition?: string
  readonly priority?: number
  readonly delayMs?: number
}

/**
 * The envelope of the call at `o`, which has one. Everything in it is what it must be: every process decodes it later.
 * @throws CommanderError `protocol_violation`, `invalid_input`
 */
export function checkEnvelope(b: Buffer, o: number, hasKey: boolean): Envelope {
  const envelope = decode(b, o)
  if (typeof envelope !== 'object' || envelope === null || Array.isArray(envelope)) {
    throw violation('the envelope of the call is no map')
  }
  const { idempotencyKey, expectedRevision, metadata } = envelope as Envelope
  if (hasKey) checkKey(idempotencyKey)
  else if (idempotencyKey !== undefined) throw violation('the call has an idempotency key and does not say so')
  if (expectedRevision !== undefined && !(Number.isSafeInteger(expectedRevision) && expectedRevision >= 0)) {
    throw invalid(`the expected revision is ${JSON.stringify(expectedRevision)}, but must be a whole number from 0 on`)
  }
  if (metadata !== undefined) checkMetadata(metadata)
  checkWhole('priority', (envelope as Envelope).priority, limits.priorityMax)
  checkWhole('delayMs', (envelope as Envelope).delayMs, limits.delayMsMax)
  return envelope as Envelope
}

function checkWhole(what: string, value: unknown, max: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max)) return
  throw invalid(`${what} is ${JSON.stringify(value)}, but must be a whole number from 0 to ${max}`)
}

function decode(b: Buffer, o: number): unknown {
  try {
    return envelopeOf(b, o)
  } catch (error) {
    throw violation(`the envelope of the call is no MessagePack: ${messageOf(error)}`)
  }
}

function checkKey(key: IdempotencyKey | undefined): void {
  const isKey =
    typeof key?.key === 'string' &&
    key.digest instanceof Uint8Array &&
    key.digest.length === 16 &&
    Number.isSafeInteger(key.ttlMs)
  if (!isKey) throw violation('the call says that it has an idempotency key, but has none')
  const bytes = Buffer.byteLength(key.key)
  if (bytes >= 1 && bytes <= limits.idempotencyKeyBytesMax && key.key.isWellFormed()) return
  throw invalid(`an idempotency key must have 1 to ${limits.idempotencyKeyBytesMax} bytes, not ${bytes}`)
}

function checkMetadata(metadata: unknown): void {
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) {
    throw invalid('the metadata must be an object whose values are texts')
  }
  let bytes = 0
  for (const [name, value] of Object.entries(metadata)) {
    if (typeof value !== 'string')
      throw invalid(`the metadata "${name}" is ${JSON.stringify(value)}, but must be a text`)
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value)
  }
  if (bytes <= limits.metadataBytesMax) return
  throw invalid(`the metadata has ${bytes} bytes; at most ${limits.metadataBytesMax} are allowed`)
}

const violation = (message: string): CommanderError => new CommanderError('protocol_violation', message)
const invalid = (message: string): CommanderError => new CommanderError('invalid_input', message)
