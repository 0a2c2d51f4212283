import { z } from 'zod'
import { defineWorkflow } from '../../src/sdk/workflow.ts'
import { TerminalError } from '../../src/sdk/workflow-errors.ts'

/** Set by tests: `ship` fails while this is true, so that the workflow is parked. */
export const shipping = { fails: false }

/** Two steps, with everything on the way that can be asked for from outside. */
export const order = defineWorkflow({
  name: 'order',
  input: z.object({
    amountCents: z.number().int(),
    waitsFor: z.enum(['signal', 'callback', 'command', 'nothing']).default('nothing'),
  }),
  retry: { maxAttempts: 1 },
  run: async (context, { amountCents, waitsFor }): Promise<{ total: number; note: unknown }> => {
    context.setStatus({ step: 'charging' })
    const charged = await context.request(
      'charge',
      () => {
        if (amountCents < 0) throw new TerminalError('card_declined', 'the card was declined', { amountCents })
        return amountCents + 1
      },
      { compensate: () => null },
    )
    context.setStatus({ step: 'shipping' })
    let note: unknown = null
    if (waitsFor === 'signal') note = await context.signal('approved')
    if (waitsFor === 'callback') note = await context.awakeable().value
    if (waitsFor === 'command') note = await context.command('account', 'shop', 'charge', {})
    await context.request('ship', () => {
      if (shipping.fails) throw new Error('the van has broken down')
      return null
    })
    return { total: charged, note }
  },
})
