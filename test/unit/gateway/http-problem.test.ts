import { describe, expect, it } from 'vitest'
import { problemOf } from '../../../src/gateway/http-problem.ts'
import { notLeader } from '../../../src/ipc/leadership.ts'
import { CommanderError, type ErrorCode, errorCodes } from '../../../src/kernel/errors.ts'
import { ledBy } from '../role-world.ts'

const codes = Object.keys(errorCodes) as ErrorCode[]

describe('problemOf', () => {
  it.each(codes)('gives %s a status, a stable type, and its meaning as title', (code) => {
    const { status, body } = problemOf(new CommanderError(code, 'what happened'))
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(600)
    expect(body).toEqual({
      type: `urn:commanderdb:error:${code}`,
      title: errorCodes[code],
      status,
      detail: 'what happened',
      code,
      retryable: new CommanderError(code, '').retryable,
    })
  })

  it('tells when to come back wherever the same call may succeed later, but after a timeout', () => {
    for (const code of codes) {
      const error = new CommanderError(code, '')
      const { headers } = problemOf(error)
      if (error.retryable && code !== 'timeout')
        expect({ code, headers }).toEqual({ code, headers: { 'retry-after': '1' } })
    }
  })

  it('rounds the time to come back up to whole seconds', () => {
    const secondsFor = (retryAfterMs: unknown) =>
      problemOf(new CommanderError('overloaded', '', { details: { retryAfterMs } })).headers['retry-after']
    expect([secondsFor(1), secondsFor(1000), secondsFor(1001), secondsFor(0), secondsFor('soon')]).toEqual([
      '1',
      '1',
      '2',
      '1',
      '1',
    ])
  })

  it('names the node that leads in a header, where it serves HTTP', () => {
    const headersFor = (url?: string) => problemOf(notLeader({ ...ledBy('b'), leader: leaderAt(url) })).headers
    const leaderAt = (url?: string) => ({ id: 'b', address: 'b:7500', ...(url === undefined ? {} : { url }) })
    expect(headersFor('http://b:7400')).toEqual({ 'retry-after': '1', 'commanderdb-leader': 'http://b:7400' })
    expect(headersFor()).toEqual({ 'retry-after': '1' })
    expect(problemOf(notLeader({ leads: false, epoch: 3, leader: null }))).toMatchObject({
      status: 503,
      headers: { 'retry-after': '1' },
      body: { code: 'not_leader', retryable: true, details: { leader: null, epoch: 3 } },
    })
  })

  it('carries the details, and takes a status that says more than the code', () => {
    const error = new CommanderError('invalid_input', 'no', { details: { position: 3 } })
    expect(problemOf(error, 415)).toMatchObject({ status: 415, body: { status: 415, details: { position: 3 } } })
  })

  it('tells a store that only has no room from one that failed', () => {
    const full = problemOf(new CommanderError('store_failed', 'full', { retryable: true }))
    expect(full).toMatchObject({ status: 507, headers: { 'retry-after': '1' } })
    expect(problemOf(new CommanderError('store_failed', 'broken')).status).toBe(500)
  })

  it('calls what is not ours a bug', () => {
    expect(problemOf(new TypeError('x is undefined')).body).toMatchObject({ status: 500, code: 'internal' })
    expect(problemOf('text').body).toMatchObject({ detail: 'text', code: 'internal' })
  })
})
