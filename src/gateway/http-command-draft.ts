import type { CommandReceived } from '../actions/action.ts'
import { encodeAction } from '../actions/encode.ts'
import { EntryBatch } from '../actions/entry-batch.ts'
import { entryFlags } from '../actions/entry-layout.ts'
import { revision } from '../kernel/identifiers.ts'
import { commandDigest } from '../sdk/command-payload.ts'
import { expectedRevisionOf, idempotencyKeyOf, metadataOf, preferencesOf, queueingOf } from './http-command-headers.ts'
import type { Addressed } from './http-names.ts'
import type { HttpContext, HttpExchange } from './http-route.ts'

const batch = new EntryBatch(0, 1024)

/** A request as the draft of its command. @throws CommanderError `invalid_input` for a header that is wrong */
export function commandDraft(
  { environment }: HttpContext,
  exchange: HttpExchange,
  { definition, type, id }: Addressed,
  command: string,
  data: unknown,
): Buffer {
  const { durability } = preferencesOf(exchange.header('prefer'))
  const key = idempotencyKeyOf(exchange.header('idempotency-key'))
  const expected = expectedRevisionOf(exchange.header('if-match'))
  const digest = (): Buffer => commandDigest(type, id, command, data)
  const action: CommandReceived = {
    type: 'command/received',
    aggregate: { type, id },
    command,
    data,
    receivedAtMs: environment.clock.wallMs(),
    call: null,
    idempotencyKey: key === null ? null : { key, digest: digest(), ttlMs: definition.idempotencyTtlMs },
    expectedRevision: expected === null ? null : revision(expected),
    metadata: metadataOf(exchange),
    ...queueingOf(exchange),
  }
  encodeAction(batch, action, 0, durability === 'written' ? entryFlags.writtenIsEnough : 0)
  return batch.take()
}
