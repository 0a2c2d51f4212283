import { beforeEach, describe, expect, it } from 'vitest'
import type { Channel } from '../../../src/ipc/channel.ts'
import { createMemoryTransport } from '../../../src/ipc/memory-transport.ts'
import { CommanderError, isCommanderError } from '../../../src/kernel/errors.ts'
import { epoch, type Lsn, lsn } from '../../../src/kernel/identifiers.ts'
import { limits } from '../../../src/kernel/limits.ts'
import { LinearizableTail } from '../../../src/replication/linearizable-tail.ts'
import { type ConfirmingLeader, NodeServer } from '../../../src/replication/node-server.ts'
import type { Peer } from '../../../src/replication/stream-meta.ts'
import { RoleWorld } from '../role-world.ts'

const stream = 'journal'
const peerOf = (id: string): Peer => ({ id, incarnation: `${id}#1`, address: `${id}:7500` })

/** Leads a node, and asks its servers when the test lets them answer. */
class StubLeader implements ConfirmingLeader {
  readonly meta = { epoch: epoch(1) }
  readonly asked: { readonly resolve: (lsn: Lsn) => void; readonly reject: (error: CommanderError) => void }[] = []

  confirm(): Promise<Lsn> {
    return new Promise((resolve, reject) => this.asked.push({ resolve, reject }))
  }

  confirmed(at: number): void {
    for (const { resolve } of this.asked.splice(0)) resolve(lsn(at))
  }

  deposed(): void {
    for (const { reject } of this.asked.splice(0)) reject(new CommanderError('fenced', 'deposed'))
  }
}

/** Nodes a and b, and c, which asks. */
class World {
  readonly world = new RoleWorld()
  readonly transport = createMemoryTransport(this.world.environment)
  readonly accepted: Channel[] = []
  readonly leaders: Record<string, StubLeader | null> = { a: null, b: null, c: null }
  known: string | null = null
  readonly told: (number | string)[] = []
  readonly tail: LinearizableTail

  constructor() {
    const { environment } = this.world
    for (const id of ['a', 'b']) {
      const known = () => ({ epoch: epoch(1), leader: this.known === null ? null : peerOf(this.known) })
      const server = new NodeServer({ leader: (of) => (of === stream ? (this.leaders[id] ?? null) : null), known })
      void this.transport.listen(`${id}:7500`, (channel) => {
        this.accepted.push(channel)
        return server.accept(channel)
      })
    }
    this.tail = new LinearizableTail({
      environment,
      transport: this.transport,
      stream,
      me: 'c',
      leader: () => this.leaders['c'] ?? null,
      known: () => (this.known === null ? null : peerOf(this.known)),
    })
  }

  ask(): void {
    this.tail.ask().then(
      ({ lsn: at }) => this.told.push(at),
      (error: unknown) => this.told.push(isCommanderError(error) ? error.code : String(error)),
    )
  }

  /** Promises have their turns between those of the roles. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 10) {
      this.world.scheduler.advance(10)
      for (let i = 0; i < 5; i++) await Promise.resolve()
    }
  }
}

let world: World
beforeEach(() => {
  world = new World()
})

describe('a node that asks how far a linearizable read has to wait', () => {
  it('asks the node that leads, and each question is confirmed there by itself', async () => {
    world.known = 'a'
    const leader = new StubLeader()
    world.leaders['a'] = leader
    world.ask()
    world.ask()
    await world.pass(100)
    expect([leader.asked.length, world.told]).toEqual([2, []])
    leader.confirmed(7)
    await world.pass(100)
    expect(world.told).toEqual([7, 7])
    world.ask()
    await world.pass(100)
    expect(world.told).toEqual([7, 7])
    leader.confirmed(9)
    await world.pass(100)
    expect(world.told).toEqual([7, 7, 9])
  })

  it('has itself confirmed where it leads, and answers nothing when it was deposed', async () => {
    const leader = new StubLeader()
    world.leaders['c'] = leader
    world.ask()
    await world.pass(100)
    leader.confirmed(5)
    await world.pass(100)
    expect(world.told).toEqual([5])
    world.ask()
    await world.pass(100)
    leader.deposed()
    await world.pass(10)
    expect(world.told).toEqual([5])
    world.leaders['c'] = null
    world.leaders['b'] = new StubLeader()
    world.known = 'b'
    await world.pass(100)
    world.leaders['b']?.confirmed(8)
    await world.pass(100)
    expect(world.told).toEqual([5, 8])
  })

  it('asks another one when that one leads, and takes nothing of the silent one any more', async () => {
    world.known = 'a'
    const former = new StubLeader()
    world.leaders['a'] = former
    world.ask()
    await world.pass(100)
    expect(former.asked).toHaveLength(1)
    world.known = 'b'
    world.leaders['b'] = new StubLeader()
    await world.pass(200)
    former.confirmed(3)
    await world.pass(100)
    expect(world.told).toEqual([])
    world.leaders['b']?.confirmed(12)
    await world.pass(100)
    expect(world.told).toEqual([12])
  })

  it('asks again where it hears that the node does not lead yet', async () => {
    world.known = 'a'
    world.ask()
    await world.pass(300)
    expect(world.told).toEqual([])
    world.leaders['a'] = new StubLeader()
    await world.pass(100)
    world.leaders['a']?.confirmed(4)
    await world.pass(100)
    expect(world.told).toEqual([4])
  })

  it('asks again over a new connection when the old one is lost', async () => {
    world.known = 'a'
    const leader = new StubLeader()
    world.leaders['a'] = leader
    world.ask()
    await world.pass(100)
    for (const channel of world.accepted) world.transport.sever(channel)
    await world.pass(200)
    expect(leader.asked).toHaveLength(2)
    leader.confirmed(6)
    await world.pass(100)
    expect(world.told).toEqual([6])
  })

  it.each([
    ['nobody is known to lead', null, 'not_ready'],
    ['nobody listens where the leader should be', 'x', 'timeout'],
    ['the record still names what this node was before', 'c', 'not_ready'],
    ['the leader gets no answer from its journal servers', 'a', 'timeout'],
  ])('refuses when %s for too long, and answers nothing stale', async (_what, known, code) => {
    world.known = known
    world.leaders['a'] = new StubLeader()
    world.ask()
    await world.pass(limits.readConfirmMs - 10)
    expect(world.told).toEqual([])
    await world.pass(100)
    expect(world.told).toEqual([code])
  })

  it('takes no more questions than it can hold, and refuses those under way when it stops', async () => {
    for (let i = 0; i < limits.confirmationsMax; i++) world.ask()
    world.ask()
    await world.pass(10)
    expect(world.told).toEqual(['overloaded'])
    world.tail.stop()
    await world.pass(10)
    expect(world.told).toHaveLength(limits.confirmationsMax + 1)
    expect(new Set(world.told)).toEqual(new Set(['overloaded', 'not_ready']))
  })
})
