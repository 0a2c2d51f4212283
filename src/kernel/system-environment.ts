import { randomFillSync, randomUUID } from 'node:crypto'
import {
  type Clock,
  type Environment,
  type Log,
  type Random,
  type Scheduler,
  silentLog,
  type Timer,
} from './environment.ts'

/** The real clock, timers and randomness: the one adapter for them, used by every process outside the simulator. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
}

export const systemScheduler: Scheduler = {
  after(delayMs: number, run: () => void): Timer {
    const timer = setTimeout(run, delayMs).unref()
    return { cancel: () => clearTimeout(timer) }
  },
  soon(run: () => void): void {
    setImmediate(run)
  },
}

/** As `systemScheduler`, but its timers keep the process running: for clients, on whom somebody waits. */
export const wakefulScheduler: Scheduler = {
  after(delayMs: number, run: () => void): Timer {
    const timer = setTimeout(run, delayMs)
    return { cancel: () => clearTimeout(timer) }
  },
  soon: systemScheduler.soon,
}

/** One system call for 1024 numbers instead of one each. */
const pool = Buffer.allocUnsafeSlow(4096)
let poolOffset = pool.length

export const systemRandom: Random = {
  uint32(): number {
    if (poolOffset === pool.length) {
      randomFillSync(pool)
      poolOffset = 0
    }
    const value = pool.readUInt32LE(poolOffset)
    poolOffset += 4
    return value
  },
  uuid: () => randomUUID(),
}

/** @param log where the roles of this process write; default: nowhere. */
export function createSystemEnvironment(log: Log = silentLog): Environment {
  return { clock: systemClock, scheduler: systemScheduler, random: systemRandom, log }
}

const hourMs = 3_600_000

/** Keeps the process running until the returned function is called: the timers above do not. */
export function keepProcessAlive(): () => void {
  const interval = setInterval(() => {}, hourMs)
  return () => clearInterval(interval)
}
