import { join } from 'node:path'
import { TimerQueue } from '../src/dispatcher/timer-queue.ts'
import { silentLog } from '../src/kernel/environment.ts'
import { lsn } from '../src/kernel/identifiers.ts'
import { limits } from '../src/kernel/limits.ts'
import { createSystemEnvironment } from '../src/kernel/system-environment.ts'
import type { KeyValueStore } from '../src/store/key-value-store.ts'
import { openLmdbStore } from '../src/store/lmdb-store.ts'
import { allTables } from '../src/tables/table-names.ts'
import { putTimer, readTimers } from '../src/tables/timers.ts'

export interface ManyTimers {
  readonly fired: number
  readonly outOfOrder: number
  /** At most in memory. */
  readonly held: number
  /** The longest that the event loop would have been held for a portion of the store, in milliseconds. */
  readonly longestReadMs: number
  readonly seconds: number
}

const perTransaction = 50_000
const stepMs = 500

/** As many timers as wanted in a real store, one due each millisecond of a clock that is moved by hand. */
export async function fireManyTimers(directory: string, timers: number): Promise<ManyTimers> {
  const environment = createSystemEnvironment(silentLog)
  const store = openLmdbStore({ path: join(directory, 'store'), tables: allTables, readOnly: false, environment })
  try {
    for (let from = 0; from < timers; from += perTransaction)
      await put(store, from, Math.min(timers, from + perTransaction))
    return fire(store, timers)
  } finally {
    await store.close()
  }
}

const put = (store: KeyValueStore, from: number, to: number): Promise<void> =>
  new Promise((resolve, reject) => {
    store.write(
      (batch) => {
        for (let i = from; i < to; i++) {
          const place = { key: `workflow:w/${i}`, operation: 'timer/sleep#1', dueMs: i }
          putTimer(batch, { ...place, isAbsolute: false, startedLsn: lsn(i + 1) })
        }
      },
      (error) => (error === null ? resolve() : reject(error)),
    )
  })

function fire(store: KeyValueStore, timers: number): ManyTimers {
  const startedMs = performance.now()
  const all = lsn(timers + 1)
  let nowMs = -1
  let [fired, outOfOrder, held, longestReadMs] = [0, 0, 0, 0]
  const queue = new TimerQueue({
    clock: { wallMs: () => nowMs, monotonicMs: () => nowMs },
    read: (after, limit) => {
      const beganMs = performance.now()
      const rows = readTimers(store, after, limit)
      longestReadMs = Math.max(longestReadMs, performance.now() - beganMs)
      return rows
    },
    heldMax: limits.timersHeldMax,
    readMax: limits.timersReadMax,
  })
  queue.storeApplied(all)
  while (fired < timers && nowMs < timers + stepMs) {
    nowMs += stepMs
    for (let waitMs = queue.waitMs(); waitMs === 0; waitMs = queue.waitMs()) {
      queue.refill()
      held = Math.max(held, queue.held)
      for (let due = queue.takeDue(); due !== null; due = queue.takeDue()) {
        if (due.dueMs !== fired++) outOfOrder++
        queue.remove(due, all)
      }
    }
  }
  return { fired, outOfOrder, held, longestReadMs, seconds: (performance.now() - startedMs) / 1000 }
}
