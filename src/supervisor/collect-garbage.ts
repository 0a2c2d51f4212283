import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** A collection stops the process, by about 1 ms for each MiB: above this the pause would be worse than the memory is worth. */
const heapBytesMax = 268_435_456

type Collect = (options: { readonly type: 'major'; readonly flavor: 'last-resort' }) => void

let collect: Collect | null = null

/** V8's own function, which is only there under a flag; user code does not get to see it. */
function collector(): Collect {
  if (collect !== null) return collect
  setFlagsFromString('--expose-gc')
  collect = runInNewContext('gc') as Collect
  setFlagsFromString('--no-expose-gc')
  return collect
}

/**
 * Collects all garbage at once and gives free pages back to the operating system; returns the bytes that are resident then.
 * "Last resort" is V8's word for a collection that also compacts: a regular one leaves half-empty pages, and most of the memory.
 */
export function collectGarbage(): number {
  if (process.memoryUsage().heapUsed <= heapBytesMax) collector()({ type: 'major', flavor: 'last-resort' })
  return process.memoryUsage.rss()
}
