import { defineWorkflow } from 'commanderdb'
import type {
  Database,
  WorkflowHandle,
  WorkflowStarted,
  WorkflowSummary,
  WorkflowView,
  WorkflowWaiting,
} from 'commanderdb/client'
import { expectTypeOf } from 'vitest'
import { z } from 'zod'

// What a client knows of a workflow by its definition, each promise with what must not compile.

const order = defineWorkflow({
  name: 'order',
  run: async (context, input: { item: string; amountCents: number }) => {
    const payment = await context.request('charge', async () => ({ paid: input.amountCents }))
    expectTypeOf(payment).toEqualTypeOf<{ paid: number }>()
    return { parcel: input.item, paid: payment.paid }
  },
})

const checked = defineWorkflow({
  name: 'checked',
  input: z.object({ count: z.number() }),
  output: z.string(),
  run: async (_context, input) => {
    expectTypeOf(input).toEqualTypeOf<{ count: number }>()
    return 'done'
  },
})

export async function use(db: Database): Promise<void> {
  const orders = db.workflow(order)
  expectTypeOf(orders).toEqualTypeOf<
    WorkflowHandle<{ item: string; amountCents: number }, { parcel: string; paid: number }>
  >()
  expectTypeOf(await orders.start('1', { item: 'a', amountCents: 1 })).toEqualTypeOf<WorkflowStarted>()
  expectTypeOf(await orders.execute('1', { item: 'a', amountCents: 1 })).toEqualTypeOf<{
    parcel: string
    paid: number
  }>()
  expectTypeOf(await orders.result('1', { timeoutMs: 5 })).toEqualTypeOf<{ parcel: string; paid: number }>()
  expectTypeOf(await orders.get('1')).toEqualTypeOf<WorkflowView>()
  await orders.signal('1', 'approved', { by: 'anna' }, { idempotencyKey: 'k' })
  await orders.cancel('1', 'enough', { force: true })
  await orders.start('1', { item: 'a', amountCents: 1 }, { priority: 9, delayMs: 60_000, idempotencyKey: 'k' })
  await orders.execute('1', { item: 'a', amountCents: 1 }, { priority: 9, delayMs: 60_000, timeoutMs: 5 })
  // @ts-expect-error only its start can be put off
  await orders.signal('1', 'approved', null, { delayMs: 60_000 })
  // @ts-expect-error a delay is a number of milliseconds
  await orders.start('1', { item: 'a', amountCents: 1 }, { delayMs: '5s' })
  // @ts-expect-error the input has no amount
  await orders.start('1', { item: 'a' })
  // @ts-expect-error the amount is a number
  await orders.execute('1', { item: 'a', amountCents: '1' })

  expectTypeOf(await db.workflow(checked).execute('1', { count: 1 })).toEqualTypeOf<string>()
  // @ts-expect-error the schema demands a number
  await db.workflow(checked).execute('1', { count: 'one' })

  const named = db.workflow('order')
  expectTypeOf(await named.execute('1', 'anything')).toEqualTypeOf<unknown>()

  expectTypeOf(await db.workflows({ name: 'order', status: 'parked', limit: 5, after: '1' })).toEqualTypeOf<
    readonly WorkflowSummary[]
  >()
  expectTypeOf((await db.workflows({ name: 'order', waiting: true }))[0]?.waitingFor).toEqualTypeOf<
    readonly WorkflowWaiting[] | undefined
  >()
  // @ts-expect-error no workflow is so
  await db.workflows({ name: 'order', status: 'sleeping' })
  await db.resolveAwakeable('id', { any: 'value' })
  await db.rejectAwakeable('id', 'a message')
  // @ts-expect-error a message is needed
  await db.rejectAwakeable('id')
}
