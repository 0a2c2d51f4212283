import { beforeEach, expect, test } from 'vitest'
import { Retries } from '../../../src/dispatcher/retries.ts'
import { silentLog } from '../../../src/kernel/environment.ts'
import { type Lsn, lsn } from '../../../src/kernel/identifiers.ts'
import type { PendingCommand } from '../../../src/state/commands.ts'
import { ManualScheduler } from '../ipc/manual-scheduler.ts'

let scheduler: ManualScheduler
let wallMs: number
let retries: Retries
beforeEach(() => {
  scheduler = new ManualScheduler()
  wallMs = 1_700_000_000_000
  const clock = { wallMs: () => wallMs, monotonicMs: () => scheduler.nowMs }
  const random = { uint32: () => 0, uuid: () => '' }
  retries = new Retries({ clock, scheduler, random, log: silentLog })
})

const failed = (at: Lsn, atMs: number, retryDelayMs: number): PendingCommand =>
  ({ lsn: at, retryAtMs: atMs + retryDelayMs, retryDelayMs }) as PendingCommand

test('a failed command waits as long as its failure says, wherever the wall clock jumps', () => {
  const command = failed(lsn(7), wallMs, 500)
  retries.failed(command)
  wallMs -= 86_400_000
  expect(retries.waitMs(command)).toBe(500)
  scheduler.advance(400)
  wallMs += 2 * 86_400_000
  expect(retries.waitMs(command)).toBe(100)
  scheduler.advance(100)
  expect(retries.waitMs(command)).toBe(0)
})

test('a failure of before this process waits by the wall clock, and no longer than its failure says', () => {
  const ahead = failed(lsn(6), wallMs + 86_400_000, 500)
  expect(retries.waitMs(ahead)).toBe(500)
  expect(retries.waitMs(failed(lsn(7), wallMs - 200, 500))).toBe(300)
  expect(retries.waitMs(failed(lsn(8), wallMs - 501, 500))).toBeLessThanOrEqual(0)
  expect(retries.waitMs({ lsn: lsn(9), retryAtMs: 0, retryDelayMs: 0 } as PendingCommand)).toBe(0)
  scheduler.advance(500)
  expect(retries.waitMs(ahead)).toBe(0)
})

test('a command that has ended is forgotten', () => {
  const command = failed(lsn(7), wallMs, 500)
  retries.failed(command)
  retries.ended(command.lsn)
  expect(retries.waitMs(failed(lsn(7), wallMs, 900))).toBe(900)
})

test('one timer runs for an aggregate, the earliest, and none after the end', () => {
  const runs: string[] = []
  retries.later('account/1', 100, () => runs.push('of one that has ended'))
  retries.later('account/1', 50, () => runs.push('earliest'))
  retries.later('account/1', 70, () => runs.push('later'))
  retries.later('account/2', 300, () => runs.push('other'))
  scheduler.advance(49)
  expect(runs).toEqual([])
  scheduler.advance(151)
  expect(runs).toEqual(['earliest'])
  retries.stop()
  scheduler.advance(200)
  expect(runs).toEqual(['earliest'])
})
