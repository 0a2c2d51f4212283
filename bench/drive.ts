import type { ClosedLoop } from './closed-loop.ts'
import { type LoadOrder, type LoadReport, monotonicMicros, warmupConcurrency } from './load-protocol.ts'

/** Carries an order out and reports to the parent process; then, and whenever the parent is gone, the process ends. */
export async function drive(order: LoadOrder, loop: ClosedLoop): Promise<void> {
  process.on('disconnect', () => process.exit())
  const { concurrency, warmupSeconds, length } = order
  if (warmupSeconds > 0) await loop.run(Math.max(concurrency, warmupConcurrency), { seconds: warmupSeconds })
  tell({ report: 'began', monotonicMicros: monotonicMicros() })
  const result = await loop.run(concurrency, length)
  tell({ report: 'ended', monotonicMicros: monotonicMicros(), result })
}

function tell(report: LoadReport): void {
  process.send?.(report)
}
