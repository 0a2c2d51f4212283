import { describe, expect, it } from 'vitest'
import { causeOfLines, causesOf } from '../../../src/kernel/error-causes.ts'

describe('the causes of an error', () => {
  it('are none where it has none, or is no error', () => {
    for (const error of [new Error('no'), 'text', undefined, null, { message: 'no' }])
      expect(causesOf(error)).toEqual([])
  })

  it('say host, port and code of a connection that was refused', async () => {
    const refused = await fetch('http://127.0.0.1:1/').then(
      () => null,
      (error: unknown) => error,
    )
    expect((refused as Error).message).toBe('fetch failed')
    expect(causesOf(refused)).toEqual([expect.stringMatching(/bad port|ECONNREFUSED 127\.0\.0\.1:1/)])
    const cause = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:7420'), { code: 'ECONNREFUSED' })
    expect(causesOf(new TypeError('fetch failed', { cause }))).toEqual(['connect ECONNREFUSED 127.0.0.1:7420'])
  })

  it('are those of causes, and of each error of an aggregate', () => {
    const addresses = ['::1', '127.0.0.1'].map((host) => new Error(`connect ECONNREFUSED ${host}:80`))
    const cause = Object.assign(new AggregateError(addresses), { code: 'ECONNREFUSED' })
    expect(causesOf(new TypeError('fetch failed', { cause }))).toEqual([
      'AggregateError: (ECONNREFUSED)',
      'connect ECONNREFUSED ::1:80',
      'connect ECONNREFUSED 127.0.0.1:80',
    ])
    expect(causesOf(new Error('a', { cause: new RangeError('b', { cause: { c: 1 } }) }))).toEqual([
      'RangeError: b',
      '{"c":1}',
    ])
  })

  it('are bounded, and may go round in a circle', () => {
    const circle = new Error('a')
    circle.cause = new Error('b', { cause: circle })
    expect(causesOf(circle)).toEqual(['b'])
    const many = new AggregateError(Array.from({ length: 100 }, (_, i) => new Error(`${i} ${'x'.repeat(10_000)}`)))
    expect(causesOf(many)).toHaveLength(6)
    for (const line of causesOf(many)) expect(line).toHaveLength(500)
  })

  it('come back from what was recorded of them', () => {
    const lines = ['TypeError: a', 'b', 'c (ECODE)']
    expect(causesOf(new Error('whole', { cause: causeOfLines(lines) }))).toEqual(lines)
    expect(causeOfLines([])).toBeUndefined()
  })
})
