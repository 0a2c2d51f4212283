import { clearTimeout, setTimeout } from 'node:timers'

/** Waits in real time until all have settled, or `enough` has, or so many milliseconds are over. */
export async function waitInRealTime(
  promises: readonly Promise<void>[],
  enough: Promise<void>,
  mostMs: number,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, mostMs)
  })
  await Promise.race([Promise.allSettled(promises), enough, over])
  clearTimeout(timer)
}
