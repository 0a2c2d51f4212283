import { actionCodes } from '../actions/action-codes.ts'
import { EntryBatch, emptyFields } from '../actions/entry-batch.ts'
import {
  answeredBelowOf,
  entryEnd,
  envelopeStart,
  flagsOf,
  hashOf,
  keyOf,
  nameOf,
  payloadStart,
  sessionOf,
  sessionSequenceOf,
} from '../actions/entry-layout.ts'
import { pack } from '../actions/message-pack.ts'
import type { Envelope } from './check-envelope.ts'

export interface Rewriting {
  /** Absent: the data stays. */
  readonly data?: unknown
  /** Absent: the envelope stays. */
  readonly envelope?: Envelope
}

/** The draft of a command anew, with other data or another envelope. */
export function rewriteDraft(b: Buffer, o: number, rewriting: Rewriting): Buffer {
  const fields = emptyFields()
  fields.code = actionCodes['command/received']
  fields.flags = flagsOf(b, o)
  fields.reference = sessionOf(b, o)
  fields.token = sessionSequenceOf(b, o)
  fields.revision = answeredBelowOf(b, o)
  fields.hash = hashOf(b, o)
  fields.key = keyOf(b, o)
  fields.name = nameOf(b, o)
  const { envelope } = rewriting
  fields.envelope =
    envelope === undefined ? b.subarray(envelopeStart(b, o), payloadStart(b, o)) : Buffer.from(pack(envelope))
  fields.payload = 'data' in rewriting ? pack(rewriting.data) : b.subarray(payloadStart(b, o), entryEnd(b, o))
  const batch = new EntryBatch(0, 512)
  batch.add(fields, 0)
  return batch.take()
}
