import { expect, it } from 'vitest'
import type { NodeRecord } from '../../../src/replication/node-record.ts'
import { RecentNodes } from '../../../src/replication/recent-nodes.ts'
import { nodeRecord } from '../../fixtures/node-record.ts'
import { RoleWorld } from '../role-world.ts'

const record = (id: string, keepAfter: number): NodeRecord => nodeRecord(id, { keepAfter })
const of = (...records: NodeRecord[]): ReadonlyMap<string, NodeRecord> => new Map(records.map((one) => [one.id, one]))

it('nodes that are there count as they are now, and those that have gone as they were, for a while', () => {
  const { environment, scheduler } = new RoleWorld()
  const nodes = new RecentNodes(environment.clock, 1000)
  nodes.look(of(record('a', 1), record('b', 2)))
  scheduler.advance(900)
  nodes.look(of(record('a', 7)))
  expect(nodes.all).toEqual([record('a', 7), record('b', 2)])
  scheduler.advance(101)
  nodes.look(of(record('a', 8)))
  expect(nodes.all).toEqual([record('a', 8)])
})
