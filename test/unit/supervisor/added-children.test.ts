import { beforeEach, describe, expect, it } from 'vitest'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { FakeWorld, specification } from './fake-world.ts'

const server = (name: string): ReturnType<typeof specification> => specification(name, { essential: false })

let world: FakeWorld
beforeEach(() => {
  world = new FakeWorld([specification('writer'), specification('gateway', { after: ['writer'] })])
})

function run(): void {
  world.supervision.start()
  for (const name of ['writer', 'gateway']) world.report(name)
}

describe('a child that is added later', () => {
  it('is started, watched and started again as every other', () => {
    run()
    world.supervision.add(server('server-1'))
    expect(world.alive).toEqual(['writer', 'gateway', 'server-1'])
    expect(world.report('server-1')).toBe(true)
    world.last('server-1').exit({ code: 1, signal: null })
    world.time.advance(100)
    expect(world.names.filter((name) => name === 'server-1')).toHaveLength(2)
    world.advanceReporting(1000)
    const silent = world.last('server-1')
    world.time.advance(60_000)
    expect(silent.signals).toEqual(['SIGKILL'])
  })

  it('may wait for others', () => {
    world.supervision.start()
    world.supervision.add(specification('server-1', { after: ['writer'], essential: false }))
    expect(world.alive).toEqual(['writer'])
    world.report('writer')
    expect(world.alive).toContain('server-1')
  })

  it('stops when all have stopped that were there from the beginning', () => {
    run()
    world.supervision.add(server('server-1'))
    world.supervision.add(server('server-2'))
    for (const name of ['server-1', 'server-2']) world.report(name)
    world.last('writer').obeys = false
    world.supervision.stop()
    world.time.advance(0)
    expect([world.alive, world.last('server-1').signals]).toEqual([['writer', 'server-1', 'server-2'], []])
    world.last('writer').exit({ code: 0, signal: null })
    world.time.advance(0)
    expect(world.alive).toEqual([])
    expect(world.ended).toEqual([{ exitCode: 0 }])
  })

  it('takes no name that is taken, and waits for nobody who does not exist', () => {
    run()
    const wrong = expect.objectContaining({ code: 'invalid_config' })
    expect(() => world.supervision.add(server('writer'))).toThrow(wrong)
    expect(() => world.supervision.add(specification('server-1', { after: ['nobody'] }))).toThrow(wrong)
    expect(world.supervision.children).toHaveLength(2)
  })

  it('is not taken in before the start or while all stop', () => {
    const refused = expect.objectContaining({ code: 'not_ready' })
    expect(() => world.supervision.add(server('server-1'))).toThrow(refused)
    run()
    world.supervision.stop()
    expect(() => world.supervision.add(server('server-1'))).toThrow(refused)
  })
})

describe('a child that is removed', () => {
  it('is told to stop, is not started again, and is forgotten when it has ended', async () => {
    run()
    world.supervision.add(server('server-1'))
    world.report('server-1')
    let isRemoved = false
    const removed = world.supervision.remove('server-1').then(() => {
      isRemoved = true
    })
    const again = world.supervision.remove('server-1')
    expect(world.last('server-1').signals).toEqual(['SIGTERM'])
    await Promise.resolve()
    expect([isRemoved, world.stateOf('server-1')]).toEqual([false, 'stopping'])
    world.time.advance(0)
    await Promise.all([removed, again])
    world.time.advance(60_000)
    expect([world.stateOf('server-1'), world.names.filter((name) => name === 'server-1')]).toEqual([
      'absent',
      ['server-1'],
    ])
    world.supervision.add(server('server-1'))
    expect(world.alive).toContain('server-1')
  })

  it('is killed when it does not stop', async () => {
    run()
    world.stubborn = true
    world.supervision.add(server('server-1'))
    const removed = world.supervision.remove('server-1')
    world.time.advance(60_000)
    await removed
    expect(world.last('server-1').signals).toEqual(['SIGTERM', 'SIGKILL'])
  })

  it('goes at once while it waits to be started again', async () => {
    run()
    world.supervision.add(server('server-1'))
    world.last('server-1').exit({ code: 1, signal: null })
    await world.supervision.remove('server-1')
    await world.supervision.remove('server-1')
    expect(world.stateOf('server-1')).toBe('absent')
  })

  it('has ended too when everything is stopped meanwhile', async () => {
    run()
    world.supervision.add(server('server-1'))
    const removed = world.supervision.remove('server-1')
    world.supervision.stop()
    for (let turn = 0; turn < 5; turn++) world.time.advance(0)
    await removed
    expect(world.ended).toEqual([{ exitCode: 0 }])
  })
})

describe('what is prepared at the start', () => {
  it('is waited for before everything is ready for the first time', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    world.supervision.start(() => promise)
    for (const name of ['writer', 'gateway']) world.report(name)
    expect(world.readyCount).toBe(0)
    world.supervision.add(server('server-1'))
    resolve()
    await promise
    expect(world.readyCount).toBe(0)
    world.report('server-1')
    expect(world.readyCount).toBe(1)
  })

  it('ends everything, in order, where it fails', () => {
    run()
    const error = new CommanderError('process_failed', 'no room for journal servers')
    world.supervision.fail(error)
    world.time.advance(0)
    expect(world.ended).toEqual([{ exitCode: 1, error }])
  })
})
