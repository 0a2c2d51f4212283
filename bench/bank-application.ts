import { defineAggregate, defineApplication } from 'commanderdb'

/** As little as an application can do: the cost of deciding belongs to users, not to the database. */
export const account = defineAggregate({
  name: 'account',
  initialState: () => ({ balance: 0 }),
  decide: {
    deposit: ({ amount }: { amount: number; currency: string; memo: string }, state) => ({
      type: 'deposited',
      data: { amount, balance: state.balance + amount },
    }),
  },
  evolve: { deposited: (_state, { balance }: { amount: number; balance: number }) => ({ balance }) },
})

// biome-ignore lint/style/noDefaultExport: the form of an application module
export default defineApplication({ name: 'bench', aggregates: [account], projections: [], workflows: [] })
