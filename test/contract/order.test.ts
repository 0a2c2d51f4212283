import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Database } from '../../src/client/options.ts'
import { open } from '../../src/embedded/open.ts'
import shop, { article } from '../../src/examples/order/order.ts'
import type { WorkflowState } from '../../src/workflows/workflow-state.ts'
import { PaymentProvider } from './order-payments.ts'

let dataDir = ''
let payments: PaymentProvider
let db: Database

beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'commanderdb-order-'))
  payments = await PaymentProvider.listen()
  db = await open({ dataDir, applications: [shop] })
  await db.execute(article, 'pen', 'deliver', { quantity: 5 })
  await db.execute(article, 'ink', 'deliver', { quantity: 1 })
})

afterEach(async () => {
  await db.close()
  await payments.close()
  rmSync(dataDir, { recursive: true, force: true })
})

const stateOf = async (id: string): Promise<WorkflowState> =>
  (await db.read('workflow:order', id)).state as WorkflowState

async function order(id: string, lines: { articleId: string; quantity: number }[]): Promise<WorkflowState> {
  const input = { lines, amountCents: 1200, paymentUrl: payments.url }
  await db.execute('workflow:order', id, 'start', { input })
  await vi.waitFor(async () => expect(['completed', 'failed', 'parked']).toContain((await stateOf(id)).status), 20_000)
  return stateOf(id)
}

const pen = { articleId: 'pen', quantity: 2 }
const ink = { articleId: 'ink', quantity: 1 }

describe('the order example', { timeout: 60_000 }, () => {
  it('reserves, pays and ships, each once', async () => {
    const { status, result, custom } = await order('1', [pen, ink])
    expect({ status, custom }).toEqual({ status: 'completed', custom: 'shipped' })
    expect(result).toMatchObject({ paymentId: 'payment-1' })
    expect((await db.read(article, 'pen')).state).toEqual({ inStock: 3, reserved: {} })
    expect((await db.read(article, 'ink')).state).toEqual({ inStock: 0, reserved: {} })
    expect([...payments.held.values()]).toEqual([1200])
  })

  it('asks the payment provider again while it is in trouble, under the same key', async () => {
    payments.failures.push(503, 500, 429)
    expect(await order('1', [pen])).toMatchObject({ status: 'completed' })
    expect(payments.asked.map(({ status }) => status)).toEqual([503, 500, 429, 200])
    expect(new Set(payments.asked.map(({ key }) => key)).size).toBe(1)
    expect([...payments.held.values()]).toEqual([1200])
  })

  it('releases what is reserved when an article is out of stock, without asking for money', async () => {
    const { status, error } = await order('1', [pen, { articleId: 'ink', quantity: 2 }])
    expect({ status, code: error?.code }).toEqual({ status: 'failed', code: 'out_of_stock' })
    expect((await db.read(article, 'pen')).state).toEqual({ inStock: 5, reserved: {} })
    expect(payments.asked).toEqual([])
  })

  it('releases what is reserved when the payment is refused', async () => {
    payments.failures.push(402)
    const { status, error } = await order('1', [pen, ink])
    expect({ status, code: error?.code }).toEqual({ status: 'failed', code: 'payment_refused' })
    expect((await db.read(article, 'pen')).state).toEqual({ inStock: 5, reserved: {} })
    expect((await db.read(article, 'ink')).state).toEqual({ inStock: 1, reserved: {} })
  })

  it('takes back what was shipped, and gives the money back, when somebody else has taken a reservation away', async () => {
    payments.failures.push(503, 503, 503)
    const ended = order('1', [pen, ink])
    await vi.waitFor(() => expect(payments.asked.length).toBeGreaterThan(0), 10_000)
    await db.execute(article, 'ink', 'release', { orderId: '1' })
    expect(await ended).toMatchObject({ status: 'failed', error: { code: 'not_shipped' } })
    expect(payments.held.size).toBe(0)
    expect(payments.asked.at(-1)?.path).toBe('/payments/payment-1/refund')
    expect((await db.read(article, 'pen')).state).toEqual({ inStock: 5, reserved: {} })
    expect((await db.read(article, 'ink')).state).toEqual({ inStock: 1, reserved: {} })
  })
})
