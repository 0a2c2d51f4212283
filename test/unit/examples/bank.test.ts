import { describe, expect, it } from 'vitest'
import { account, balances } from '../../../src/examples/bank/bank.ts'
import { csv, toCommand } from '../../../src/examples/bank/import-1993.ts'
import { testAggregate } from '../../../src/testing.ts'

const { given } = testAggregate(account)
const opened = (allowOverdraft: boolean) => ({ type: 'opened', data: { allowOverdraft } }) as const
const deposited = (amountCents: number) => ({ type: 'deposited', data: { amountCents } }) as const
const withdrawn = (amountCents: number) => ({ type: 'withdrawn', data: { amountCents } }) as const

describe('the bank example', () => {
  it('pays in and out', () => {
    given().when('deposit', { amountCents: 500 }).then(deposited(500))
    given(deposited(500)).when('withdraw', { amountCents: 200 }).thenState({ balanceCents: 300, allowOverdraft: false })
  })

  it('rejects what is not covered, except on an account that may be overdrawn or where it has happened already', () => {
    const details = { balanceCents: 1, amountCents: 2 }
    given(deposited(1)).when('withdraw', { amountCents: 2 }).thenRejected('insufficient_funds', details)
    given(deposited(1)).when('withdraw', { amountCents: 1 }).then(withdrawn(1))
    given(opened(true), deposited(1)).when('withdraw', { amountCents: 2 }).then(withdrawn(2))
    given(deposited(1)).when('withdraw', { amountCents: 2, overdraft: true }).then(withdrawn(2))
  })

  it.each([0, -1, 1.5, Number.NaN, 2 ** 53])('rejects the amount %d', (amountCents) => {
    for (const command of ['deposit', 'withdraw'] as const)
      given().when(command, { amountCents }).thenRejected('invalid_amount')
  })

  it('opens an account only before its first movement', () => {
    given().when('open', { allowOverdraft: true }).then(opened(true))
    given(deposited(1)).when('open', {}).thenRejected('already_open')
  })

  it('projects balances', () => {
    const rows = new Map<string, unknown>()
    const table = {
      get: (key: string) => rows.get(key) ?? balances.initialRow?.(),
      put: (key: string, row: unknown) => void rows.set(key, row),
      delete: (key: string) => void rows.delete(key),
    }
    const at = { aggregate: { type: 'account', id: '42' }, revision: 1, globalPosition: 1, lsn: 1, at: '' }
    balances.on['account']?.['deposited']?.(table as never, { ...at, type: 'deposited', data: { amountCents: 700 } })
    balances.on['account']?.['withdrawn']?.(table as never, { ...at, type: 'withdrawn', data: { amountCents: 200 } })
    expect(rows.get('42')).toEqual({ balanceCents: 500, movements: 2 })
  })
})

describe('the import of the bank data of 1993', () => {
  const row = { trans_id: '695247', account_id: '2378', date: '930101', type: 'PRIJEM', amount: '700.00' }

  it('separates fields by semicolons', () => {
    expect(csv.delimiter).toBe(';')
  })

  it('makes a deposit of a credit, under the transaction as the idempotency key', () => {
    expect(toCommand(row)).toEqual({
      aggregate: 'account',
      id: '2378',
      command: 'deposit',
      data: { amountCents: 70_000 },
      idempotencyKey: '695247',
    })
  })

  it.each(['VYDAJ', 'VYBER'])('makes a withdrawal of %s that no balance refuses', (type) => {
    expect(toCommand({ ...row, type })).toMatchObject({
      command: 'withdraw',
      data: { amountCents: 70_000, overdraft: true },
    })
  })

  it.each([
    ['1.15', 115],
    ['0.1', 10],
    ['0.29', 29],
    ['33', 3300],
    ['90071992547.09', 9_007_199_254_709],
  ])('reads %s crowns exactly', (amount, amountCents) => {
    expect(toCommand({ ...row, amount })).toMatchObject({ data: { amountCents } })
  })

  it.each([
    [{ amount: '1.155' }, /amount is "1\.155"/],
    [{ amount: '-1.00' }, /amount is "-1\.00"/],
    [{ amount: '1e3' }, /amount is "1e3"/],
    [{ amount: '' }, /the column amount is missing or empty/],
    [{ type: 'OTHER' }, /type is "OTHER", but must be PRIJEM, VYDAJ or VYBER/],
    [{ trans_id: '' }, /the column trans_id is missing or empty/],
    [{ account_id: '' }, /the column account_id is missing or empty/],
  ])('refuses %j and says why', (changes, message) => {
    expect(() => toCommand({ ...row, ...changes })).toThrow(message)
  })
})
