import type { Database } from 'commanderdb/client'

export interface Measurement {
  readonly commands: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Sum of what the answers say was deposited. */
  readonly acknowledgedCents: number
  /** Sum of the balances of those accounts in the read model. */
  readonly storedCents: number
}

const concurrency = 256
const accounts = 100

/** Deposits into many accounts for a while, then adds the balances up. */
export async function measure(db: Database, prefix: string, durationMs: number): Promise<Measurement> {
  const latencies: number[] = []
  let acknowledgedCents = 0
  let lastLsn = 0
  const startedMs = performance.now()
  const work = async (worker: number): Promise<void> => {
    for (let n = worker; performance.now() - startedMs < durationMs; n += concurrency) {
      const amountCents = 1 + (n % 5000)
      const beganMs = performance.now()
      const outcome = await db.execute('account', `${prefix}-${n % accounts}`, 'deposit', { amountCents })
      latencies.push(performance.now() - beganMs)
      if (outcome.outcome !== 'completed') throw new Error(`a deposit was ${outcome.outcome}`)
      acknowledgedCents += amountCents
      lastLsn = Math.max(lastLsn, outcome.events[0]?.lsn ?? 0)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, (_, worker) => work(worker)))
  const seconds = (performance.now() - startedMs) / 1000
  const storedCents = await sumOf(db, prefix, lastLsn)
  latencies.sort((a, b) => a - b)
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? 0
  return { commands: latencies.length, seconds, p50Ms: at(0.5), p99Ms: at(0.99), acknowledgedCents, storedCents }
}

async function sumOf(db: Database, prefix: string, minLsn: number): Promise<number> {
  let sum = 0
  for (let n = 0; n < accounts; n++) {
    const { value } = await db.projection('balances', `${prefix}-${n}`, { minLsn })
    sum += (value as { readonly balanceCents: number }).balanceCents
  }
  return sum
}
