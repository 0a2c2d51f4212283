import { setTimeout as sleep } from 'node:timers/promises'

const waitMs = 120_000

/** What never ends must not keep the report from being written. */
export async function within<Value>(what: string, promise: Promise<Value>): Promise<Value> {
  const over = new AbortController()
  const late = sleep(waitMs, undefined, { signal: over.signal }).then(() => {
    throw new Error(`not within ${waitMs} ms: ${what}`)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    over.abort()
    late.catch(() => {})
  }
}
