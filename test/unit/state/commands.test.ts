import { beforeEach, describe, expect, it } from 'vitest'
import { lsn, token } from '../../../src/kernel/identifiers.ts'
import {
  addPending,
  type CommandsSlice,
  dispatcherName,
  emptyCommands,
  markFailed,
  markStarted,
  releaseInstance,
  removePending,
} from '../../../src/state/commands.ts'

let slice: CommandsSlice
beforeEach(() => {
  slice = emptyCommands()
  for (const at of [1, 2, 3, 5]) addPending(slice, lsn(at), 'account/1', 7, 100, null, 0)
})

const start = (at: number, instance: string, assignment: number): void =>
  markStarted(slice, lsn(at), instance, token(assignment))
const tokens = (): number[] => [...slice.byLsn.values()].sort((a, b) => a.lsn - b.lsn).map((command) => command.token)

describe('an assignment', () => {
  it('is void where the command before it is not on the same instance', () => {
    start(2, 'bank-1', 10)
    start(1, 'bank-1', 11)
    start(2, 'bank-2', 12)
    start(2, 'bank-1', 13)
    expect(tokens()).toEqual([11, 13, 0, 0])
    expect(slice.byLsn.get(lsn(2))?.attempts).toBe(1)
  })

  it('is an attempt, but not where the dispatcher only takes the command to park it', () => {
    start(1, 'bank-1', 10)
    releaseInstance(slice, 'bank-1', true)
    start(1, 'dispatcher', 11)
    expect(slice.byLsn.get(lsn(1))).toMatchObject({ token: 11, attempts: 1, crashes: 1 })
  })

  it('is void where the command before it was released since it was drafted', () => {
    start(1, 'bank-1', 10)
    releaseInstance(slice, 'bank-1', true)
    start(2, 'bank-1', 11)
    expect(tokens()).toEqual([0, 0, 0, 0])
  })

  it('of the first command holds although those behind it are started already', () => {
    for (const at of [1, 2, 3]) start(at, 'bank-1', 10)
    markFailed(slice, lsn(1), 0, 0)
    start(1, 'bank-1', 12)
    start(5, 'bank-1', 13)
    expect(tokens()).toEqual([12, 10, 10, 13])
  })

  it('looks past commands that the dispatcher holds to park them', () => {
    start(1, 'bank-1', 10)
    start(2, dispatcherName, 11)
    start(3, dispatcherName, 12)
    start(5, 'bank-2', 13)
    expect(tokens()).toEqual([10, 11, 12, 0])
    start(5, 'bank-1', 14)
    expect(tokens()).toEqual([10, 11, 12, 14])
  })

  it('looks at who is before the command now, as commands end and a retried one comes back to its place', () => {
    start(1, 'bank-1', 10)
    removePending(slice, lsn(2))
    start(3, 'bank-1', 11)
    removePending(slice, lsn(1))
    start(5, 'bank-1', 12)
    addPending(slice, lsn(4), 'account/1', 7, 100, null, 0)
    start(5, 'bank-1', 13)
    expect(slice.byLsn.get(lsn(5))?.token).toBe(12)
    start(4, 'bank-1', 14)
    start(5, 'bank-1', 15)
    expect(tokens()).toEqual([11, 14, 15])
  })
})
