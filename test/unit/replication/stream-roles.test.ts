import { describe, expect, it } from 'vitest'
import { epoch } from '../../../src/kernel/identifiers.ts'
import type { Suggestion } from '../../../src/replication/master-state.ts'
import { metadataKeys } from '../../../src/replication/metadata-store.ts'
import type { RoleState } from '../../../src/replication/role-state.ts'
import { encodeSuggestion, nothingSuggested } from '../../../src/replication/suggestion.ts'
import { leaseMs, type RolesNode, RolesWorld, stream } from './roles-world.ts'

const leaderOf = (nodes: readonly RolesNode[]): RolesNode | undefined =>
  nodes.find((node) => node.isAlive && node.role === 'leader')

/** Nodes that all want to lead, one of which does. */
async function led(world: RolesWorld, ...ids: string[]): Promise<{ leader: RolesNode; others: RolesNode[] }> {
  const nodes = ids.map((id) => world.start(id))
  await world.settled(Promise.all(nodes.map((node) => node.roles.campaign(stream))))
  await world.until(() => leaderOf(nodes) !== undefined)
  const leader = leaderOf(nodes) as RolesNode
  return { leader, others: nodes.filter((node) => node !== leader) }
}

const inOrder = (seen: readonly RoleState[]): boolean =>
  seen.every((state, n) => n === 0 || state.epoch >= (seen[n - 1] as RoleState).epoch)

function suggest(world: RolesWorld, suggested: Pick<Suggestion, 'epoch'> & Partial<Suggestion>): void {
  const key = metadataKeys.suggestion(stream)
  const { revision = 0 } = world.metadata.image.values.get(key) ?? {}
  world.metadata.swap(key, revision, encodeSuggestion({ ...nothingSuggested, ...suggested }), null)
}

describe('the role of a node', () => {
  it('is follower of nobody at first, then recovering, then leader; others see who it is', async () => {
    const world = new RolesWorld(1)
    const [one, two] = [world.start('one'), world.start('two')]
    expect(one.roles.state(stream)).toEqual({ epoch: 0, role: 'follower' })
    await world.settled(one.roles.campaign(stream))
    await world.until(() => one.role === 'leader' && two.seen.length > 1)
    expect(one.seen.map(({ epoch: at, role }) => [at, role])).toEqual([
      [0, 'follower'],
      [1, 'recovering'],
      [1, 'leader'],
    ])
    expect(two.seen).toEqual([
      { epoch: 0, role: 'follower' },
      { epoch: 1, role: 'follower', leader: one.me },
    ])
  })

  it('is that of a follower for whoever does not want to lead, whatever becomes of the leader', async () => {
    const world = new RolesWorld(1)
    const bystander = world.start('bystander')
    const { leader } = await led(world, 'one')
    leader.kill()
    await world.pass(20 * leaseMs)
    expect([bystander.role, bystander.campaigns, world.record.epoch]).toEqual(['follower', 0, 1])
  })

  it('is asked for in vain of a stream that does not exist', async () => {
    const world = new RolesWorld(1)
    await expect(world.settled(world.start('one').roles.campaign('invoices'))).rejects.toMatchObject({
      code: 'not_found',
    })
  })

  it('stays with one of several that want to lead, for as long as it lives', async () => {
    const world = new RolesWorld(2)
    const { leader, others } = await led(world, 'one', 'two', 'three')
    const { epoch: at } = leader.roles.state(stream)
    await world.pass(50 * leaseMs)
    expect(leader.roles.state(stream)).toEqual({ epoch: at, role: 'leader', leader: leader.me })
    for (const other of others) expect(other.roles.state(stream)).toMatchObject({ epoch: at, leader: leader.me })
  })

  it('goes to another within two leases of the death of the leader, in an epoch of its own', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const world = new RolesWorld(seed)
      const { leader, others } = await led(world, 'one', 'two', 'three')
      const { epoch: before } = leader.roles.state(stream)
      leader.kill()
      const tookMs = await world.until(() => leaderOf(others) !== undefined)
      expect(tookMs, `seed ${seed}`).toBeLessThan(2 * leaseMs)
      expect(leaderOf(others)?.roles.state(stream).epoch).toBeGreaterThan(before)
      for (const [at, incarnations] of world.leaders) expect([at, incarnations.size]).toEqual([at, 1])
    }
  })

  it('goes to a restarted process as to any other: by another epoch', async () => {
    const world = new RolesWorld(3)
    const { leader } = await led(world, 'one')
    leader.kill()
    const again = world.start('one')
    await world.settled(again.roles.campaign(stream))
    await world.until(() => again.role === 'leader')
    expect(again.roles.state(stream)).toMatchObject({ epoch: 2, leader: { incarnation: 'one.1' } })
    expect(again.seen.map(({ role }) => role)).not.toContain(undefined)
  })

  it('is given up at once by who resigns, for another to take', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const world = new RolesWorld(seed)
      const { leader, others } = await led(world, 'one', 'two')
      await world.settled(leader.roles.resign(stream))
      expect(leader.role).toBe('follower')
      const tookMs = await world.until(() => leaderOf(others) !== undefined)
      // Nobody waits for the lease of one who said so.
      expect(tookMs, `seed ${seed}`).toBeLessThan(leaseMs / 2)
      await world.pass(10 * leaseMs)
      expect([leader.role, leader.campaigns]).toEqual(['follower', 1])
    }
  })

  it('is taken from a leader that lost its lease and lives, and each epoch has one leader', async () => {
    const world = new RolesWorld(4)
    const { leader, others } = await led(world, 'one', 'two')
    // Its calls are lost for so long that its lease ends; it goes on leading meanwhile.
    let isCut = true
    const former = leader
    const { fault } = world
    world.fault = () => (isCut ? 'refuse' : fault())
    await world.pass(3 * leaseMs)
    expect(former.role).toBe('leader')
    isCut = false
    await world.until(() => leaderOf([...others, former]) !== undefined && world.record.epoch > 0)
    await world.pass(10 * leaseMs)
    const leaders = world.nodes.filter(({ role }) => role === 'leader')
    expect(leaders).toHaveLength(1)
    for (const incarnations of world.leaders.values()) expect(incarnations.size).toBe(1)
  })

  it('goes to the one whom the master suggests, though the lease of the leader has not ended', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const world = new RolesWorld(seed)
      const { leader, others } = await led(world, 'one', 'two', 'three')
      const chosen = others[1] as RolesNode
      const { epoch: at } = leader.roles.state(stream)
      suggest(world, { epoch: epoch(at - 1), leader: chosen.me.id })
      await world.pass(5 * leaseMs)
      expect(leader.role).toBe('leader')
      suggest(world, { epoch: at, leader: chosen.me.id })
      const tookMs = await world.until(() => chosen.role === 'leader' && leader.role === 'follower')
      expect(tookMs, `seed ${seed}`).toBeLessThan(leaseMs)
      await world.pass(10 * leaseMs)
      expect([chosen.roles.state(stream).epoch, chosen.role], `seed ${seed}`).toEqual([at + 1, 'leader'])
    }
  })

  it('goes to the one whom the master suggests, whether the suggestion or the record is seen first', async () => {
    const world = new RolesWorld(7)
    const { leader, others } = await led(world, 'one', 'two')
    const [other] = others as [RolesNode]
    const { epoch: at } = leader.roles.state(stream)
    // Of an epoch that is yet to come: the leader resigns, comes back, and is told to leave.
    suggest(world, { epoch: epoch(at + 1), leader: other.me.id })
    await world.settled(leader.roles.resign(stream))
    await world.until(() => other.role === 'leader')
    expect(other.roles.state(stream).epoch).toBe(at + 1)
    await world.pass(10 * leaseMs)
    expect(other.role).toBe('leader')
  })

  it('stays with the leader that is told of another group, as often as that is not so', async () => {
    const world = new RolesWorld(8)
    const { leader } = await led(world, 'one', 'two')
    const { epoch: at } = leader.roles.state(stream)
    suggest(world, { epoch: epoch(at + 1), leader: null, group: ['s2'] })
    await world.pass(leaseMs)
    expect(leader.regroups).toEqual([])
    suggest(world, { epoch: at, leader: null, group: ['s2'] })
    await world.pass(leaseMs)
    expect(new Set(leader.regroups.map((group) => group.join()))).toEqual(new Set(['s2']))
    expect([leader.role, leader.roles.state(stream).epoch]).toEqual(['leader', at])
  })

  it('is leader for others to see once it has heard that its record was made', async () => {
    const world = new RolesWorld(9)
    const slow = world.start('slow')
    slow.isSlow = true
    await world.settled(slow.roles.campaign(stream))
    await world.until(() => world.record.segments.length > 0)
    await world.pass(leaseMs)
    expect(slow.role).toBe('recovering')
    slow.isSlow = false
    const { value = '', revision = 0 } = world.metadata.image.values.get(metadataKeys.stream(stream)) ?? {}
    slow.roles.recorded(stream, { key: metadataKeys.stream(stream), value, revision })
    expect(slow.role).toBe('leader')
  })

  it('is not wanted any more by who was deposed and says so', async () => {
    const world = new RolesWorld(10)
    const { leader, others } = await led(world, 'one', 'two')
    const [other] = others as [RolesNode]
    leader.roles.unwant(stream)
    await world.until(() => other.role === 'leader')
    await world.until(() => leader.role === 'follower')
    other.kill()
    await world.pass(20 * leaseMs)
    expect([leader.role, leader.campaigns]).toEqual(['follower', 1])
  })

  it('goes to another when who has it cannot repair the log', async () => {
    const world = new RolesWorld(6)
    const stuck = world.start('stuck')
    stuck.isStuck = true
    await world.settled(stuck.roles.campaign(stream))
    await world.until(() => stuck.role === 'recovering')
    const able = world.start('able')
    await world.settled(able.roles.campaign(stream))
    const tookMs = await world.until(() => able.role === 'leader')
    expect(tookMs).not.toBeNull()
    expect(tookMs).toBeGreaterThan(leaseMs)
    await world.until(() => stuck.role === 'follower')
  })

  it('settles on one node for long, whatever answers are lost, and never falls back in epochs', async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const world = new RolesWorld(seed)
      let isFaulty = true
      world.fault = () => {
        if (!isFaulty || world.random.chance(0.7)) return null
        return world.random.pick(['refuse', 'loseRequest', 'loseAnswer'])
      }
      const nodes = ['one', 'two', 'three'].map((id) => world.start(id))
      const wanting = nodes.map(async (node) => {
        for (let isDone = false; !isDone; )
          isDone = await node.roles.campaign(stream).then(
            () => true,
            () => false,
          )
      })
      await world.settled(Promise.all(wanting))
      await world.pass(20 * leaseMs)
      isFaulty = false
      await world.pass(10 * leaseMs)
      const { epoch: at } = world.record
      const leader = leaderOf(nodes)
      expect(leader, `seed ${seed}`).toBeDefined()
      await world.pass(20 * leaseMs)
      expect([leaderOf(nodes), world.record.epoch], `seed ${seed}`).toEqual([leader, at])
      expect(nodes.filter(({ role }) => role === 'leader')).toHaveLength(1)
      for (const node of nodes) expect(inOrder(node.seen), `seed ${seed}`).toBe(true)
      for (const incarnations of world.leaders.values()) expect(incarnations.size, `seed ${seed}`).toBe(1)
    }
  })
})

describe('whoever observes a role', () => {
  it('sees what it is, then each change, until it has seen enough', async () => {
    const world = new RolesWorld(1)
    const node = world.start('one')
    const observing = node.roles.observeState(stream)[Symbol.asyncIterator]()
    expect(await observing.next()).toEqual({ done: false, value: { epoch: 0, role: 'follower' } })
    const next = observing.next()
    await world.settled(node.roles.campaign(stream))
    expect(await world.settled(next)).toMatchObject({ done: false, value: { epoch: 1, role: 'recovering' } })
    await world.until(() => node.role === 'leader')
    const waiting = [observing.next(), observing.next()]
    expect(await observing.return?.()).toEqual({ done: true, value: undefined })
    expect(await Promise.all(waiting)).toMatchObject([{ value: { role: 'leader' } }, { done: true }])
    expect(await observing.next()).toMatchObject({ done: true })
  })

  it('sees the end when the node ends, after what it has not seen yet', async () => {
    const world = new RolesWorld(1)
    const { leader } = await led(world, 'one')
    const observing = leader.roles.observeState(stream)[Symbol.asyncIterator]()
    await world.settled(leader.roles.close())
    expect(await observing.next()).toMatchObject({ done: false, value: { role: 'leader' } })
    expect(await observing.next()).toMatchObject({ done: true })
    const late = leader.roles.observeState(stream)[Symbol.asyncIterator]()
    expect(await late.next()).toMatchObject({ done: false })
    expect(await late.next()).toMatchObject({ done: true })
  })
})
