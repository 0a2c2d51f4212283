import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fireManyTimers } from '../../../bench/many-timers.ts'
import { silentLog } from '../../../src/kernel/environment.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { limits } from '../../../src/kernel/limits.ts'
import { createSystemEnvironment } from '../../../src/kernel/system-environment.ts'
import type { KeyValueStore, WriteBatch } from '../../../src/store/key-value-store.ts'
import { openLmdbStore } from '../../../src/store/lmdb-store.ts'
import { allTables } from '../../../src/tables/table-names.ts'
import { deleteTimer, putTimer, readTimers, type StoredTimer } from '../../../src/tables/timers.ts'
import { indexWorkflowEvent } from '../../../src/tables/workflow-index.ts'
import { write } from '../../contract/store-contract.ts'

let directory: string
let store: KeyValueStore

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-timers-'))
  const environment = createSystemEnvironment(silentLog)
  store = openLmdbStore({ path: path.join(directory, 'table'), tables: allTables, readOnly: false, environment })
})

afterEach(async () => {
  await store.close()
  fs.rmSync(directory, { recursive: true })
})

const timer = (dueMs: number, id: string, isAbsolute = false): StoredTimer => ({
  key: `workflow:w/${id}`,
  operation: 'timer/sleep#1',
  dueMs,
  isAbsolute,
  startedLsn: lsn(dueMs + 1),
})

const put = (...timers: StoredTimer[]): Promise<void> =>
  write(store, (batch) => {
    for (const each of timers) putTimer(batch, each)
  })

const index = (fill: (batch: WriteBatch) => void): Promise<void> => write(store, fill)

describe('the table of timers', () => {
  it('gives back what was put, in the order in which they are due and then by workflow', async () => {
    const [a, b, c] = [timer(300, 'ü'), timer(100, 'z', true), timer(100, 'a')]
    await put(a, b, c)
    expect(readTimers(store, null, 10)).toEqual([c, b, a])
  })

  it('goes on behind a place, whether there is still a timer there or not', async () => {
    const timers = [1, 2, 3, 4].map((dueMs) => timer(dueMs, 'a'))
    await put(...timers)
    const [first, second, ...rest] = timers as [StoredTimer, StoredTimer, ...StoredTimer[]]
    expect(readTimers(store, null, 2)).toEqual([first, second])
    expect(readTimers(store, second, 2)).toEqual(rest)
    await write(store, (batch) => deleteTimer(batch, second))
    expect(readTimers(store, second, 2)).toEqual(rest)
  })

  it('loses with the time limit of a workflow what the workflow waited for', async () => {
    const key = 'workflow:w/a'
    const sleep = { operation: 'timer/sleep#1', dueMs: 900 }
    await index((batch) => {
      const start = { input: null, digest: '', version: 1, atMs: 0, timeoutAtMs: 500, parent: null }
      indexWorkflowEvent(batch, key, { type: 'workflow/started', data: start }, lsn(1))
      indexWorkflowEvent(batch, key, { type: 'timer/started', data: { ...sleep, atMs: 0 } }, lsn(2))
    })
    expect(readTimers(store, null, 9).map(({ operation }) => operation)).toEqual(['timeout', sleep.operation])
    const timers = [[sleep.operation, sleep.dueMs] as const, ['timeout', 500] as const]
    const fired = { operation: 'timeout', dueMs: 500, atMs: 500, timers }
    await index((batch) => indexWorkflowEvent(batch, key, { type: 'timer/fired', data: fired }, lsn(3)))
    expect(readTimers(store, null, 9)).toEqual([])
  })
})

describe('a hundred thousand timers', () => {
  it('fire all and in order, with few of them in memory', async () => {
    const timers = 100_000
    const { fired, outOfOrder, held } = await fireManyTimers(directory, timers)
    expect({ fired, outOfOrder }).toEqual({ fired: timers, outOfOrder: 0 })
    expect(held).toBeLessThanOrEqual(limits.timersHeldMax)
  })
})
