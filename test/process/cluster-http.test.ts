import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ClusterWorld } from './cluster-world.ts'

let world: ClusterWorld
beforeAll(async () => {
  world = new ClusterWorld({}, { http: { port: 0 } })
  await world.start()
})
afterAll(() => world.remove())

describe('a client over HTTP that knows both nodes', () => {
  it('goes on at the other one while the leader stands still, with commands, reads and a subscription', async () => {
    const { leader } = await world.leader()
    const client = await world.connectHttp(leader)
    const deposit = () => client.execute('account', 'http', 'deposit', { amountCents: 1 })
    const events = client.subscribe({ types: ['deposited'] })[Symbol.asyncIterator]()
    await deposit()
    expect(await events.next()).toMatchObject({ value: { type: 'deposited' } })
    const goOn = await leader.standStill()
    const [, , read] = await Promise.all([deposit(), deposit(), client.read('account', 'http')])
    expect((read.state as { balanceCents: number }).balanceCents).toBeGreaterThanOrEqual(1)
    for (let i = 0; i < 2; i++) expect(await events.next()).toMatchObject({ value: { type: 'deposited' } })
    expect((await client.read('account', 'http')).state).toMatchObject({ balanceCents: 3 })
    goOn()
  })
})
