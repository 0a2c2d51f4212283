import { expect, it } from 'vitest'
import { orderChildren } from '../../../src/supervisor/child-specification.ts'
import { specification } from './fake-world.ts'

const names = (...children: readonly [string, ...string[]][]): string[] =>
  orderChildren(children.map(([name, ...after]) => specification(name, { after }))).map(({ name }) => name)

it('puts every child behind all that it waits for', () => {
  expect(names(['gateway', 'a', 'b'], ['b', 'writer'], ['a', 'writer'], ['writer'])).toEqual([
    'writer',
    'a',
    'b',
    'gateway',
  ])
})

it('refuses a name used twice, an unknown name and a cycle, and names them', () => {
  expect(() => names(['a'], ['a'])).toThrow('two processes have the name a')
  expect(() => names(['a', 'b'])).toThrow('process a waits for b, which does not exist')
  expect(() => names(['a', 'b'], ['b', 'c'], ['c', 'a'])).toThrow('a -> b -> c -> a')
})
