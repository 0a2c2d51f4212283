import type { CsvRow, ImportCommand } from 'commanderdb'

/**
 * Map module for `commanderdb import`: turns the transactions of the Czech bank data of the PKDD'99 Discovery Challenge
 * (table TRANS) into commands of the bank example. Columns: trans_id, account_id, date (yymmdd), type (PRIJEM credit,
 * VYDAJ debit, VYBER debit in cash), operation, amount, balance, k_symbol, bank, account.
 */
export const csv = { delimiter: ';' }

const commandByType: Readonly<Record<string, 'deposit' | 'withdraw'>> = {
  PRIJEM: 'deposit',
  VYDAJ: 'withdraw',
  VYBER: 'withdraw',
}

export function toCommand(row: CsvRow): ImportCommand {
  const command = commandByType[field(row, 'type')]
  if (command === undefined) throw new Error(`type is "${row.type}", but must be PRIJEM, VYDAJ or VYBER`)
  const amountCents = toCents(field(row, 'amount'))
  const idempotencyKey = field(row, 'trans_id')
  const id = field(row, 'account_id')
  // Some accounts went below zero and the bank let them: what happened is not for the import to refuse.
  const data = command === 'withdraw' ? { amountCents, overdraft: true } : { amountCents }
  return { aggregate: 'account', id, command, data, idempotencyKey }
}

function field(row: CsvRow, name: string): string {
  const value = row[name]
  if (value === undefined || value === '') throw new Error(`the column ${name} is missing or empty`)
  return value
}

/** Digit by digit: `Number('1.15') * 100` is not 115. */
function toCents(amount: string): number {
  const [, crowns, hellers = ''] = /^(\d{1,12})(?:\.(\d{1,2}))?$/.exec(amount) ?? []
  if (crowns === undefined) throw new Error(`amount is "${amount}", but must be crowns with at most two decimals`)
  return Number(crowns) * 100 + Number(hellers.padEnd(2, '0'))
}
