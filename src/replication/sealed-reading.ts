import type { Environment } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn, noLsn } from '../kernel/identifiers.ts'
import type { ReplicatedBatch } from './batch.ts'
import { BatchQueue } from './batch-queue.ts'
import type { ServerId, ServerRequest } from './messages.ts'
import { StreamFollower } from './stream-follower.ts'
import type { SealedSegment, StreamMeta } from './stream-meta.ts'

export interface SealedReadingOptions {
  readonly environment: Pick<Environment, 'scheduler'>
  readonly stream: string
  readonly send: (server: ServerId, request: ServerRequest) => boolean
  readonly nextId: () => number
  /** Where answers are brought to while it is read. */
  readonly readings: Set<SealedReading>
}

export interface SealedReading {
  readonly follower: StreamFollower
  /** Ends the reading. */
  readonly fail: (error: CommanderError) => void
}

/**
 * The batches of one sealed segment, in order, each proven to follow, up to the tail that the record says.
 *
 * @throws CommanderError `journal_corrupt` where the servers have something else
 */
export async function* readSealed(
  options: SealedReadingOptions,
  segment: SealedSegment,
): AsyncGenerator<ReplicatedBatch, void> {
  const { environment, stream, send, nextId, readings } = options
  let wake = Promise.withResolvers<void>()
  wake.promise.catch(() => {})
  const fail = (error: CommanderError): void => wake.reject(error)
  const queue = new BatchQueue(() => follower.resume())
  queue.onMore(() => wake.resolve())
  const follower: StreamFollower = new StreamFollower({
    environment,
    stream,
    after: { lsn: lsn(segment.base - 1), digest: Buffer.from(segment.baseDigest, 'hex') },
    send,
    nextId,
    batches: (batches) => queue.add(batches),
    accepts: () => queue.accepts,
    failed: fail,
  })
  const reading = { follower, fail }
  readings.add(reading)
  try {
    follower.setMeta(alone(stream, segment))
    for (let at: Lsn = lsn(segment.base - 1); at < segment.tail; ) {
      const batch = queue.next(at)
      if (batch === null) {
        await wake.promise
        wake = Promise.withResolvers<void>()
        wake.promise.catch(() => {})
        continue
      }
      at = lsn(at + batch.entryCount)
      yield batch
    }
    if (follower.end.digest?.toString('hex') !== segment.tailDigest) throw otherTail(segment)
  } finally {
    readings.delete(reading)
    follower.stop()
    queue.close()
  }
}

/** As if the stream had no other. */
const alone = (stream: string, segment: SealedSegment): StreamMeta => ({
  stream,
  epoch: segment.epoch,
  leader: null,
  nonce: '',
  trimLsn: noLsn,
  segments: [segment],
})

const otherTail = ({ epoch, tail }: SealedSegment): CommanderError =>
  new CommanderError(
    'journal_corrupt',
    `what the journal servers have of segment ${epoch} has another digest at its tail ${tail} than the record says`,
    { details: { lsn: tail } },
  )
