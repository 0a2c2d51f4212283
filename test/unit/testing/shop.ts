import { CommandRejected, defineAggregate, defineApplication, defineWorkflow } from '../../../src/index.ts'

export const stock = defineAggregate({
  name: 'stock',
  initialState: () => ({ left: 0 }),
  decide: {
    deliver: (data: { count: number }) => ({ type: 'delivered', data }),
    take: (data: { count: number }, state) => {
      if (state.left < data.count) throw new CommandRejected('sold_out', 'there is not enough', { left: state.left })
      return { type: 'taken', data }
    },
  },
  evolve: {
    delivered: (state, { count }: { count: number }) => ({ left: state.left + count }),
    taken: (state, { count }: { count: number }) => ({ left: state.left - count }),
  },
})

/** What goes on outside: charges by their effect keys, so that a repeated one is recognised. */
export class PaymentService {
  readonly charges = new Map<string, number>()
  fails = 0

  async charge(key: string, amountCents: number): Promise<string> {
    await Promise.resolve()
    if (this.fails-- > 0) throw new Error('the service is down')
    this.charges.set(key, amountCents)
    return `receipt ${this.charges.size}`
  }
}

export const shopOf = (payments: PaymentService) => {
  const order = defineWorkflow({
    name: 'order',
    run: async (context, input: { amountCents: number }) => {
      const taken = await context.command(stock, 'apples', 'take', { count: 1 })
      if (taken.outcome !== 'completed') return { status: 'sold out' as const }
      const receipt = await context.request(
        'charge',
        ({ effectKey }) => payments.charge(effectKey, input.amountCents),
        {
          compensate: (_, { effectKey }) => void payments.charges.delete(effectKey),
        },
      )
      await context.sleep(30 * 86_400_000)
      return { status: 'done' as const, receipt }
    },
  })
  return { order, application: defineApplication({ name: 'shop', aggregates: [stock], workflows: [order] }) }
}
