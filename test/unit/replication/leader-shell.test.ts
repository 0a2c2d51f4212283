import { expect, it } from 'vitest'
import { MemoryStorage } from '../../../src/journal/memory-storage.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { noLsn } from '../../../src/kernel/identifiers.ts'
import { limits } from '../../../src/kernel/limits.ts'
import { BatchWindow } from '../../../src/replication/batch-window.ts'
import { LeaderShell } from '../../../src/replication/leader-shell.ts'
import type { MetadataStore } from '../../../src/replication/metadata-store.ts'
import { RoleWorld } from '../role-world.ts'
import { ledFrom } from './machine-leader.ts'

it('tells a linearizable read that too many wait already, and those that wait when the leader stops', async () => {
  const { environment, scheduler } = new RoleWorld()
  const leader = new LeaderShell({
    environment,
    // Nothing changes the record here.
    metadata: {} as MetadataStore,
    servers: { send: () => true, isWritable: () => true, flush: () => {} },
    window: new BatchWindow(() => new MemoryStorage({ scheduler })),
    state: ledFrom(noLsn),
    nextReadId: () => 1,
    confirmGroup: async () => ({ isDeviceShared: false }),
    groupRefused: async () => {},
  })
  // Its group is confirmed: a round can begin.
  await new Promise((resolve) => setImmediate(resolve))
  const told: string[] = []
  // One round is under way, and the next one is full.
  for (let i = 0; i < 1 + limits.confirmationsMax + 1; i++)
    leader.confirm().catch((error: CommanderError) => told.push(error.code))
  await Promise.resolve()
  expect(told).toEqual(['overloaded'])
  leader.stop(new CommanderError('not_leader', 'this node stops'))
  await Promise.resolve()
  expect(told).toHaveLength(1 + limits.confirmationsMax + 1)
  expect(new Set(told)).toEqual(new Set(['overloaded', 'not_leader']))
})
