/**
 * Counters and gauges as plain numbers: an increment on the hot path is one addition. Processes put their samples
 * into their report to the supervisor; the gateway gathers and exposes them (metrics-exposition-adapter.ts).
 */
export interface Counter {
  /** @param by 0 or more; default 1. */
  increment(by?: number): void
}

export interface Gauge {
  set(value: number): void
}

export interface MetricSample {
  /** Prometheus name, unit last: `commands_received_total`, `flush_seconds_total`. */
  readonly name: string
  readonly kind: 'counter' | 'gauge'
  readonly help: string
  readonly value: number
}

export interface Metrics {
  /** The same name gives the same counter. */
  counter(name: string, help: string): Counter
  gauge(name: string, help: string): Gauge
  samples(): MetricSample[]
}

interface Cell {
  readonly name: string
  readonly kind: MetricSample['kind']
  readonly help: string
  value: number
}

export function createMetrics(): Metrics {
  const cells = new Map<string, Cell>()
  const cellOf = (kind: Cell['kind'], name: string, help: string): Cell => {
    const known = cells.get(name)
    if (known !== undefined) return known
    const cell = { name, kind, help, value: 0 }
    cells.set(name, cell)
    return cell
  }
  return {
    counter(name, help) {
      const cell = cellOf('counter', name, help)
      return {
        increment(by = 1) {
          cell.value += by
        },
      }
    },
    gauge(name, help) {
      const cell = cellOf('gauge', name, help)
      return {
        set(value) {
          cell.value = value
        },
      }
    },
    samples: () => Array.from(cells.values(), (cell) => ({ ...cell })),
  }
}
