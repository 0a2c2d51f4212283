import { type ProcessSamples, renderMetrics } from '../observability/metrics-exposition-adapter.ts'
import type { DatabaseStatus, ProcessStatus } from './control-protocol.ts'

/** Everything that the processes of a database report, in the Prometheus text format. */
export function databaseMetrics({ processes }: DatabaseStatus): Promise<string> {
  return renderMetrics(processes.map(samplesOf))
}

function samplesOf({ name, rssBytes, eventLoopLagMs, appliedLsn, restarts, metrics }: ProcessStatus): ProcessSamples {
  const gauge = (metric: string, help: string, value: number | null): ProcessSamples['samples'] =>
    value === null ? [] : [{ name: metric, kind: 'gauge', help, value }]
  return {
    process: name,
    samples: [
      ...gauge('resident_memory_bytes', 'Resident memory of the process.', rssBytes),
      ...gauge(
        'event_loop_lag_seconds',
        'Longest delay of its event loop in the last second.',
        (eventLoopLagMs ?? 0) / 1000,
      ),
      ...gauge('applied_lsn', 'The last journal entry that the process has reduced.', appliedLsn),
      { name: 'restarts_total', kind: 'counter', help: 'How often the process was started again.', value: restarts },
      ...metrics,
    ],
  }
}
