import { describe, expect, it } from 'vitest'
import { account, balances } from '../../../src/examples/bank/bank.ts'
import { csv, toCommand } from '../../../src/examples/bank/import-1993.ts'
import type { CommandContext, StateOf } from '../../../src/index.ts'

const context = (revision: number): CommandContext => ({
  command: { id: '1', lsn: 1, type: 'open', receivedAt: '2026-01-01T00:00:00.000Z', metadata: {} },
  aggregate: { type: 'account', id: '42', revision },
  random: () => 0,
  uuid: () => '',
})
const state = (balanceCents: number, allowOverdraft = false): StateOf<typeof account> => ({
  balanceCents,
  allowOverdraft,
})

describe('the bank example', () => {
  it('pays in and out', () => {
    expect(account.decide.deposit({ amountCents: 500 }, state(0), context(0))).toEqual({
      type: 'deposited',
      data: { amountCents: 500 },
    })
    expect(account.evolve.deposited(state(1), { amountCents: 500 }, event('deposited'))).toEqual(state(501))
    expect(account.evolve.withdrawn(state(1), { amountCents: 500 }, event('withdrawn'))).toEqual(state(-499))
  })

  it('rejects what is not covered, except on an account that may be overdrawn or where it has happened already', () => {
    const withdraw = account.decide.withdraw
    expect(() => withdraw({ amountCents: 2 }, state(1), context(1))).toThrow(
      expect.objectContaining({ code: 'insufficient_funds', details: { balanceCents: 1, amountCents: 2 } }),
    )
    const event = { type: 'withdrawn', data: { amountCents: 2 } }
    expect(withdraw({ amountCents: 1 }, state(1), context(1))).toMatchObject({ type: 'withdrawn' })
    expect(withdraw({ amountCents: 2 }, state(1, true), context(1))).toEqual(event)
    expect(withdraw({ amountCents: 2, overdraft: true }, state(1), context(1))).toEqual(event)
  })

  it.each([0, -1, 1.5, Number.NaN, 2 ** 53])('rejects the amount %d', (amountCents) => {
    for (const decide of [account.decide.deposit, account.decide.withdraw])
      expect(() => decide({ amountCents }, state(0), context(0))).toThrow(
        expect.objectContaining({ code: 'invalid_amount' }),
      )
  })

  it('opens an account only before its first movement', () => {
    expect(account.decide.open({ allowOverdraft: true }, state(0), context(0))).toMatchObject({ type: 'opened' })
    expect(() => account.decide.open({}, state(0), context(1))).toThrow(
      expect.objectContaining({ code: 'already_open' }),
    )
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

function event(type: string): { type: string; aggregate: { type: string; id: string }; revision: number } {
  return { type, aggregate: { type: 'account', id: '42' }, revision: 1 }
}
