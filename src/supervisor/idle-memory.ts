/** A process is at rest when its event loop was busy for no more than this share of the time. */
const restShare = 0.1
/** For so many samples, one after the other. */
const restSamples = 2
/** Less than this is not worth the pause. */
const growthBytesMin = 16_777_216

export interface ProcessSample {
  /** Share of the time since the last sample in which the event loop had something to do, 0 to 1. */
  readonly busyShare: number
  readonly rssBytes: number
}

/**
 * When a process that has been busy gives memory back. V8 collects old objects only when new ones are made: whoever rests
 * after a burst keeps the heap of the burst, for hours. So a process that rests, and has grown since it last did,
 * collects once.
 */
export class IdleMemory {
  readonly #collect: () => number
  #restful = 0
  /** Resident after the last collection, or when it first came to rest. */
  #leastBytes: number | null = null

  /** @param collect collects garbage and returns the bytes that are resident then. */
  constructor(collect: () => number) {
    this.#collect = collect
  }

  sample({ busyShare, rssBytes }: ProcessSample): void {
    this.#restful = busyShare <= restShare ? this.#restful + 1 : 0
    if (this.#restful < restSamples) return
    this.#leastBytes = Math.min(this.#leastBytes ?? rssBytes, rssBytes)
    if (rssBytes - this.#leastBytes < growthBytesMin) return
    this.#leastBytes = this.#collect()
  }
}
