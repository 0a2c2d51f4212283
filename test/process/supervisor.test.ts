import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { requestStatus, requestStop } from '../../src/supervisor/status-client.ts'
import { isAlive, SupervisedHost, until } from './supervised-host.ts'

let host: SupervisedHost

beforeEach(() => {
  host = new SupervisedHost()
})
afterEach(() => host.remove())

const serve = { behaviour: 'serve' } as const

describe('start and stop', () => {
  it('says ready once the last child is, answers the status, and stops by request with exit code 0', async () => {
    const supervisor = await host.startReady([
      host.specification('gateway', { ...serve, url: 'http://127.0.0.1:1' }, { after: ['writer'] }),
      host.specification('writer', serve),
    ])
    expect(host.stdout.match(/^ready .*$/gm)).toEqual([
      `ready url=http://127.0.0.1:1 pid=${supervisor.pid} dataDir=${host.dataDir}`,
    ])
    const status = await requestStatus(host.client)
    expect(status).toMatchObject({
      ready: true,
      role: 'leader',
      dataDir: host.dataDir,
      url: 'http://127.0.0.1:1',
      degraded: false,
    })
    expect(
      status.processes.map(({ name, pid, state, restarts, appliedLsn }) => ({
        name,
        pid,
        state,
        restarts,
        appliedLsn,
      })),
    ).toEqual([
      { name: 'supervisor', pid: supervisor.pid, state: 'ready', restarts: 0, appliedLsn: null },
      { name: 'writer', pid: host.starts('writer')[0]?.pid, state: 'ready', restarts: 0, appliedLsn: 7 },
      { name: 'gateway', pid: host.starts('gateway')[0]?.pid, state: 'ready', restarts: 0, appliedLsn: 7 },
    ])
    for (const { rssBytes } of status.processes) expect(rssBytes).toBeGreaterThan(1 << 20)
    await requestStop(host.client)
    expect(await host.exitCodeOf(supervisor)).toBe(0)
    expect(host.diary.map(({ name, event }) => `${event} ${name}`)).toEqual([
      'start writer',
      'start gateway',
      'stop gateway',
      'stop writer',
    ])
    await expect(requestStatus(host.client)).rejects.toMatchObject({ code: 'no_database' })
  })

  it('passes the lines of its children on as JSON and nothing else but the ready line', async () => {
    const supervisor = await host.startReady([host.specification('writer', serve)])
    supervisor.kill('SIGTERM')
    await host.exitCodeOf(supervisor)
    const lines = host.stdout
      .trim()
      .split('\n')
      .filter((line) => !line.startsWith('ready '))
    const parsed = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(parsed).toContainEqual(
      expect.objectContaining({ child: 'writer', stream: 'stdout', msg: 'a plain line of user code' }),
    )
    expect(host.stderr).toBe('')
  })

  it('goes on, and stops, although nobody reads its output', async () => {
    const supervisor = await host.startReady([
      host.specification('writer', { behaviour: 'chatty' }, { watchdogMs: 2000 }),
    ])
    host.stopReading(supervisor)
    const written = (pid: number | undefined): number =>
      Number(/^wchar: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1])
    const [writer] = host.starts('writer')
    const before = written(writer?.pid)
    await until('much more is written than all buffers hold', () => written(writer?.pid) > before + (20 << 20))
    expect(await requestStatus(host.client)).toMatchObject({ ready: true, processes: [{}, { restarts: 0 }] })
    supervisor.kill('SIGTERM')
    expect(await host.exitCodeOf(supervisor)).toBe(0)
  })

  it('stops in order when the terminal interrupts all of its processes', async () => {
    const supervisor = await host.startReady([
      host.specification('gateway', serve, { after: ['writer'] }),
      host.specification('writer', serve),
    ])
    for (const { pid } of [...host.diary, { pid: supervisor.pid ?? 0 }]) process.kill(pid, 'SIGINT')
    expect(await host.exitCodeOf(supervisor)).toBe(0)
    expect(host.diary.slice(2).map(({ name, event }) => `${event} ${name}`)).toEqual(['stop gateway', 'stop writer'])
  })

  it('kills a child that does not stop in time, and all of them at a second interrupt', async () => {
    const stubborn = host.specification('writer', { behaviour: 'ignore-stop' }, { shutdownMs: 300 })
    const patient = { ...stubborn, shutdownMs: 600_000 }
    const first = await host.startReady([stubborn])
    first.kill('SIGTERM')
    expect(await host.exitCodeOf(first)).toBe(0)
    host.stdout = ''
    const second = await host.startReady([patient])
    second.kill('SIGINT')
    await until('the first interrupt is taken', () => host.diary.filter(({ event }) => event === 'start').length === 2)
    await until('stopping', async () => (await requestStatus(host.client)).processes[0]?.state === 'stopping')
    // One that comes at once is taken for the same one: npm passes on what the terminal has sent already.
    await until('the end', () => {
      second.kill('SIGINT')
      return second.exitCode !== null
    })
    expect(second.exitCode).toBe(0)
    expect(host.diary.filter(({ pid }) => isAlive(pid))).toEqual([])
  })

  it('gives each child its resources', async () => {
    const cpu = availableParallelism() - 1
    await host.startReady([
      host.specification('plain', serve),
      host.specification('tuned', serve, {
        resources: {
          nice: 7,
          cpus: [cpu],
          maxOldSpaceMb: 99,
          maxSemiSpaceMb: 4,
          uvThreadpoolSize: 3,
          env: { FIXTURE_COLOR: 'green' },
          nodeOptions: ['--stack-trace-limit=20'],
        },
      }),
    ])
    const [tuned] = host.starts('tuned')
    expect(tuned).toMatchObject({ nice: 7, cpus: String(cpu), threads: '3', color: 'green' })
    expect(tuned?.options).toEqual(
      expect.arrayContaining(['--max-old-space-size=99', '--max-semi-space-size=4', '--stack-trace-limit=20']),
    )
    expect(host.starts('plain')[0]).toMatchObject({ nice: 0 })
    expect(host.starts('plain')[0]?.color).toBeUndefined()
  })
})

describe('restart', () => {
  it('restarts a child that was killed and tells it so', async () => {
    await host.startReady([host.specification('writer', serve), host.specification('gateway', serve)])
    process.kill((await host.life('writer', 1)).pid, 'SIGKILL')
    expect((await host.life('writer', 2)).previousExit).toEqual({ code: null, signal: 'SIGKILL', reason: 'signal' })
    const status = await until('the writer is ready again', async () => {
      const answer = await requestStatus(host.client)
      return answer.ready && answer
    })
    expect(status.processes.map(({ name, restarts }) => [name, restarts])).toEqual([
      ['supervisor', 0],
      ['writer', 1],
      ['gateway', 0],
    ])
  })

  it.each([
    ['exits', 'exit', 9],
    ['throws', 'throw', 1],
    ['leaves a rejection unhandled', 'reject', 1],
  ] as const)('restarts a child that %s', async (_what, behaviour, code) => {
    host.start([host.specification('writer', { behaviour, once: true })])
    expect((await host.life('writer', 2)).previousExit).toEqual({ code, signal: null, reason: 'exit' })
    await until('ready', () => /^ready /m.test(host.stdout))
  })

  it('gives up on an essential child in a crash loop: everything stops, exit code 1, and the error says why', async () => {
    const restart = { maxRestarts: 2, periodMs: 60_000, initialDelayMs: 10, maxDelayMs: 20, minimumUptimeMs: 5000 }
    const supervisor = host.start([
      host.specification('gateway', serve),
      host.specification('writer', { behaviour: 'throw' }, { restart }),
    ])
    expect(await host.exitCodeOf(supervisor)).toBe(1)
    expect(host.stderr).toContain('writer ended more than 2 times within 60000 ms: the fixture throws')
    expect(host.starts('writer')).toHaveLength(3)
    expect(host.diary.filter(({ pid }) => isAlive(pid))).toEqual([])
  })

  it('keeps the database up, degraded, while an application crashes again and again', async () => {
    const restart = { maxRestarts: 1, periodMs: 60_000, initialDelayMs: 10, maxDelayMs: 50, minimumUptimeMs: 5000 }
    await host.startReady([
      host.specification('application', { behaviour: 'exit' }, { essential: false, restart }),
      host.specification('gateway', serve, { after: ['application'] }),
    ])
    await host.life('application', 5)
    expect(await requestStatus(host.client)).toMatchObject({ ready: true, degraded: true })
  })

  it('exits with 2 and the reason when an application module does not load', async () => {
    const supervisor = host.start([
      host.specification('writer', serve),
      host.specification('application', { behaviour: 'bad-module' }, { essential: false, after: ['writer'] }),
    ])
    expect(await host.exitCodeOf(supervisor)).toBe(2)
    expect(host.stderr).toContain('the module ./bank.ts does not load')
    expect(host.starts('application')).toHaveLength(1)
  })

  it('kills and restarts a child whose event loop is blocked, and one that is stopped by a signal', async () => {
    const watched = { watchdogMs: 2000 }
    await host.startReady([
      host.specification('blocked', { behaviour: 'hang', once: true }, watched),
      host.specification('stopped', serve, watched),
      host.specification('healthy', serve, watched),
    ])
    process.kill((await host.life('stopped', 1)).pid, 'SIGSTOP')
    const expected = { code: null, signal: 'SIGKILL', reason: 'watchdog' }
    expect((await host.life('blocked', 2)).previousExit).toEqual(expected)
    expect((await host.life('stopped', 2)).previousExit).toEqual(expected)
    expect(host.starts('healthy')).toHaveLength(1)
  })

  it('stops and restarts a child that is over its memory', async () => {
    await host.startReady([
      host.specification('application', { behaviour: 'grow', once: true }, { resources: { maxRssMb: 300 } }),
    ])
    expect((await host.life('application', 2)).previousExit).toEqual({ code: 0, signal: null, reason: 'rss' })
    expect(host.diary.map(({ event }) => event)).toEqual(['start', 'stop', 'start'])
  })
})

describe('a killed supervisor', () => {
  it('leaves no child behind, not even a starting, a stopped or a blocked one', async () => {
    const supervisor = host.start([
      host.specification('serving', serve),
      host.specification('stopped', serve),
      host.specification('blocked', { behaviour: 'hang' }),
      host.specification('starting', { behaviour: 'never-ready' }),
    ])
    for (const name of ['serving', 'stopped', 'blocked', 'starting']) await host.life(name, 1)
    process.kill((await host.life('stopped', 1)).pid, 'SIGSTOP')
    supervisor.kill('SIGKILL')
    await until('all children are gone', () => host.diary.every(({ pid }) => !isAlive(pid)))
    expect(host.diary).toHaveLength(4)
  })

  it('leaves no serving child behind where setpriv is not installed', async () => {
    const supervisor = await host.startReady([host.specification('serving', serve)], { PATH: '/nonexistent' })
    expect(host.stdout).toContain('setpriv is not usable')
    supervisor.kill('SIGKILL')
    await until('the child is gone', () => host.diary.every(({ pid }) => !isAlive(pid)))
  })

  it('leaves the directory free for the next one at once', async () => {
    const first = await host.startReady([host.specification('writer', serve)])
    first.kill('SIGKILL')
    await until('the supervisor is gone', () => first.signalCode !== null)
    host.stdout = ''
    const second = await host.startReady([host.specification('writer', serve)])
    expect(second.exitCode).toBeNull()
    expect(host.stdout).toMatch(/^ready /m)
  })
})

describe('a second start', () => {
  it('is refused with the pid of the first, which goes on', async () => {
    const first = await host.startReady([host.specification('writer', serve)])
    const second = host.start([host.specification('writer', serve)])
    expect(await host.exitCodeOf(second)).toBe(1)
    expect(host.stderr).toContain(`process ${first.pid} on `)
    expect(host.stderr).toContain(host.dataDir)
    expect((await requestStatus(host.client)).ready).toBe(true)
    expect(host.starts('writer')).toHaveLength(1)
  })

  it('has exactly one winner when both start at the same moment', async () => {
    const both = [host.start([host.specification('writer', serve)]), host.start([host.specification('writer', serve)])]
    await until(
      'one lost and the other is ready',
      () => both.some(({ exitCode }) => exitCode !== null) && /^ready /m.test(host.stdout),
    )
    expect(both.map(({ exitCode }) => exitCode).toSorted()).toEqual([1, null])
    const winner = both.find(({ exitCode }) => exitCode === null)
    expect((await requestStatus(host.client)).processes[0]?.pid).toBe(winner?.pid)
  })
})
