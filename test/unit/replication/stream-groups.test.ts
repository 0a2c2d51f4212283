import { expect, it } from 'vitest'
import type { RegisteredServer } from '../../../src/replication/registered-server.ts'
import { StreamGroups } from '../../../src/replication/stream-groups.ts'
import { newStreamMeta } from '../../../src/replication/stream-meta.ts'
import { RoleWorld } from '../role-world.ts'

it('why no group can be had is said once, and again when it is for another reason or can no longer be had', () => {
  const { environment, log } = new RoleWorld()
  const servers = new Map<string, RegisteredServer>()
  const add = (id: string): void => {
    servers.set(id, { id, identity: id, address: id, host: 'one', device: id, state: 'active' })
  }
  const policy = { replicas: 2, ackQuorum: 2, topology: 'fanout' } as const
  const options = { policy, mayShareDevice: false, isConnected: () => true, registered: () => servers }
  const groups = new StreamGroups({ ...options, log: environment.log })
  const isPlanned = (): boolean => groups.plan(newStreamMeta('database')) !== null
  for (let look = 0; look < 100; look++) expect(isPlanned()).toBe(false)
  expect(log.lines).toMatchObject([
    {
      level: 'warn',
      message: expect.stringMatching(/no group .* can be had, .*wants 2 journal servers, 0 can be had/),
    },
  ])
  add('a')
  for (let look = 0; look < 100; look++) expect(isPlanned()).toBe(false)
  expect(log.lines).toHaveLength(2)
  add('b')
  expect(isPlanned()).toBe(true)
  servers.delete('b')
  for (let look = 0; look < 100; look++) expect(isPlanned()).toBe(false)
  expect(log.lines).toHaveLength(3)
})

it('why no group can be had is said once of each stream, whatever becomes of others', () => {
  const { environment, log } = new RoleWorld()
  const place = { address: 'a', host: 'one', device: 'a', state: 'active' } as const
  const servers = new Map<string, RegisteredServer>([['a', { id: 'a', identity: 'a', ...place }]])
  const policy = { replicas: 1, ackQuorum: 1, topology: 'fanout' } as const
  const options = { policy, mayShareDevice: false, isConnected: () => true, registered: () => servers }
  const groups = new StreamGroups({ ...options, log: environment.log })
  const none = new Map<string, RegisteredServer>()
  for (let look = 0; look < 100; look++) {
    expect(groups.plan(newStreamMeta('one'), none)).toBeNull()
    expect(groups.plan(newStreamMeta('two'), none)).toBeNull()
    expect(groups.plan(newStreamMeta('three'))).not.toBeNull()
  }
  expect(log.lines.map(({ fields }) => fields['stream'])).toEqual(['one', 'two'])
})
