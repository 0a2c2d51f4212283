import type { LoadLength, LoadResult } from './closed-loop.ts'

/** What a load client is started with, as JSON in its first argument. */
export interface LoadOrder {
  /** Of the database, or of the limit. */
  readonly dataDir: string
  readonly accounts: number
  readonly concurrency: number
  readonly length: LoadLength
  /** Before it, at a concurrency of at least 64, so that everything that runs is compiled. */
  readonly warmupSeconds: number
}

/** What a load client tells its parent. It stays alive until the parent disconnects. */
export type LoadReport =
  | { readonly report: 'began'; readonly monotonicMicros: number }
  | { readonly report: 'ended'; readonly monotonicMicros: number; readonly result: LoadResult }

export const warmupConcurrency = 64

/** CLOCK_MONOTONIC, the same in every process and in V8's profiles. */
export const monotonicMicros = (): number => Number(process.hrtime.bigint() / 1000n)
