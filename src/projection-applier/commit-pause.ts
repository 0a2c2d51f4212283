const pauseMsMin = 5
const pauseBytesPerMs = 4096

/**
 * The pause before the next transaction, in milliseconds, in proportion to what this one holds: its two flushes cost the same
 * for one entry and for thousands.
 */
export function pauseAfter(batches: readonly { readonly payload: Buffer }[], pauseMsMax: number): number {
  let bytes = 0
  for (const { payload } of batches) bytes += payload.length
  return Math.min(pauseMsMax, pauseMsMin + bytes / pauseBytesPerMs)
}
