import type { Clock, Random, Scheduler } from '../kernel/environment.ts'
import { type CommanderError, isCommanderError } from '../kernel/errors.ts'
import { type MetadataStore, mayHaveHappened, type SwapOptions, type SwapResult } from './metadata-store.ts'

export interface SwapWorld {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
}

export interface SettledSwap extends SwapOptions {
  readonly key: string
  readonly expectedRevision: number
  /** Unlike any other value that the key had or will have: with a nonce in it. */
  readonly value: string
  /** For how long it is tried. Default 10 seconds. */
  readonly patienceMs?: number
}

const patienceMsDefault = 10_000
/** Between two tries, at most. */
const pauseMs = 100

/**
 * A compare-and-swap that knows at its end whether it happened. One whose answer was lost may have happened, or may still be on
 * its way: a look at the key alone would not do. So the same swap is sent again. Both expect the same revision, hence at most one
 * of them happens, and the value says so by its nonce.
 *
 * `swapped: false` where another value is there: ours did not happen, or is replaced already.
 *
 * @throws CommanderError `metadata_unavailable` when it could not be settled in time; its details say whether it may have happened
 */
export async function settledSwap(store: MetadataStore, world: SwapWorld, swap: SettledSwap): Promise<SwapResult> {
  const { key, expectedRevision, value, lease, patienceMs = patienceMsDefault } = swap
  const untilMs = world.clock.monotonicMs() + patienceMs
  let unsettled: CommanderError | null = null
  for (;;) {
    try {
      const result = await store.compareAndSwap(key, expectedRevision, value, lease === undefined ? {} : { lease })
      if (result.swapped || unsettled === null || result.current?.value !== value) return result
      return { swapped: true, revision: result.current.revision }
    } catch (error) {
      if (!isCommanderError(error) || error.code !== 'metadata_unavailable') throw unsettled ?? error
      if (mayHaveHappened(error)) unsettled = error
      if (!error.retryable || world.clock.monotonicMs() >= untilMs) throw unsettled ?? error
    }
    const delayMs = (world.random.uint32() / 2 ** 32) * pauseMs
    await new Promise<void>((resolve) => world.scheduler.after(delayMs, resolve))
  }
}
