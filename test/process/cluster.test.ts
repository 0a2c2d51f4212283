import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ClusterWorld, Deposits, takesPartAfter } from './cluster-world.ts'

describe('a database on two nodes and three journal servers', () => {
  let world: ClusterWorld
  beforeEach(async () => {
    world = new ClusterWorld()
    await world.start()
  })
  afterEach(() => world.remove())

  it('goes on at the other node when the leading one is killed, as a whole and under load, and nothing is lost or done twice', async () => {
    const deposits = new Deposits(await world.connect())
    for (let kill = 0; kill < 3; kill++) {
      await deposits.more(200)
      const { leader, epoch } = await world.leader()
      await leader.killAll()
      await deposits.more(200)
      expect((await world.leader()).epoch).toBeGreaterThan(epoch)
      // It comes back as the one that follows; what it had written and nobody committed is cut off.
      await leader.start()
      await takesPartAfter(leader, epoch)
    }
    await deposits.end()
    expect(await deposits.balances()).toEqual(deposits.acknowledged)
  })

  it('takes nothing from a leader that stood still past its lease', async () => {
    const deposits = new Deposits(await world.connect())
    await deposits.more(100)
    const { leader, epoch } = await world.leader()
    const goOn = await leader.standStill()
    await world.leader(epoch)
    await deposits.more(100)
    goOn()
    await takesPartAfter(leader, epoch)
    await deposits.more(100)
    await deposits.end()
    expect(await deposits.balances()).toEqual(deposits.acknowledged)
  })

  it('goes on with two of three journal servers, and waits with one', async () => {
    const client = await world.connect()
    const deposits = new Deposits(client)
    await deposits.more(100)
    await world.servers.signal('journal-server-s-1', 'SIGSTOP')
    await deposits.more(100)
    await world.servers.signal('journal-server-s-2', 'SIGSTOP')
    const waiting = (timeoutMs: number) =>
      client.execute('account', 'waiting', 'deposit', { amountCents: 5 }, { idempotencyKey: 'w', timeoutMs })
    await expect(waiting(1500)).rejects.toMatchObject({ code: 'timeout' })
    await world.servers.signal('journal-server-s-1', 'SIGCONT')
    await deposits.more(100)
    await world.servers.signal('journal-server-s-2', 'SIGKILL')
    await deposits.more(100)
    expect(await waiting(120_000)).toMatchObject({ outcome: 'completed' })
    await deposits.end()
    expect(await deposits.balances()).toEqual(deposits.acknowledged)
    expect((await client.read('account', 'waiting')).state).toMatchObject({ balanceCents: 5 })
  })
})
