import { beforeEach, describe, expect, it } from 'vitest'
import { createMemoryTransport } from '../../../src/ipc/memory-transport.ts'
import { epoch } from '../../../src/kernel/identifiers.ts'
import { MemoryMetadata } from '../../../src/replication/memory-metadata-store.ts'
import { type MetadataStore, metadataKeys } from '../../../src/replication/metadata-store.ts'
import { claimNodeId } from '../../../src/replication/node-claim.ts'
import { encodeNode, type NodeRecord } from '../../../src/replication/node-record.ts'
import { NodeServer } from '../../../src/replication/node-server.ts'
import { nodeRecord } from '../../fixtures/node-record.ts'
import { RoleWorld } from '../role-world.ts'

const stream = 'database'
const record = (id: string, address: string, place = address): NodeRecord =>
  nodeRecord(id, { address, host: 'one', socket: `/${place}/gateway.sock` })

let world: RoleWorld
let metadata: MetadataStore
let transport: ReturnType<typeof createMemoryTransport>
let isRefusing: boolean
beforeEach(() => {
  world = new RoleWorld()
  isRefusing = false
  metadata = new MemoryMetadata(world.environment).open({ fault: () => (isRefusing ? 'refuse' : null) })
  transport = createMemoryTransport(world.environment)
})

/** Promises have their turns between those of the roles. */
async function settled<Value>(promise: Promise<Value>): Promise<Value> {
  let isOver = false
  const ended = promise.finally(() => {
    isOver = true
  })
  ended.catch(() => {})
  for (let turn = 0; turn < 1000 && !isOver; turn++) {
    world.scheduler.advance(10)
    for (let i = 0; i < 5; i++) await Promise.resolve()
  }
  expect(isOver).toBe(true)
  return ended
}

const put = (one: NodeRecord) => settled(metadata.compareAndSwap(metadataKeys.node(one.id), 0, encodeNode(one)))
const listen = (address: string) =>
  settled(
    transport.listen(
      address,
      new NodeServer({ leader: () => null, known: () => ({ epoch: epoch(1), leader: null }) }).accept,
    ),
  )
const claim = (me: NodeRecord) =>
  settled(claimNodeId({ environment: world.environment, metadata, transport, stream, me }))

describe('a node that says which one it is', () => {
  it('is refused where another data directory has the id, and its node answers', async () => {
    await put(record('a', 'a:7500'))
    await listen('a:7500')
    const refused = claim(record('a', 'elsewhere:7500'))
    await expect(refused).rejects.toMatchObject({ code: 'invalid_config', details: { nodeId: 'a', address: 'a:7500' } })
    await expect(refused).rejects.toThrow(
      /there is a node a in this cluster already: it is up on one, at a:7500 .*--node-id/,
    )
  })

  it('may be the one that was there before, started again', async () => {
    await put(record('a', 'a:7500'))
    await listen('a:7500')
    await claim(record('a', 'a:7501', 'a:7500'))
  })

  it('may have moved, from where nobody answers any more, or somebody else does', async () => {
    await put(record('a', 'gone:7500'))
    await claim(record('a', 'here:7500'))
    await listen('gone:7500')
    await put(record('b', 'gone:7500'))
    await claim(record('a', 'here:7500'))
    await claim(record('a', 'gone:7500', 'here'))
  })

  it('is new where nobody has the id', async () => {
    await put(record('b', 'b:7500'))
    await listen('b:7500')
    await claim(record('a', 'a:7500'))
  })

  it('starts while the metadata store is down, as a member does', async () => {
    await put(record('a', 'a:7500'))
    await listen('a:7500')
    isRefusing = true
    await claim(record('a', 'elsewhere:7500'))
  })
})
