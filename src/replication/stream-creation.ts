import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { type Epoch, epoch, noEpoch } from '../kernel/identifiers.ts'
import { type MetadataStore, type MetadataValue, metadataKeys } from './metadata-store.ts'
import { type SwapWorld, settledSwap } from './settled-swap.ts'
import { type LogEnd, newStreamBehind, newStreamMeta } from './stream-meta.ts'
import { decodeStreamMeta, encodeStreamMeta } from './stream-meta-codec.ts'

/**
 * The record of a new stream, or null where there is one with that name. A name that was used before goes on with the epochs that
 * it had, so that nobody who led the former stream, or has heard of it late, is taken for one of this.
 *
 * @throws CommanderError `metadata_unavailable`
 */
export async function createStreamRecord(
  store: MetadataStore,
  world: SwapWorld,
  stream: string,
): Promise<MetadataValue | null> {
  const key = metadataKeys.stream(stream)
  const meta = { ...newStreamMeta(stream), epoch: await formerEpoch(store, stream), nonce: world.random.uuid() }
  const value = encodeStreamMeta(meta)
  const made = await settledSwap(store, world, { key, expectedRevision: 0, value })
  return made.swapped ? { key, value, revision: made.revision } : null
}

/**
 * The record of a stream that goes on where the journal of one database ends. One that was made so before, and that nobody has led,
 * is replaced: the database may have gone on since.
 *
 * @throws CommanderError `already_exists`: somebody leads it, or led it; `metadata_unavailable`
 */
export async function createStreamBehind(
  store: MetadataStore,
  world: SwapWorld,
  stream: string,
  begin: LogEnd,
): Promise<void> {
  const key = metadataKeys.stream(stream)
  for (;;) {
    const found = await store.get(key)
    const known = found === null ? null : decodeStreamMeta(found.value)
    const epoch = known?.epoch ?? (await formerEpoch(store, stream))
    if (known !== null && (known.begin === undefined || known.leader !== null || known.segments.length > 0))
      throw new CommanderError(
        'already_exists',
        `${store.location} has a stream ${stream} already, of a cluster that was begun before`,
      )
    const value = encodeStreamMeta({ ...newStreamBehind(stream, begin), epoch, nonce: world.random.uuid() })
    const swap = { key, expectedRevision: found?.revision ?? 0, value }
    if ((await settledSwap(store, world, swap)).swapped) return
  }
}

/** @throws CommanderError `metadata_unavailable` */
export async function foundOrCreated(
  store: MetadataStore,
  world: SwapWorld,
  stream: string,
): Promise<MetadataValue | null> {
  const key = metadataKeys.stream(stream)
  // Where another one was faster, theirs is there.
  return (await store.get(key)) ?? (await createStreamRecord(store, world, stream)) ?? store.get(key)
}

/**
 * Takes the record away; what journal servers hold is nobody's from then on. The epoch that goes with it is remembered first.
 *
 * @returns the epoch under which servers may drop what they hold; null where there was no such stream
 * @throws CommanderError `metadata_unavailable`
 */
export async function deleteStreamRecord(
  store: MetadataStore,
  world: SwapWorld,
  stream: string,
): Promise<Epoch | null> {
  const key = metadataKeys.stream(stream)
  for (let isMaybeDone = false; ; ) {
    const found = await store.get(key)
    if (found === null && !isMaybeDone) return null
    const last = found === null ? await formerEpoch(store, stream) : epoch(decodeStreamMeta(found.value).epoch + 1)
    if (found === null) return last
    await remember(store, world, stream, last)
    try {
      if ((await store.compareAndSwap(key, found.revision, null)).swapped) return last
    } catch (error) {
      if (!isCommanderError(error) || error.code !== 'metadata_unavailable' || !error.retryable) throw error
      isMaybeDone = true
      await new Promise<void>((resolve) => world.scheduler.after(pauseMs, resolve))
    }
  }
}

/** Between two tries. */
const pauseMs = 100

async function formerEpoch(store: MetadataStore, stream: string): Promise<Epoch> {
  const found = await store.get(metadataKeys.deletedStream(stream))
  return found === null ? noEpoch : epoch(Number(found.value))
}

/** It only rises. */
async function remember(store: MetadataStore, world: SwapWorld, stream: string, last: Epoch): Promise<void> {
  const key = metadataKeys.deletedStream(stream)
  for (;;) {
    const found = await store.get(key)
    if (found !== null && Number(found.value) >= last) return
    // Whoever wrote the same value meant the same: it needs no nonce.
    const swap = { key, expectedRevision: found?.revision ?? 0, value: `${last}` }
    if ((await settledSwap(store, world, swap)).swapped) return
  }
}
