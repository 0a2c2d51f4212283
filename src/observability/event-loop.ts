/** Samples how late the event loop runs its timers; the number that shows a blocked loop before clients notice. */
export interface EventLoopMonitor {
  /** The longest delay since the last call, in milliseconds above the sampling interval. Starts a new window. */
  takeMaxLagMs(): number
  /** The share of the time since the last call in which it had something to do, 0 to 1. Starts a new window. */
  takeBusyShare(): number
  stop(): void
}

const sampleIntervalMs = 20

/**
 * A timer of our own: `perf_hooks.monitorEventLoopDelay` forgets its last sample at each reset, so it misses exactly
 * the block that a window begins with, and its timer fires more often than this one.
 */
export function monitorEventLoop(): EventLoopMonitor {
  let sampledAtMs = performance.now()
  let maxLagMs = 0
  const sample = (): void => {
    const nowMs = performance.now()
    maxLagMs = Math.max(maxLagMs, nowMs - sampledAtMs - sampleIntervalMs)
    sampledAtMs = nowMs
  }
  let utilization = performance.eventLoopUtilization()
  const timer = setInterval(sample, sampleIntervalMs).unref()
  return {
    takeMaxLagMs() {
      // Includes the delay that is not over yet: after a block this may run before the timer does.
      const lagMs = Math.max(maxLagMs, performance.now() - sampledAtMs - sampleIntervalMs)
      maxLagMs = 0
      return Math.round(lagMs * 10) / 10
    },
    takeBusyShare() {
      const before = utilization
      utilization = performance.eventLoopUtilization()
      return performance.eventLoopUtilization(utilization, before).utilization
    },
    stop: () => clearInterval(timer),
  }
}
