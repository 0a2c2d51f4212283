import { CommandRejected, defineAggregate, defineApplication, defineProjection } from 'commanderdb'

/** Money is counted in whole cents: sums of floating-point numbers do not add up. */
interface Amount {
  amountCents: number
}

function assertAmount({ amountCents }: Amount): void {
  if (Number.isSafeInteger(amountCents) && amountCents > 0) return
  throw new CommandRejected('invalid_amount', 'amountCents must be a whole number above 0', { amountCents })
}

export const account = defineAggregate({
  name: 'account',
  initialState: () => ({ balanceCents: 0, allowOverdraft: false }),
  decide: {
    open: (data: { allowOverdraft?: boolean }, _state, context) => {
      if (context.aggregate.revision > 0) throw new CommandRejected('already_open', 'the account is in use already')
      return { type: 'opened', data: { allowOverdraft: data.allowOverdraft === true } }
    },
    deposit: (data: Amount) => {
      assertAmount(data)
      return { type: 'deposited', data: { amountCents: data.amountCents } }
    },
    // An amount that the bank has paid out already is a fact: `overdraft: true` records it whatever the balance.
    withdraw: (data: Amount & { overdraft?: boolean }, state) => {
      assertAmount(data)
      const { amountCents } = data
      const { balanceCents } = state
      if (balanceCents < amountCents && !state.allowOverdraft && data.overdraft !== true) {
        throw new CommandRejected('insufficient_funds', 'the balance is too low', { balanceCents, amountCents })
      }
      return { type: 'withdrawn', data: { amountCents } }
    },
  },
  evolve: {
    opened: (state, data: { allowOverdraft: boolean }) => ({ ...state, allowOverdraft: data.allowOverdraft }),
    deposited: (state, data: Amount) => ({ ...state, balanceCents: state.balanceCents + data.amountCents }),
    withdrawn: (state, data: Amount) => ({ ...state, balanceCents: state.balanceCents - data.amountCents }),
  },
})

/** Balance and number of movements by account id. */
export const balances = defineProjection({
  name: 'balances',
  version: 1,
  aggregates: [account],
  initialRow: () => ({ balanceCents: 0, movements: 0 }),
  on: {
    account: {
      deposited: (table, { aggregate: { id }, data }) => {
        const row = table.get(id)
        table.put(id, { balanceCents: row.balanceCents + data.amountCents, movements: row.movements + 1 })
      },
      withdrawn: (table, { aggregate: { id }, data }) => {
        const row = table.get(id)
        table.put(id, { balanceCents: row.balanceCents - data.amountCents, movements: row.movements + 1 })
      },
    },
  },
})

export default defineApplication({ name: 'bank', aggregates: [account], projections: [balances], workflows: [] })
