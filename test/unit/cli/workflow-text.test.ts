import { describe, expect, it } from 'vitest'
import { waitingText, workflowText } from '../../../src/cli/workflow-text.ts'
import type { WorkflowView } from '../../../src/client/options.ts'

const at = '2026-11-20T12:00:00.000Z'
const view = (more: Partial<WorkflowView>): WorkflowView => ({
  name: 'order',
  id: '17',
  status: 'running',
  version: 1,
  run: 1,
  startedAt: at,
  endedAt: null,
  revision: 1,
  result: null,
  error: null,
  progress: null,
  isCancelled: false,
  requests: [],
  requestCounts: { total: 0, completed: 0, failed: 0 },
  waitingFor: [],
  ...more,
})
const places = [
  'at node:internal/x:1:2',
  'at charge (file:///shop/node_modules/p/a.js:1:1)',
  'at run (file:///shop/orders.ts:12:20)',
]
const error = { code: 'TypeError', message: 'fetch failed', causes: ['connect ECONNREFUSED 127.0.0.1:7420'], places }
const linesOf = (more: Partial<WorkflowView>): string[] => workflowText(view(more)).split('\n')

describe('a workflow as text', () => {
  it('says why it is parked: the error, what that came of, and where', () => {
    const lines = linesOf({ status: 'parked', error })
    expect(lines).toContain('error      TypeError: fetch failed')
    expect(lines).toContain('caused by  connect ECONNREFUSED 127.0.0.1:7420')
    expect(lines).toContain('at         run (/shop/orders.ts:12:20)')
  })

  it('says so of a request that failed', () => {
    const request = { name: 'charge', operation: 'request/charge#1', run: 1, attempt: 2, startedAt: at, endedAt: null }
    const requests = [{ ...request, status: 'parked', retryAt: null, error }] as const
    expect(workflowText(view({ requests, requestCounts: { total: 1, completed: 0, failed: 0 } }))).toContain(
      'TypeError: fetch failed; caused by connect ECONNREFUSED 127.0.0.1:7420, at run (/shop/orders.ts:12:20)',
    )
  })

  it('says that it was told to end, and how one that is parked comes to its end', () => {
    const cancelling = (more: Partial<WorkflowView>): string | undefined =>
      linesOf(more).find((line) => line.startsWith('cancelling'))
    expect(cancelling({})).toBeUndefined()
    expect(cancelling({ isCancelled: true })).toContain('it was told to end, and undoes what it did')
    expect(cancelling({ isCancelled: true, status: 'parked', error })).toContain('workflow cancel order/17 --force')
    expect(cancelling({ isCancelled: true, status: 'cancelled', endedAt: at })).toBeUndefined()
  })

  it('says what signal it waits for by the name that it is sent under', () => {
    const wait = { kind: 'signal', operation: 'signal/price/of a#2#1', since: at, dueAt: null } as const
    expect(linesOf({ waitingFor: [wait] }).at(-2)).toMatch(/^signal +price\/of a#2 +2026/)
    const { requests: _, waitingFor: __, ...summary } = view({})
    const listed = (more: object): string | null =>
      waitingText({ ...summary, waitingFor: [{ ...wait, ...more }, wait] })
    expect(listed({})).toBe('signal price/of a#2, and 1 more')
    expect(listed({ dueAt: at })).toBe(`signal price/of a#2 until ${at}, and 1 more`)
  })

  it('says what could not be undone', () => {
    const failure = { code: 'cancelled', message: 'enough', notCompensated: ['refund account/1: closed: it is closed'] }
    expect(linesOf({ status: 'cancelled', endedAt: at, error: failure })).toContain(
      'not undone  refund account/1: closed: it is closed',
    )
  })
})
