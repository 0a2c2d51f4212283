import { expect, it } from 'vitest'
import type { RegisteredServer } from '../../../src/replication/registered-server.ts'
import { checkGroup, satisfiableGroup } from '../../../src/replication/satisfiable-group.ts'

const policy = { replicas: 3, ackQuorum: 2, topology: 'fanout' } as const
const production = { policy, mayShareDevice: false }

const server = (id: string, host: string, device: string): RegisteredServer => ({
  id,
  identity: `${id}-1`,
  address: id,
  host,
  device,
  state: 'active',
})
const apart = [server('a', 'one', '8:1'), server('b', 'two', '8:1'), server('c', 'three', '8:1')]
const together = [server('a', 'one', '8:1'), server('b', 'one', '8:1'), server('c', 'one', '8:2')]
const ids = (group: readonly RegisteredServer[]): string[] => group.map(({ id }) => id)

it('is as many servers as the policy wants, on devices of their own', () => {
  expect(ids(satisfiableGroup(apart, production))).toEqual(['a', 'b', 'c'])
  const four = [...apart, server('d', 'one', '8:2')]
  expect(ids(satisfiableGroup(four, { ...production, present: ['d'] }))).toEqual(['d', 'b', 'c'])
  checkGroup(apart, production)
})

it('is none where servers share a device, which is named with them', () => {
  const refused = expect.objectContaining({
    code: 'policy_unsatisfiable',
    message: expect.stringMatching(/wants 3 journal servers.*a, b share the device 8:1 of one/),
    details: { replicas: 3, servers: 3, shared: [{ host: 'one', device: '8:1', ids: ['a', 'b'] }] },
  })
  expect(() => satisfiableGroup(together, production)).toThrow(refused)
  expect(() => checkGroup(together, production)).toThrow(refused)
})

it('may share a device for development', () => {
  const development = { policy, mayShareDevice: true }
  expect(ids(satisfiableGroup(together, development))).toEqual(['a', 'c', 'b'].sort())
  checkGroup(together, development)
})

it('is none where there are too few, of whom those that leave do not count, nor one twice', () => {
  const refused = expect.objectContaining({
    code: 'policy_unsatisfiable',
    message: expect.stringContaining('2 can be had'),
  })
  const [a, b, c] = apart as [RegisteredServer, RegisteredServer, RegisteredServer]
  expect(() => satisfiableGroup([a, b, { ...c, state: 'leaving' }], production)).toThrow(refused)
  expect(() => checkGroup([a, b], production)).toThrow(refused)
  expect(() => checkGroup([a, b, b], { policy, mayShareDevice: true })).toThrow('the policy wants 3')
})

it('is none for a policy whose ackQuorum is over its replicas', () => {
  const wrong = { policy: { ...policy, ackQuorum: 4 }, mayShareDevice: false }
  expect(() => satisfiableGroup(apart, wrong)).toThrow(expect.objectContaining({ code: 'invalid_config' }))
})
