import { Counter, Gauge, Registry } from 'prom-client'
import type { MetricSample } from './metrics.ts'

/** The owner file of prom-client. Renders the samples of all processes in the Prometheus text format. */
export interface ProcessSamples {
  readonly process: string
  readonly samples: readonly MetricSample[]
}

export const metricsContentType: string = Registry.PROMETHEUS_CONTENT_TYPE
const prefix = 'commanderdb_'

/** The first process to name a metric decides its kind and help; values are told apart by the label `process`. */
export function renderMetrics(processes: readonly ProcessSamples[]): Promise<string> {
  const registry = new Registry()
  const known = new Map<string, Counter<'process'> | Gauge<'process'>>()
  for (const { process, samples } of processes) {
    for (const sample of samples) {
      let metric = known.get(sample.name)
      if (metric === undefined) {
        metric = create(sample, registry)
        known.set(sample.name, metric)
      }
      metric.inc({ process }, sample.value)
    }
  }
  return registry.metrics()
}

function create(sample: MetricSample, registry: Registry): Counter<'process'> | Gauge<'process'> {
  const options = {
    name: prefix + sample.name,
    help: sample.help,
    labelNames: ['process'] as const,
    registers: [registry],
  }
  return sample.kind === 'counter' ? new Counter(options) : new Gauge(options)
}
