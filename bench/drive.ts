import { once } from 'node:events'
import type { ClosedLoop } from './closed-loop.ts'
import { type LoadOrder, type LoadReport, monotonicMicros, warmupConcurrency } from './load-protocol.ts'

/** Carries an order out and reports to the parent process; resolves when the parent has disconnected. */
export async function drive(order: LoadOrder, loop: ClosedLoop): Promise<void> {
  const { concurrency, warmupSeconds, length } = order
  if (warmupSeconds > 0) await loop.run(Math.max(concurrency, warmupConcurrency), { seconds: warmupSeconds })
  tell({ report: 'began', monotonicMicros: monotonicMicros() })
  const result = await loop.run(concurrency, length)
  tell({ report: 'ended', monotonicMicros: monotonicMicros(), result })
  await once(process, 'disconnect')
}

function tell(report: LoadReport): void {
  process.send?.(report)
}
