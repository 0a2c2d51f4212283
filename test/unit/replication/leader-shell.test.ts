import { expect, it } from 'vitest'
import { MemoryStorage } from '../../../src/journal/memory-storage.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { noLsn } from '../../../src/kernel/identifiers.ts'
import { limits } from '../../../src/kernel/limits.ts'
import { BatchWindow } from '../../../src/replication/batch-window.ts'
import { LeaderShell } from '../../../src/replication/leader-shell.ts'
import type { LeaderState } from '../../../src/replication/leader-state.ts'
import type { Member, ServerAnswer } from '../../../src/replication/messages.ts'
import type { MetadataStore } from '../../../src/replication/metadata-store.ts'
import type { ServerLinks } from '../../../src/replication/server-links.ts'
import type { ManualScheduler } from '../ipc/manual-scheduler.ts'
import { RoleWorld } from '../role-world.ts'
import { ledFrom } from './machine-leader.ts'

/** The leader of a stream in which nothing is yet; its group is about to be confirmed. */
function leading(servers: ServerLinks, isDeviceShared = false): { leader: LeaderShell; scheduler: ManualScheduler } {
  const { environment, scheduler } = new RoleWorld()
  const leader = new LeaderShell({
    environment,
    // Nothing changes the record here.
    metadata: {} as MetadataStore,
    servers,
    window: new BatchWindow(() => new MemoryStorage({ scheduler })),
    state: ledFrom(noLsn),
    nextReadId: () => 1,
    confirmGroup: async () => ({ isDeviceShared }),
    groupRefused: async () => {},
  })
  return { leader, scheduler }
}

it('tells a linearizable read that too many wait already, and those that wait when the leader stops', async () => {
  const { leader } = leading({ send: () => true, isWritable: () => true, flush: () => {} })
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

it('sends at once what somebody waits for, and where a device is shared the rest of the group its part by one timer', async () => {
  const sent: string[] = []
  const servers: ServerLinks = {
    send: (server, { kind }) => sent.push(`${kind} ${server}`) > 0,
    isWritable: () => true,
    flush: () => void sent.push('flush'),
  }
  const { leader, scheduler } = leading(servers, true)
  await new Promise((resolve) => setImmediate(resolve))
  for (const { member, lastId } of leader.state.open.members.values())
    leader.answered(opened(leader.state, member, lastId))
  sent.length = 0
  const append = (): void => {
    leader.append({ firstLsn: leader.nextLsn, entryCount: 1, payload: Buffer.alloc(8) })
    leader.flush()
  }
  append()
  append()
  expect(sent).toEqual(['append s1', 'append s2', 'flush', 'append s1', 'append s2', 'flush'])
  sent.length = 0
  scheduler.advance(limits.surplusWaitMs)
  expect(sent).toEqual(['append s3'])
  sent.length = 0
  append()
  leader.stop(new CommanderError('not_leader', 'this node stops'))
  scheduler.advance(limits.surplusWaitMs)
  expect(sent).toEqual(['append s1', 'append s2', 'flush'])
})

const opened = ({ open }: LeaderState, { id: server, identity }: Member, id: number): ServerAnswer => ({
  ...{ kind: 'segmentState', id, stream: 'journal', server, identity, epoch: open.segmentEpoch },
  segment: {
    ...{ segmentEpoch: open.segmentEpoch, base: open.base, baseDigest: open.baseDigest },
    ...{ flushed: noLsn, flushedDigest: open.baseDigest, committed: noLsn },
    ...{ atLeast: false, damaged: [], finished: false },
  },
})
