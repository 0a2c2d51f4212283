import { describe, expect, it } from 'vitest'
import { FakeWorld, restart, specification } from './fake-world.ts'

const mebibyte = 1 << 20

function database(): FakeWorld {
  return new FakeWorld([
    specification('gateway', { after: ['application'] }),
    specification('application', { after: ['writer'], essential: false }),
    specification('writer'),
  ])
}

function running(): FakeWorld {
  const world = database()
  world.supervision.start()
  for (const name of ['writer', 'application', 'gateway']) world.report(name)
  return world
}

describe('start', () => {
  it('starts a child only when all that it waits for have reported ready', () => {
    const world = database()
    world.supervision.start()
    expect(world.names).toEqual(['writer'])
    world.report('writer', { state: 'starting' })
    expect(world.names).toEqual(['writer'])
    world.report('writer')
    expect(world.names).toEqual(['writer', 'application'])
    world.report('application')
    expect(world.names).toEqual(['writer', 'application', 'gateway'])
    expect(world.readyCount).toBe(0)
    world.report('gateway')
    expect(world.readyCount).toBe(1)
    expect(world.supervision.ready).toBe(true)
  })

  it('waits with a follower while the child before it restarts', () => {
    const world = database()
    world.supervision.start()
    world.last('writer').exit({ code: 1, signal: null })
    expect(world.stateOf('writer')).toBe('backoff')
    world.time.advance(100)
    expect(world.names).toEqual(['writer', 'writer'])
    world.report('writer')
    expect(world.names).toEqual(['writer', 'writer', 'application'])
  })

  it('is not ready before an application has had its chance', () => {
    const world = new FakeWorld([specification('writer'), specification('application', { essential: false })])
    world.supervision.start()
    world.report('writer')
    expect(world.readyCount).toBe(0)
    world.report('application')
    expect(world.readyCount).toBe(1)
  })

  it('tells of readiness once, however often a child restarts', () => {
    const world = running()
    world.last('gateway').exit({ code: 1, signal: null })
    expect(world.supervision.ready).toBe(false)
    world.time.advance(100)
    world.report('gateway')
    expect(world.supervision.ready).toBe(true)
    expect(world.readyCount).toBe(1)
  })

  it('does not believe a report of another process than the running one', () => {
    const world = database()
    world.supervision.start()
    expect(world.report('writer', { pid: 99 })).toBe(false)
    expect(world.stateOf('writer')).toBe('starting')
    expect(world.report('writer', { name: 'stranger' })).toBe(false)
    expect(world.report('writer')).toBe(true)
  })

  it('stops everything with exit code 2 when a module does not load on the first start', () => {
    const world = database()
    world.supervision.start()
    world.report('writer')
    const fatal = { code: 'invalid_module', message: './bank.ts does not load', retryable: false } as const
    world.last('application').exit({ code: 2, signal: null, fatal })
    world.time.advance(0)
    expect(world.alive).toEqual([])
    expect(world.ended).toMatchObject([{ exitCode: 2, error: { code: 'invalid_module' } }])
    expect(world.ended[0]?.error?.message).toContain('./bank.ts does not load')
  })
})

describe('restart', () => {
  it.each([
    ['journal_corrupt', 'segment 3 is damaged at 4096'],
    ['log_trimmed', 'the journal servers have given up what comes next'],
  ] as const)('gives up at once when no restart cures the error: %s', (code, message) => {
    const world = running()
    const fatal = { code, message, retryable: false } as const
    world.last('writer').exit({ code: 1, signal: null, fatal })
    world.time.advance(0)
    expect(world.ended).toMatchObject([{ exitCode: 1, error: { code } }])
    expect(world.spawned).toHaveLength(3)
  })

  it('tells the next life how the last one ended', () => {
    const world = running()
    world.last('writer').exit({ code: 7, signal: null })
    world.time.advance(100)
    expect(world.last('writer').previousExit).toEqual({ code: 7, signal: null, reason: 'exit' })
    world.last('writer').exit({ code: null, signal: 'SIGSEGV' })
    world.time.advance(200)
    expect(world.last('writer').previousExit).toEqual({ code: null, signal: 'SIGSEGV', reason: 'signal' })
  })

  it('restarts one child and leaves the others alone', () => {
    const world = running()
    const gateway = world.last('gateway')
    world.last('writer').exit({ code: 1, signal: null })
    world.time.advance(100)
    expect(gateway.alive).toBe(true)
    expect(world.names).toEqual(['writer', 'application', 'gateway', 'writer'])
  })

  it('ends the whole database with an error when an essential child is over its intensity', () => {
    const world = new FakeWorld([
      specification('writer', { restart: restart({ maxRestarts: 2 }) }),
      specification('gateway', { after: ['writer'] }),
    ])
    world.supervision.start()
    world.report('writer')
    world.report('gateway')
    for (let n = 0; n < 2; n++) {
      world.last('writer').exit({ code: 1, signal: null })
      world.time.advance(5000)
      world.report('gateway')
    }
    expect(world.ended).toEqual([])
    world.last('writer').exit({ code: 1, signal: null })
    world.time.advance(0)
    expect(world.alive).toEqual([])
    expect(world.ended).toMatchObject([{ exitCode: 1, error: { code: 'process_failed' } }])
    expect(world.ended[0]?.error?.message).toContain('writer ended more than 2 times within 60000 ms')
  })

  it('keeps trying an application that is over its intensity, at the largest delay, and starts the gateway without it', () => {
    const world = new FakeWorld([
      specification('application', { essential: false, restart: restart({ maxRestarts: 1, maxDelayMs: 4000 }) }),
      specification('gateway', { after: ['application'] }),
    ])
    world.supervision.start()
    world.last('application').exit({ code: 1, signal: null })
    world.time.advance(100)
    expect(world.names).toEqual(['application', 'application'])
    world.last('application').exit({ code: 1, signal: null })
    expect(world.names).toEqual(['application', 'application', 'gateway'])
    expect(world.supervision.children.map(({ degraded }) => degraded)).toEqual([true, false])
    world.time.advance(3999)
    expect(world.names).toHaveLength(3)
    world.time.advance(1)
    expect(world.names).toEqual(['application', 'application', 'gateway', 'application'])
    expect(world.ended).toEqual([])
  })

  it('is no longer degraded once it has been ready for a whole period', () => {
    const world = new FakeWorld([
      specification('application', { essential: false, restart: restart({ maxRestarts: 0, periodMs: 10_000 }) }),
    ])
    world.supervision.start()
    world.last('application').exit({ code: 1, signal: null })
    world.time.advance(5000)
    world.report('application')
    world.advanceReporting(9000)
    expect(world.supervision.children[0]?.degraded).toBe(true)
    world.advanceReporting(2000)
    expect(world.supervision.children[0]?.degraded).toBe(false)
  })
})

describe('watchdog', () => {
  it('kills a child that has fallen silent and restarts it with the reason', () => {
    const world = running()
    world.advanceReporting(20_000)
    const writer = world.last('writer')
    for (let second = 0; second < 11; second++) {
      world.time.advance(1000)
      world.report('application')
      world.report('gateway')
    }
    expect(writer.signals).toEqual(['SIGKILL'])
    expect(world.last('gateway').signals).toEqual([])
    world.time.advance(100)
    expect(world.last('writer').previousExit).toEqual({ code: null, signal: 'SIGKILL', reason: 'watchdog' })
  })

  it('gives a child more time for its first report', () => {
    const world = new FakeWorld([specification('writer')])
    world.supervision.start()
    world.time.advance(59_000)
    expect(world.last('writer').signals).toEqual([])
    world.time.advance(3000)
    expect(world.spawned[0]?.signals).toEqual(['SIGKILL'])
  })

  it('does not blame the children for time in which the supervisor itself did not run', () => {
    const world = running()
    world.time.freeze(60_000)
    world.time.advance(1000)
    expect(world.spawned.flatMap(({ signals }) => signals)).toEqual([])
    world.advanceReporting(5000)
    expect(world.spawned).toHaveLength(3)
  })

  it('restarts a child over its memory gracefully, and kills it when it does not stop', () => {
    const world = new FakeWorld([specification('application', { resources: { maxRssMb: 100 }, shutdownMs: 3000 })])
    world.stubborn = true
    world.supervision.start()
    world.report('application', { rssBytes: 100 * mebibyte })
    expect(world.last('application').signals).toEqual([])
    world.report('application', { rssBytes: 100 * mebibyte + 1 })
    expect(world.last('application').signals).toEqual(['SIGTERM'])
    world.report('application', { rssBytes: 200 * mebibyte, state: 'stopping' })
    world.time.advance(3000)
    expect(world.spawned[0]?.signals).toEqual(['SIGTERM', 'SIGKILL'])
    world.time.advance(100)
    expect(world.last('application').previousExit?.reason).toBe('rss')
  })
})

describe('stop', () => {
  it('stops in reverse order, one after the other, and ends once', () => {
    const world = database()
    world.stubborn = true
    world.supervision.start()
    for (const name of ['writer', 'application', 'gateway']) world.report(name)
    world.supervision.stop()
    world.supervision.stop()
    expect(world.last('gateway').signals).toEqual(['SIGTERM'])
    expect(world.last('application').signals).toEqual([])
    world.last('gateway').exit({ code: 0, signal: null })
    expect(world.last('application').signals).toEqual(['SIGTERM'])
    expect(world.last('writer').signals).toEqual([])
    world.last('application').exit({ code: 0, signal: null })
    expect(world.ended).toEqual([])
    world.last('writer').exit({ code: 0, signal: null })
    world.time.advance(0)
    expect(world.ended).toEqual([{ exitCode: 0 }])
  })

  it('kills what has not stopped in time', () => {
    const world = new FakeWorld([specification('writer', { shutdownMs: 500 })])
    world.stubborn = true
    world.supervision.start()
    world.supervision.stop()
    world.time.advance(499)
    expect(world.last('writer').signals).toEqual(['SIGTERM'])
    world.time.advance(1)
    expect(world.last('writer').signals).toEqual(['SIGTERM', 'SIGKILL'])
    world.time.advance(0)
    expect(world.ended).toEqual([{ exitCode: 0 }])
  })

  it('does not restart what falls while stopping, and forgets planned restarts', () => {
    const world = running()
    world.last('application').exit({ code: 1, signal: null })
    expect(world.stateOf('application')).toBe('backoff')
    world.supervision.stop()
    world.time.advance(0)
    expect(world.ended).toEqual([{ exitCode: 0 }])
    world.time.advance(600_000)
    expect(world.spawned).toHaveLength(3)
  })

  it('stops although nothing was ready yet', () => {
    const world = database()
    world.supervision.start()
    world.supervision.stop()
    world.time.advance(0)
    expect(world.alive).toEqual([])
    expect(world.ended).toEqual([{ exitCode: 0 }])
  })

  it('kills everything at once when forced', () => {
    const world = database()
    world.stubborn = true
    world.supervision.start()
    world.report('writer')
    world.supervision.stop()
    world.supervision.kill()
    world.time.advance(0)
    expect(world.alive).toEqual([])
    expect(world.ended).toEqual([{ exitCode: 0 }])
  })
})
