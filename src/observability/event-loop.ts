import { monitorEventLoopDelay } from 'node:perf_hooks'

/** Samples how late the event loop runs its timers; the number that shows a blocked loop before clients notice. */
export interface EventLoopMonitor {
  /** The longest delay since the last call, in milliseconds above the sampling interval. Starts a new window. */
  takeMaxLagMs(): number
  stop(): void
}

const resolutionMs = 10
const nanosecondsPerMs = 1e6

export function monitorEventLoop(): EventLoopMonitor {
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs })
  histogram.enable()
  return {
    takeMaxLagMs() {
      // An empty histogram answers 0 for its maximum; the sampling interval itself is part of every sample.
      const lagMs = Math.max(0, histogram.max / nanosecondsPerMs - resolutionMs)
      histogram.reset()
      return Math.round(lagMs * 10) / 10
    },
    stop: () => void histogram.disable(),
  }
}
