import { defineAggregate, defineApplication, defineWorkflow } from '../../../src/index.ts'
import type { Application } from '../../../src/sdk/application.ts'

export const account = defineAggregate({
  name: 'account',
  initialState: () => ({ balance: 0, deposits: 0 }),
  decide: { deposit: (data: { amount: number; mark: string }) => ({ type: 'deposited', data }) },
  evolve: {
    deposited: (state, { amount }: { amount: number; mark: string }) => ({
      balance: state.balance + amount,
      deposits: state.deposits + 1,
    }),
  },
})

/** Who is asked for money outside: once for each key, however often it is asked. */
export class Payments {
  readonly charges = new Map<string, number>()
  /** The next request waits until it is let go. */
  isHeld = false

  async charge(key: string, amount: number): Promise<string> {
    this.charges.set(key, amount)
    if (this.isHeld) await new Promise<void>(() => {})
    return `receipt ${amount}`
  }
}

export function bankAndOrders(payments: Payments): Application {
  const order = defineWorkflow({
    name: 'order',
    run: async (context, input: { amount: number; restMs: number }) => {
      const receipt = await context.request('charge', ({ effectKey }) => payments.charge(effectKey, input.amount))
      await context.sleep(input.restMs)
      const outcome = await context.command(account, 'shop', 'deposit', { amount: input.amount, mark: receipt })
      return { receipt, outcome: outcome.outcome }
    },
  })
  return defineApplication({ name: 'bank', aggregates: [account], workflows: [order] })
}
