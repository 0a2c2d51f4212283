import { expect, it } from 'vitest'
import { createMetrics } from '../../../src/observability/metrics.ts'
import { renderMetrics } from '../../../src/observability/metrics-exposition-adapter.ts'

it('counts under one name however often the counter is asked for', () => {
  const metrics = createMetrics()
  metrics.counter('commands_total', 'Commands.').increment()
  metrics.counter('commands_total', 'Commands.').increment(2)
  metrics.gauge('queue_length', 'Waiting.').set(5)
  metrics.gauge('queue_length', 'Waiting.').set(4)
  expect(metrics.samples()).toEqual([
    { name: 'commands_total', kind: 'counter', help: 'Commands.', value: 3 },
    { name: 'queue_length', kind: 'gauge', help: 'Waiting.', value: 4 },
  ])
})

it('shows the samples of all processes in the text format, told apart by process', async () => {
  const [writer, gateway] = [createMetrics(), createMetrics()]
  writer.counter('commands_total', 'Commands.').increment(3)
  gateway.counter('commands_total', 'Commands.').increment(4)
  gateway.gauge('queue_length', 'Waiting.').set(-1)
  const text = await renderMetrics([
    { process: 'journal-writer', samples: writer.samples() },
    { process: 'gateway', samples: gateway.samples() },
  ])
  expect(
    text
      .trim()
      .split('\n')
      .filter((line) => line !== ''),
  ).toEqual([
    '# HELP commanderdb_commands_total Commands.',
    '# TYPE commanderdb_commands_total counter',
    'commanderdb_commands_total{process="journal-writer"} 3',
    'commanderdb_commands_total{process="gateway"} 4',
    '# HELP commanderdb_queue_length Waiting.',
    '# TYPE commanderdb_queue_length gauge',
    'commanderdb_queue_length{process="gateway"} -1',
  ])
})
