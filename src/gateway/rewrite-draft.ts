import { actionCodes } from '../actions/action-codes.ts'
import { EntryBatch, emptyFields } from '../actions/entry-batch.ts'
import {
  answeredBelowOf,
  envelopeBytesOf,
  envelopeStart,
  flagsOf,
  hashOf,
  keyOf,
  nameOf,
  sessionOf,
  sessionSequenceOf,
} from '../actions/entry-layout.ts'
import { pack } from '../actions/message-pack.ts'

/** The draft of a command anew, with other data: what its schema made of it. */
export function rewriteDraft(b: Buffer, o: number, data: unknown): Buffer {
  const fields = emptyFields()
  fields.code = actionCodes['command/received']
  fields.flags = flagsOf(b, o)
  fields.reference = sessionOf(b, o)
  fields.token = sessionSequenceOf(b, o)
  fields.revision = answeredBelowOf(b, o)
  fields.hash = hashOf(b, o)
  fields.key = keyOf(b, o)
  fields.name = nameOf(b, o)
  fields.envelope = b.subarray(envelopeStart(b, o), envelopeStart(b, o) + envelopeBytesOf(b, o))
  fields.payload = pack(data)
  const batch = new EntryBatch(0, 512)
  batch.add(fields, 0)
  return batch.take()
}
