import { defineAggregate, defineApplication } from 'commanderdb'

/** As the bench's, and its idempotency keys expire while the run lasts: the store holds those of a minute or two. */
const account = defineAggregate({
  name: 'account',
  idempotencyTtlMs: 60_000,
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
