import { beforeEach, describe, expect, it } from 'vitest'
import { limits } from '../../../src/kernel/limits.ts'
import type { Failure } from '../../../src/workflows/failure.ts'
import type { WorkflowEvent } from '../../../src/workflows/workflow-events.ts'
import { awakeablePlace, operationAt } from '../../../src/workflows/workflow-names.ts'
import type { WorkflowView } from '../../../src/workflows/workflow-view.ts'
import { WorkflowViewFold } from '../../../src/workflows/workflow-view-fold.ts'

let fold: WorkflowViewFold
const error: Failure = { code: 'Error', message: 'no' }
const atMs = 1000

beforeEach(() => {
  fold = new WorkflowViewFold('workflow:order', 'a/1')
})

function viewAfter(...events: readonly WorkflowEvent[]): WorkflowView {
  for (const event of events) fold.add(event)
  return fold.view() as WorkflowView
}

const started: WorkflowEvent = {
  type: 'workflow/started',
  data: { input: null, digest: '', version: 2, atMs, timeoutAtMs: null, parent: null },
}
const requested = (operation: string, attempt = 1, at = atMs): WorkflowEvent => ({
  type: 'request/started',
  data: { operation, attempt, atMs: at },
})
const done = (operation: string): WorkflowEvent => ({ type: 'request/completed', data: { operation, result: 1, atMs } })
const failed = (operation: string, next: 'final' | 'again' | 'exhausted'): WorkflowEvent => ({
  type: 'request/failed',
  data: { operation, attempt: 1, error, atMs, next, retryAtMs: next === 'again' ? 9000 : null, isTimer: false },
})

describe('the view of a workflow', () => {
  it('is none before it was started', () => {
    expect(fold.view()).toBeNull()
  })

  it('says of each request what it is at', () => {
    const [running, retrying, parked, completed, ended] = ['r', 'a', 'p', 'c', 'f'].map((name) => `request/${name}#1`)
    const { requests, requestCounts } = viewAfter(
      started,
      ...[running, retrying, parked, completed, ended].map((operation) => requested(operation as string)),
      failed(retrying as string, 'again'),
      failed(parked as string, 'exhausted'),
      done(completed as string),
      failed(ended as string, 'final'),
    )
    const said = Object.fromEntries(requests.map(({ name, status }) => [name, status]))
    expect(said).toEqual({ r: 'running', a: 'retrying', p: 'parked', c: 'completed', f: 'failed' })
    expect(requests.find(({ name }) => name === 'a')).toMatchObject({ retryAt: '1970-01-01T00:00:09.000Z', error })
    expect(requestCounts).toEqual({ total: 5, completed: 1, failed: 1 })
  })

  it('does not show the error of an earlier attempt of a request that was completed', () => {
    const { requests } = viewAfter(
      started,
      requested('request/r#1'),
      failed('request/r#1', 'again'),
      done('request/r#1'),
    )
    expect(requests).toMatchObject([{ status: 'completed', error: null }])
  })

  it('counts a request once, however often it is tried', () => {
    const { requests, requestCounts } = viewAfter(
      started,
      requested('request/r#1'),
      failed('request/r#1', 'again'),
      requested('request/r#1', 2),
    )
    expect(requests).toMatchObject([{ attempt: 2, status: 'running', retryAt: null, error }])
    expect(requestCounts.total).toBe(1)
  })

  it('says that requests are over of which a cancelled workflow does not wait, and shows what undoes', () => {
    const { status, isCancelled, requests } = viewAfter(
      started,
      requested('request/r#1'),
      { type: 'workflow/cancel-requested', data: { reason: 'enough', atMs, timers: [] } },
      requested('compensation/r#1', 1, 2000),
    )
    expect([status, isCancelled]).toEqual(['running', true])
    expect(requests.map(({ operation, name, status: at }) => [operation, name, at])).toEqual([
      ['request/r#1', 'r', 'cancelled'],
      ['compensation/r#1', 'r', 'running'],
    ])
  })

  it('tells the runs apart', () => {
    const { run, requests } = viewAfter(
      started,
      requested('request/r#1'),
      done('request/r#1'),
      { type: 'workflow/continued', data: { input: 2, version: 3, atMs, timers: [] } },
      requested('request/r#1', 1, 2000),
    )
    expect([run, requests.map((one) => [one.run, one.status])]).toEqual([
      2,
      [
        [1, 'completed'],
        [2, 'running'],
      ],
    ])
  })

  it('says what is waited for, and what a callback has to name', () => {
    const dueMs = 5000
    const { waitingFor } = viewAfter(
      started,
      { type: 'timer/started', data: { operation: 'timer/timer#1', dueMs, atMs } },
      { type: 'timer/started', data: { operation: 'signal/approved#1', dueMs, atMs } },
      { type: 'awakeable/created', data: { operation: 'awakeable/awakeable#1', atMs } },
      { type: 'child/requested', data: { operation: 'child/pay/9#1', child: 'workflow:pay/9', input: null, atMs } },
      requested('request/r#1'),
    )
    expect(waitingFor.map(({ kind }) => kind)).toEqual(['timer', 'signal', 'awakeable', 'child'])
    expect(waitingFor[1]).toMatchObject({ dueAt: '1970-01-01T00:00:05.000Z' })
    expect(waitingFor[3]?.child).toBe('pay/9')
    expect(awakeablePlace(waitingFor[2]?.awakeable as string)).toEqual({
      workflow: { type: 'workflow:order', id: 'a/1' },
      operation: 'awakeable/awakeable#1',
    })
  })

  it('waits for nothing when it has ended', () => {
    const { status, waitingFor, result, endedAt } = viewAfter(
      started,
      { type: 'awakeable/created', data: { operation: 'awakeable/awakeable#1', atMs } },
      { type: 'workflow/completed', data: { result: { total: 1 }, atMs: 3000, timers: [] } },
    )
    expect({ status, waitingFor, result, endedAt }).toEqual({
      status: 'completed',
      waitingFor: [],
      result: { total: 1 },
      endedAt: '1970-01-01T00:00:03.000Z',
    })
  })

  it('keeps the latest requests and all that are under way, and counts the rest', () => {
    viewAfter(started, requested('request/first#1', 1, 0))
    const count = 5 * limits.workflowRequestsShown
    for (let i = 1; i <= count; i++)
      for (const event of [requested(`request/r#${i}`, 1, i), done(`request/r#${i}`)]) fold.add(event)
    const { requests, requestCounts } = fold.view() as WorkflowView
    expect(requests).toHaveLength(limits.workflowRequestsShown + 1)
    expect(requests[0]).toMatchObject({ name: 'first', status: 'running' })
    expect(requests.at(-1)?.operation).toBe(`request/r#${count}`)
    expect(requestCounts).toEqual({ total: count + 1, completed: count, failed: 0 })
  })

  it('says of a callback of a later run what that run takes', () => {
    const { run, waitingFor } = viewAfter(
      started,
      { type: 'workflow/continued', data: { input: null, version: 2, atMs, timers: [] } },
      { type: 'awakeable/created', data: { operation: 'awakeable/callback#1', atMs } },
    )
    const { operation = '' } = awakeablePlace(waitingFor[0]?.awakeable ?? '') ?? {}
    expect(operationAt(operation, run)).toBe('awakeable/callback#1')
  })
})
