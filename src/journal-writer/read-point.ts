import type { Channel } from '../ipc/channel.ts'
import { encodeReadPointIs, journalFrames } from '../ipc/journal-protocol.ts'
import { toWireError } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'

/**
 * Whoever has applied up to the entry that it resolves with sees everything that was acknowledged as flushed before the call.
 *
 * @throws CommanderError retryable: nobody could say so in time
 */
export type ReadPoint = () => Promise<Lsn>

/** Answers a question for it. Whoever asked may be gone by then. */
export function tellReadPoint(channel: Channel, id: number, readPoint: ReadPoint): void {
  const tell = (body: Buffer): void => {
    channel.send(journalFrames.readPointIs, body)
    channel.flush()
  }
  readPoint().then(
    (lsn) => tell(encodeReadPointIs({ id, lsn })),
    (error: unknown) => tell(encodeReadPointIs({ id, error: toWireError(error) })),
  )
}
