import { describe, expect, it } from 'vitest'
import { CommandRejected, isCommandRejected } from '../../../src/sdk/rejection.ts'

describe('CommandRejected', () => {
  it('carries code, message and details', () => {
    const rejection = new CommandRejected('insufficient_funds', 'the balance is too low', { balanceCents: 5 })
    expect(rejection).toMatchObject({
      code: 'insufficient_funds',
      message: 'the balance is too low',
      details: { balanceCents: 5 },
    })
    expect(rejection).toBeInstanceOf(Error)
  })

  it('is known by its symbol, so that another copy of the package can throw it', () => {
    expect(isCommandRejected(new CommandRejected('no'))).toBe(true)
    expect(isCommandRejected(Object.assign(new Error('no'), { [Symbol.for('commanderdb.rejected')]: true }))).toBe(true)
    for (const other of [new Error('no'), null, undefined, 'no', { code: 'no' }])
      expect(isCommandRejected(other)).toBe(false)
  })
})
