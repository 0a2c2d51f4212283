import { type ProcessSamples, renderMetrics } from '../observability/metrics-exposition-adapter.ts'
import type { DatabaseStatus, ProcessStatus } from './control-protocol.ts'

/** Everything that the processes of a database report, in the Prometheus text format. */
export function databaseMetrics({ processes, attestation }: DatabaseStatus): Promise<string> {
  return renderMetrics([...processes.map(samplesOf), ...(attestation === null ? [] : [nodesOf(attestation)])])
}

function nodesOf({ nodes }: NonNullable<DatabaseStatus['attestation']>): ProcessSamples {
  const value = nodes.filter(({ difference }) => difference !== null).length
  const help = 'Nodes of the cluster with another state than this one.'
  return { process: 'journal-writer', samples: [{ name: 'nodes_with_another_state', kind: 'gauge', help, value }] }
}

function samplesOf(status: ProcessStatus): ProcessSamples {
  const { name, rssBytes, eventLoopLagMs, appliedLsn, lag, attested, restarts, metrics } = status
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
      ...gauge('lag_lsns', 'Entries of the journal that the process has not reduced.', lag?.lsns ?? null),
      ...gauge('lag_bytes', 'Bytes of the journal that the process has not reduced.', lag?.bytes ?? null),
      ...gauge('lag_seconds', 'Age of the oldest entry that it has not reduced.', lag === null ? null : lag.ms / 1000),
      ...gauge('attested_lsn', 'The entry after which its state was compared last.', attested?.lsn ?? null),
      { name: 'restarts_total', kind: 'counter', help: 'How often the process was started again.', value: restarts },
      ...metrics,
    ],
  }
}
