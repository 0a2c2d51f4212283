import { expect, it } from 'vitest'
import type { NodeComparison } from '../../../src/replication/state-comparison.ts'
import type { DatabaseStatus } from '../../../src/supervisor/control-protocol.ts'
import { databaseMetrics } from '../../../src/supervisor/database-metrics.ts'

const agreeing: NodeComparison = { node: 'b', agreedLsn: 7, difference: null }
const differing: NodeComparison = { node: 'c', agreedLsn: 0, difference: { lsn: 7, hash: 'x', ownHash: 'y' } }

const metricsOf = (attestation: object | null): Promise<string> =>
  databaseMetrics({ processes: [], attestation } as unknown as DatabaseStatus)

it('the metrics count the nodes of the cluster with another state', async () => {
  const gauge = (count: number): string => `commanderdb_nodes_with_another_state{process="journal-writer"} ${count}\n`
  expect(await metricsOf(null)).not.toContain('nodes_with_another_state')
  expect(await metricsOf({ nodes: [] })).toContain(gauge(0))
  expect(await metricsOf({ nodes: [agreeing] })).toContain(gauge(0))
  expect(await metricsOf({ nodes: [agreeing, differing] })).toContain(gauge(1))
})
