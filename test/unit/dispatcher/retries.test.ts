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

const failed = (at: Lsn, retryAtMs: number): PendingCommand => ({ lsn: at, retryAtMs }) as PendingCommand

test('a failed command waits as long as its failure says, wherever the wall clock jumps', () => {
  const command = failed(lsn(7), wallMs + 500)
  retries.failed(command, wallMs)
  wallMs -= 86_400_000
  expect(retries.waitMs(command)).toBe(500)
  scheduler.advance(400)
  wallMs += 2 * 86_400_000
  expect(retries.waitMs(command)).toBe(100)
  scheduler.advance(100)
  expect(retries.waitMs(command)).toBe(0)
})

test('a failure of before this process waits by the wall clock, an hour at most', () => {
  expect(retries.waitMs(failed(lsn(7), wallMs + 500))).toBe(500)
  expect(retries.waitMs(failed(lsn(7), wallMs + 86_400_000))).toBe(3_600_000)
  expect(retries.waitMs(failed(lsn(7), wallMs - 1))).toBeLessThanOrEqual(0)
  expect(retries.waitMs(failed(lsn(7), 0))).toBe(0)
})

test('a command that has ended is forgotten', () => {
  const command = failed(lsn(7), wallMs + 500)
  retries.failed(command, wallMs)
  retries.ended(command.lsn)
  expect(retries.waitMs(failed(lsn(7), wallMs + 900))).toBe(900)
})

test('one timer runs for an aggregate, and none after the end', () => {
  const runs: string[] = []
  retries.later('account/1', 100, () => runs.push('first'))
  retries.later('account/1', 50, () => runs.push('second'))
  retries.later('account/2', 300, () => runs.push('other'))
  scheduler.advance(200)
  expect(runs).toEqual(['first'])
  retries.stop()
  scheduler.advance(200)
  expect(runs).toEqual(['first'])
})
