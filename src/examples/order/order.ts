import { CommandRejected, defineAggregate, defineApplication, defineWorkflow, TerminalError } from 'commanderdb'

interface Reservation {
  orderId: string
  quantity: number
}

/** The stock of one article. What is reserved for an order is for nobody else. */
export const article = defineAggregate({
  name: 'article',
  initialState: () => ({ inStock: 0, reserved: {} as Record<string, number> }),
  decide: {
    deliver: (data: { quantity: number }) => ({ type: 'delivered', data }),
    reserve: (data: Reservation, state) => {
      if (data.orderId in state.reserved) return []
      const free = state.inStock - Object.values(state.reserved).reduce((sum, quantity) => sum + quantity, 0)
      if (free < data.quantity) throw new CommandRejected('out_of_stock', 'there are not so many of it', { free })
      return { type: 'reserved', data }
    },
    release: (data: { orderId: string }, state) => (data.orderId in state.reserved ? { type: 'released', data } : []),
    ship: (data: { orderId: string }, state) => {
      if (!(data.orderId in state.reserved))
        throw new CommandRejected('not_reserved', 'nothing is reserved for the order')
      return { type: 'shipped', data }
    },
    takeBack: (data: { quantity: number }) => ({ type: 'returned', data }),
  },
  evolve: {
    returned: (state, { quantity }: { quantity: number }) => ({ ...state, inStock: state.inStock + quantity }),
    delivered: (state, { quantity }: { quantity: number }) => ({ ...state, inStock: state.inStock + quantity }),
    reserved: (state, { orderId, quantity }: Reservation) => ({
      ...state,
      reserved: { ...state.reserved, [orderId]: quantity },
    }),
    released: (state, { orderId }: { orderId: string }) => ({ ...state, reserved: without(state.reserved, orderId) }),
    shipped: (state, { orderId }: { orderId: string }) => ({
      inStock: state.inStock - (state.reserved[orderId] ?? 0),
      reserved: without(state.reserved, orderId),
    }),
  },
})

function without(reserved: Record<string, number>, orderId: string): Record<string, number> {
  return Object.fromEntries(Object.entries(reserved).filter(([key]) => key !== orderId))
}

interface Line {
  articleId: string
  quantity: number
}

export interface OrderInput {
  lines: Line[]
  amountCents: number
  /** The payment provider's address, for example `https://payments.example.com`. */
  paymentUrl: string
}

/** Reserves, pays and ships. What was done is undone when something after it cannot be done. */
export const order = defineWorkflow({
  name: 'order',
  retry: { maxAttempts: 8, initialDelayMs: 200 },
  run: async (context, { lines, amountCents, paymentUrl }: OrderInput) => {
    const orderId = context.workflow.id
    context.setStatus('reserving')
    for (const { articleId, quantity } of lines) {
      const outcome = await context.command(
        article,
        articleId,
        'reserve',
        { orderId, quantity },
        {
          compensate: { command: 'release', data: { orderId } },
        },
      )
      if (outcome.outcome !== 'completed') throw new TerminalError('out_of_stock', `${articleId} is out of stock`)
    }
    context.setStatus('paying')
    const payment = await context.request(
      'pay',
      ({ effectKey, signal }) => post(`${paymentUrl}/payments`, { orderId, amountCents }, effectKey, signal),
      {
        timeoutMs: 10_000,
        compensate: ({ paymentId }, { effectKey, signal }) =>
          post(`${paymentUrl}/payments/${paymentId}/refund`, {}, effectKey, signal),
      },
    )
    context.setStatus('shipping')
    for (const { articleId, quantity } of lines) {
      const takeBack = { compensate: { command: 'takeBack', data: { quantity } } }
      const outcome = await context.command(article, articleId, 'ship', { orderId }, takeBack)
      if (outcome.outcome !== 'completed') throw new TerminalError('not_shipped', `${articleId} could not be shipped`)
    }
    context.setStatus('shipped')
    return { paymentId: payment.paymentId, shippedAt: new Date(context.now()).toISOString() }
  },
})

/** A no of the other side is final; silence and its own troubles are not, and are tried again under the same key. */
async function post(url: string, body: object, key: string, signal: AbortSignal): Promise<{ paymentId: string }> {
  const headers = { 'content-type': 'application/json', 'idempotency-key': key }
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body), signal })
  if (response.status >= 400 && response.status < 500 && response.status !== 429)
    throw new TerminalError('payment_refused', `the payment provider answered ${response.status}`)
  if (!response.ok) throw new Error(`the payment provider answered ${response.status}`)
  return (await response.json()) as { paymentId: string }
}

export default defineApplication({ name: 'shop', aggregates: [article], workflows: [order] })
