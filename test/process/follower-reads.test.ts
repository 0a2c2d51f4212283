import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Database } from '../../src/client.ts'
import { isCommanderError } from '../../src/kernel/errors.ts'
import { ClusterWorld, Deposits } from './cluster-world.ts'
import { until } from './running-database.ts'

const linearizable = { consistency: 'linearizable' } as const

let world: ClusterWorld
let client: Database
beforeAll(async () => {
  world = new ClusterWorld()
  await world.start()
  client = await world.connect()
})
afterAll(() => world.remove())

const deposit = async (): Promise<void> => {
  const outcome = await client.execute('account', 'read', 'deposit', { amountCents: 1 }, { durability: 'replicated' })
  expect(outcome).toMatchObject({ outcome: 'completed', durability: 'replicated' })
}

const balanceAt = async (reader: Database, options: object): Promise<number> => {
  const { state } = await reader.read('account', 'read', options)
  return (state as { balanceCents: number }).balanceCents
}

/** The balance, or the code of the error. */
const attemptAt = (reader: Database, options: object = linearizable): Promise<number | string> =>
  balanceAt(reader, options).catch((error: unknown) => (isCommanderError(error) ? error.code : String(error)))

describe('a linearizable read', () => {
  let total = 0

  it('on the node that follows sees what the leader has acknowledged just before, again and again under load', async () => {
    const { follower, leader } = await world.leader()
    const readers = [await follower.connect(), await leader.connect()]
    const load = new Deposits(client)
    let known = 0
    for (let i = 0; i < 40; i++) {
      await deposit()
      total++
      for (const reader of readers) expect(await balanceAt(reader, linearizable)).toBe(total)
      const now = await balanceAt(readers[0] as Database, { consistency: 'known' })
      expect(now).toBeGreaterThanOrEqual(known)
      known = now
    }
    await load.end()
    const rows = await Promise.all(
      load.acknowledged.map((_, caller) => (readers[0] as Database).read('account', `${caller}`, linearizable)),
    )
    expect(rows.map(({ state }) => (state as { balanceCents: number }).balanceCents)).toEqual(load.acknowledged)
  })

  it('is refused where too few journal servers say that the leader still leads, and the known one goes on', async () => {
    const { follower, leader } = await world.leader()
    const readers = [await follower.connect(), await leader.connect()]
    for (const server of ['journal-server-s-1', 'journal-server-s-2']) await world.servers.signal(server, 'SIGSTOP')
    const refused = await Promise.all(readers.map((reader) => attemptAt(reader)))
    expect(refused).toEqual(['timeout', 'timeout'])
    for (const reader of readers) expect(await balanceAt(reader, {})).toBe(total)
    for (const server of ['journal-server-s-1', 'journal-server-s-2']) await world.servers.signal(server, 'SIGCONT')
    await until('reads again', async () =>
      (await Promise.all(readers.map((reader) => attemptAt(reader)))).every((one) => one === total),
    )
  })

  it('is never stale on either node while the leader stands still and another one takes its place', async () => {
    const { leader, follower, epoch } = await world.leader()
    const [former, other] = [await leader.connect(), await follower.connect()]
    await deposit()
    total++
    const goOn = await leader.standStill()
    // The follower is asked while nobody leads: it answers when it leads, or not at all.
    const meanwhile = await Promise.all(Array.from({ length: 5 }, () => attemptAt(other)))
    expect(meanwhile.every((one) => one === total || one === 'timeout' || one === 'not_ready')).toBe(true)
    await until('another leader', async () => (await follower.status())?.role === 'leader')
    for (let i = 0; i < 5; i++) await deposit()
    total += 5
    const asked = Array.from({ length: 20 }, () => attemptAt(former))
    goOn()
    const answers = [...(await Promise.all(asked))]
    await until('the former leader to answer', async () => {
      answers.push(await attemptAt(former))
      return answers.at(-1) === total
    })
    expect(answers.filter((one) => typeof one === 'number' && one !== total)).toEqual([])
    expect((await world.leader()).epoch).toBeGreaterThan(epoch)
    expect(await balanceAt(other, linearizable)).toBe(total)
  })
})
