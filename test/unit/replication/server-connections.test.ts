import { beforeEach, describe, expect, it } from 'vitest'
import { createMemoryTransport } from '../../../src/ipc/memory-transport.ts'
import { epoch } from '../../../src/kernel/identifiers.ts'
import { encodeMessage } from '../../../src/replication/message-codec.ts'
import type { Member } from '../../../src/replication/messages.ts'
import { NodeServer } from '../../../src/replication/node-server.ts'
import { ServerConnections } from '../../../src/replication/server-connections.ts'
import { RoleWorld } from '../role-world.ts'

const member: Member = { id: 's1', identity: 's1-1', address: 's1:7500' }

let world: RoleWorld
let transport: ReturnType<typeof createMemoryTransport>
let accepted: number
beforeEach(() => {
  world = new RoleWorld()
  transport = createMemoryTransport(world.environment)
  accepted = 0
})

/** Asks how the server is as soon as it is connected, as a master does. */
function connect(): ServerConnections {
  const connections: ServerConnections = new ServerConnections({
    environment: world.environment,
    transport,
    answered: () => {},
    connected: ({ id }) => void connections.send(id, { kind: 'report', id: 1 }),
  })
  connections.setMembers([member])
  return connections
}

const warnings = (): string[] => world.log.lines.filter(({ level }) => level === 'warn').map(({ message }) => message)

describe('connections to a journal server', () => {
  it('are tried ever more seldom where a node answers in its place, and that is said once on each side', async () => {
    const node = new NodeServer({ leader: () => null, known: () => ({ epoch: epoch(1), leader: null }) })
    await transport.listen(member.address, (channel) => {
      accepted++
      return node.accept(channel)
    })
    const connections = connect()
    world.scheduler.advance(30_000)
    expect(accepted).toBeGreaterThan(20)
    expect(accepted).toBeLessThan(50)
    expect(world.log.lines.filter(({ level }) => level === 'error')).toEqual([])
    expect(warnings()).toEqual(['no connection to journal server s1'])
    expect(world.log.lines[0]?.fields).toMatchObject({ error: expect.stringContaining('this is a node of a database') })
    connections.stop()
  })

  it('are made again at once where a journal server that had answered has closed them', async () => {
    await transport.listen(member.address, (channel) => {
      accepted++
      return {
        frame: (_kind, body) => {
          channel.release(body.length)
          const { kind, body: answer } = encodeMessage({
            ...{ kind: 'reportIs', id: 1, server: 's1', identity: 's1-1' },
            ...{ diskBytes: 0, freeBytes: 0, streams: 0, alarms: 0 },
          })
          channel.send(kind, ...answer)
          world.scheduler.after(1, () => channel.close())
        },
        closed: () => {},
      }
    })
    const connections = connect()
    world.scheduler.advance(1000)
    expect(accepted).toBeGreaterThan(20)
    expect(warnings()).toContain('lost journal server s1')
    connections.stop()
  })
})
