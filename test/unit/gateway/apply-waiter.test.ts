import { beforeEach, describe, expect, it } from 'vitest'
import { ApplyWaiter, type AskStoreTrouble } from '../../../src/gateway/apply-waiter.ts'
import type { ReadFloor } from '../../../src/ipc/client-protocol.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { registered } from '../role-world.ts'
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

describe('a linearizable read', () => {
  /** What it hears, once the journal writer has answered with this. */
  function read(floor: ReadFloor): { readonly told: (string | null)[]; readonly questions: number[] } {
    const waiter = new ApplyWaiter(db.gateway, db.world.environment)
    const told: (string | null)[] = []
    const { readPoints: questions } = db.follower
    waiter.waitFor({ consistency: 'linearizable', ...floor }, 1000, (error) => told.push(error?.code ?? null))
    db.world.scheduler.settle()
    return { told, questions }
  }

  it('waits until the store has what the journal writer says, and whatever else it is to see', () => {
    db.accept()
    const { told, questions } = read({})
    expect([told, questions.length]).toEqual([[], 1])
    db.gateway.readPoint({ id: questions[0] as number, lsn: db.journal.written })
    expect(told).toEqual([])
    db.flush()
    db.store()
    expect(told).toEqual([null])
    const later = read({ sessionLsn: db.journal.written + 1 })
    db.gateway.readPoint({ id: later.questions.at(-1) as number, lsn: db.journal.written })
    expect(later.told).toEqual([])
    db.append(registered('test-2'))
    db.flush()
    db.store()
    expect(later.told).toEqual([null])
  })

  it('is not answered when nobody says how far it has to wait, and waits for nobody where it is content with what is known', () => {
    const { told, questions } = read({ minLsn: 0 })
    const error = { code: 'timeout', message: 'no leader', retryable: true } as const
    db.gateway.readPoint({ id: questions[0] as number, error })
    expect(told).toEqual(['timeout'])
    expect(read({ consistency: 'known' }).told).toEqual([null])
  })
})

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
