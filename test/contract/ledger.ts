import { defineAggregate, defineApplication, defineMigration, defineProjection } from '../../src/index.ts'

/** Two versions of one application: amounts were in whole units and are in cents, `opened` is `started`, `note` went. */
export const ledgerV1 = defineAggregate({
  name: 'ledger',
  initialState: () => ({ total: 0, owner: '' }),
  decide: {
    open: (data: { owner: string }) => ({ type: 'opened', data }),
    add: (data: { amount: number; note?: string }) => [
      { type: 'added', data: { amount: data.amount } },
      ...(data.note === undefined ? [] : [{ type: 'noted' as const, data: { note: data.note } }]),
    ],
    fail: (data: { amount: number }): { type: 'added'; data: { amount: number } } => {
      throw new Error(`version 1 cannot add ${data.amount}`)
    },
  },
  evolve: {
    opened: (state, data: { owner: string }) => ({ ...state, owner: data.owner }),
    added: (state, data: { amount: number }) => ({ ...state, total: state.total + data.amount }),
    noted: (state, _data: { note: string }) => state,
  },
  retry: { maxAttempts: 1 },
  onExhausted: 'blockAggregate',
  snapshotEvery: 10,
})

const v2 = {
  name: 'ledger',
  version: 2,
  initialState: () => ({ totalCents: 0, owner: { name: '' } }),
  decide: {
    open: (data: { owner: { name: string } }) => ({ type: 'started' as const, data }),
    add: (data: { amountCents: number }) => ({ type: 'added' as const, data }),
    fail: (data: { amountCents: number }) => ({ type: 'added' as const, data }),
  },
  evolve: {
    started: (state: { totalCents: number; owner: { name: string } }, data: { owner: { name: string } }) => ({
      ...state,
      owner: data.owner,
    }),
    added: (state: { totalCents: number; owner: { name: string } }, data: { amountCents: number }) => ({
      ...state,
      totalCents: state.totalCents + data.amountCents,
    }),
    noted: (state: { totalCents: number; owner: { name: string } }) => state,
  },
  retry: { maxAttempts: 1 },
  onExhausted: 'blockAggregate',
  snapshotEvery: 10,
} as const

export const ledgerV2 = defineAggregate({
  ...v2,
  upcast: {
    opened: (data) => ({ type: 'started', data: { owner: { name: (data as { owner: string }).owner } } }),
    added: (data) => ({ type: 'added', data: { amountCents: (data as { amount: number }).amount * 100 } }),
  },
})

/** When all is migrated, nothing has to be upcast. */
export const ledgerV2Alone = defineAggregate(v2)

const totalsV1 = defineProjection({
  name: 'totals',
  version: 1,
  aggregates: [ledgerV1],
  on: {
    ledger: {
      added: (table, { aggregate: { id }, data }) => {
        const row = (table.get(id) ?? { cents: 0 }) as { cents: number }
        table.put(id, { cents: row.cents + data.amount * 100 })
      },
    },
  },
})

const totalsV2 = defineProjection({
  name: 'totals',
  version: 1,
  aggregates: [ledgerV2],
  on: {
    ledger: {
      added: (table, { aggregate: { id }, data }) => {
        const row = (table.get(id) ?? { cents: 0 }) as { cents: number }
        table.put(id, { cents: row.cents + data.amountCents })
      },
    },
  },
})

export const applicationV1 = defineApplication({ name: 'books', aggregates: [ledgerV1], projections: [totalsV1] })
export const applicationV2 = defineApplication({ name: 'books', aggregates: [ledgerV2], projections: [totalsV2] })
export const applicationV2Alone = defineApplication({
  name: 'books',
  aggregates: [ledgerV2Alone],
  projections: [totalsV2],
})

/** Does what `upcast` does, and empties notes; a command keeps its name. */
export const toCents = defineMigration({
  aggregate: ledgerV2,
  fromVersion: 1,
  toVersion: 2,
  event: (type, data: { amount: number; owner: string }) => {
    switch (type) {
      case 'opened':
        return { type: 'started', data: { owner: { name: data.owner } } }
      case 'added':
        return { type: 'added', data: { amountCents: data.amount * 100 } }
      default:
        return null
    }
  },
  command: (name, data: { amount: number; owner: string }) =>
    name === 'open'
      ? { command: 'open', data: { owner: { name: data.owner } } }
      : { command: name as 'add' | 'fail', data: { amountCents: data.amount * 100 } },
})
