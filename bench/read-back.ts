import { connect } from '../src/client.ts'
import { median } from './median.ts'

export interface ReadBack {
  readonly events: number
  /** Median of the passes. */
  readonly eventsPerSecond: number
  readonly firstPassEventsPerSecond: number
}

/** Reads the whole event log through a client, several times, in this process. */
export async function readBack(dataDir: string, events: number, passes: number): Promise<ReadBack> {
  const db = await connect({ dataDir })
  const rates: number[] = []
  try {
    for (let pass = 0; pass < passes; pass++) {
      const startedMs = performance.now()
      let read = 0
      for await (const batch of db.eventBatches()) read += batch.length
      if (read !== events) throw new Error(`${read} events came back, and ${events} are in the database`)
      rates.push(read / ((performance.now() - startedMs) / 1000))
    }
  } finally {
    await db.close()
  }
  return { events, eventsPerSecond: median(rates), firstPassEventsPerSecond: rates[0] ?? Number.NaN }
}
