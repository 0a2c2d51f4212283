import { actionCodes } from '../actions/action-codes.ts'
import { parseAggregateKey } from '../actions/aggregate-key.ts'
import { eventsOf, payloadOf } from '../actions/decode.ts'
import { queueFlag, receivedEnvelope } from '../actions/encode.ts'
import { EntryBatch, emptyFields } from '../actions/entry-batch.ts'
import {
  entryFlags,
  entryHeaderBytes,
  eventCountOf,
  isRemoved,
  isWellFormed,
  keyOf,
  lengthOf,
  lsnOf,
  padded,
  revisionOf,
  wallMsOf,
} from '../actions/entry-layout.ts'
import { pack } from '../actions/message-pack.ts'
import { type QueueFields, queueFieldsOf } from '../actions/queue-actions.ts'
import { CommanderError } from '../kernel/errors.ts'
import { revision } from '../kernel/identifiers.ts'
import {
  type Durability,
  decodeOutcomeHeader,
  durabilities,
  eventsHeaderBytes,
  eventsPositionOf,
  outcomeFlags,
  outcomeHeaderBytes,
} from './client-protocol.ts'
import type { ClientEvent } from './client-views.ts'

export type { ClientEvent } from './client-views.ts'

/** What became of a command; `lsn` is the entry that says so, to be given to reads as `minLsn`. */
export type ClientOutcome =
  | {
      readonly outcome: 'completed'
      readonly id: string
      readonly lsn: number
      readonly durability: Durability
      /** The outcome of an earlier call with the same idempotency key. */
      readonly duplicate: boolean
      readonly events: readonly ClientEvent[]
    }
  | {
      readonly outcome: 'rejected'
      readonly id: string
      readonly lsn: number
      readonly duplicate: boolean
      readonly code: string
      readonly message: string
      readonly details: unknown
    }
  | {
      readonly outcome: 'parked' | 'skipped'
      readonly id: string
      readonly lsn: number
      readonly duplicate: boolean
      readonly message: string
    }
  | {
      readonly outcome: 'received'
      readonly id: string
      readonly lsn: number
      readonly durability: Durability
      readonly duplicate: boolean
    }

/** It may be lost yet. A rejection does not say: who asked for `written` got it as that. */
export const isWritten = (outcome: ClientOutcome): boolean =>
  !('durability' in outcome) || outcome.durability === 'written'

export interface CallFields extends Pick<QueueFields, 'priority' | 'delayMs'> {
  readonly key: string
  readonly command: string
  readonly data: unknown
  readonly session: number
  readonly sequence: number
  readonly answeredBelow: number
  readonly wait: number
  readonly writtenIsEnough: boolean
  readonly idempotencyKey: { readonly key: string; readonly digest: Uint8Array; readonly ttlMs: number } | null
  readonly expectedRevision: number | null
  readonly metadata: Readonly<Record<string, string>> | null
}

const nothing = Buffer.alloc(0)

/** Writes calls one behind the other, to be sent as one frame. */
export class CallEncoder {
  readonly #batch = new EntryBatch(0, 32_768)
  readonly #fields = emptyFields()

  get byteLength(): number {
    return this.#batch.byteLength
  }

  /** @returns where in the buffer that `take` will return the call begins. */
  add(call: CallFields, request: number): number {
    const fields = this.#fields
    const at = this.#batch.byteLength
    fields.code = actionCodes['command/received']
    fields.flags =
      (call.writtenIsEnough ? entryFlags.writtenIsEnough : 0) |
      (call.idempotencyKey === null ? 0 : entryFlags.idempotencyKey) |
      queueFlag(call)
    fields.reference = call.session
    fields.token = call.sequence
    fields.revision = call.answeredBelow
    fields.key = call.key
    fields.name = call.command
    fields.variant = call.wait
    fields.envelope = this.#envelope(call)
    fields.payload = pack(call.data)
    this.#batch.add(fields, request)
    return at
  }

  take(): Buffer {
    return this.#batch.take()
  }

  #envelope(call: CallFields): Buffer {
    const { idempotencyKey, expectedRevision, metadata } = call
    if (idempotencyKey === null && expectedRevision === null && metadata === null && queueFlag(call) === 0)
      return nothing
    const expected = expectedRevision === null ? null : revision(expectedRevision)
    const said = { idempotencyKey, expectedRevision: expected, metadata, ...queueFieldsOf(call) }
    return Buffer.from(receivedEnvelope(said) ?? nothing)
  }
}

/** One call of a buffer of calls. */
export function callAt(buffer: Buffer, at: number): Buffer {
  return buffer.subarray(at, at + padded(lengthOf(buffer, at)))
}

/** @throws CommanderError `protocol_violation` */
export function decodeOutcome(body: Buffer): { readonly request: number; readonly outcome: ClientOutcome } {
  const { request, code, durability, flags, commandLsn, endLsn, firstPosition } = decodeOutcomeHeader(body)
  const id = String(commandLsn)
  const duplicate = (flags & outcomeFlags.duplicate) !== 0
  const common = { id, lsn: endLsn, duplicate }
  const reached = durabilities[durability] ?? 'written'
  const o = outcomeHeaderBytes
  switch (code) {
    // The end of a workflow, to whoever waited for it.
    case actionCodes['workflow/advanced']:
    case actionCodes['command/completed']:
      return {
        request,
        outcome: { outcome: 'completed', ...common, durability: reached, events: decodeEvents(body, o, firstPosition) },
      }
    case actionCodes['command/rejected']: {
      const {
        code: reason,
        message,
        details,
      } = payloadOf(body, o) as { code: string; message: string; details: unknown }
      return { request, outcome: { outcome: 'rejected', ...common, code: reason, message, details } }
    }
    case actionCodes['command/parked']: {
      const { message } = payloadOf(body, o) as { message: string }
      return { request, outcome: { outcome: 'parked', ...common, message } }
    }
    case actionCodes['command/skipped']: {
      const { reason } = payloadOf(body, o) as { reason: string }
      return { request, outcome: { outcome: 'skipped', ...common, message: reason } }
    }
    case actionCodes['command/received']:
    case actionCodes['command/retried']:
      return { request, outcome: { outcome: 'received', ...common, lsn: commandLsn, durability: reached } }
    default:
      throw new CommanderError('protocol_violation', `the gateway answered with action ${code}`)
  }
}

function decodeEvents(b: Buffer, o: number, firstPosition: number): ClientEvent[] {
  if (isRemoved(b, o)) return []
  const aggregate = parseAggregateKey(keyOf(b, o))
  const base = revisionOf(b, o)
  const lsn = lsnOf(b, o)
  const at = isoTimeOf(wallMsOf(b, o))
  const events = eventsOf(b, o)
  const decoded: ClientEvent[] = new Array(events.length)
  for (let i = 0; i < events.length; i++) {
    const { type, data } = events[i] as { type: string; data: unknown }
    decoded[i] = { type, data, aggregate, revision: base + i + 1, globalPosition: firstPosition + i, lsn, at }
  }
  return decoded
}

let lastMs = Number.NaN
let lastIso = ''

/** Neighbouring entries mostly share their millisecond. */
function isoTimeOf(wallMs: number): string {
  const ms = Math.floor(wallMs)
  if (ms !== lastMs) {
    lastMs = ms
    lastIso = new Date(ms).toISOString()
  }
  return lastIso
}

/** The events of an `events` frame after a position, into `events`. Returns the position of the last one in the frame. */
export function decodeEventBlock(
  body: Buffer,
  after: number,
  types: ReadonlySet<string> | null,
  events: ClientEvent[],
): number {
  let position = eventsPositionOf(body)
  for (let o = eventsHeaderBytes; o + entryHeaderBytes <= body.length; o += padded(lengthOf(body, o))) {
    if (!isWellFormed(body, o, body.length))
      throw new CommanderError('protocol_violation', 'the gateway sent a damaged block of events')
    const count = eventCountOf(body, o)
    if (position + count - 1 > after) {
      for (const event of decodeEvents(body, o, position)) {
        if (event.globalPosition > after && (types === null || types.has(event.type))) events.push(event)
      }
    }
    position += count
  }
  return position - 1
}
