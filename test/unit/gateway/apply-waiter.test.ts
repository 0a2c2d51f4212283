import { beforeEach, describe, expect, it } from 'vitest'
import { ApplyWaiter, type AskStoreTrouble } from '../../../src/gateway/apply-waiter.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { GatewayWorld } from './gateway-world.ts'

const noRoom = new CommanderError('store_failed', 'no room on the disk', { retryable: true })

let db: GatewayWorld
let asked: number
beforeEach(() => {
  db = new GatewayWorld()
  asked = 0
})

/** What reads are told that want entry 1000, and wait for a second. */
async function waitInVain(count: number, trouble: AskStoreTrouble): Promise<(string | null)[]> {
  const ask: AskStoreTrouble = () => {
    asked++
    return trouble()
  }
  const waiter = new ApplyWaiter(db.gateway, db.world.environment, ask)
  const told = Array.from({ length: count }, () => {
    return new Promise<string | null>((resolve) => waiter.wait(1000, 1000, (error) => resolve(error?.code ?? null)))
  })
  db.world.scheduler.advance(999)
  expect(asked).toBe(0)
  db.world.scheduler.advance(1)
  return Promise.all(told)
}

describe('a read that waits for the store in vain', () => {
  it('is told what keeps the store from applying, which is asked once for all', async () => {
    expect(await waitInVain(3, async () => noRoom)).toEqual(['store_failed', 'store_failed', 'store_failed'])
    expect(asked).toBe(1)
  })

  it('is told that its time is over when nothing is known to be wrong', async () => {
    expect(await waitInVain(1, async () => null)).toEqual(['timeout'])
  })

  it('is told that its time is over when nobody can say what is wrong', async () => {
    expect(await waitInVain(1, () => Promise.reject(new Error('nobody is there')))).toEqual(['timeout'])
  })
})
