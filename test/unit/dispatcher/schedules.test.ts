import fc from 'fast-check'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import type { ScheduleForm } from '../../../src/actions/action.ts'
import { HostWorld, schedulesOf } from './host-world.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const type = 'workflow:report'

let db: HostWorld
beforeEach(() => {
  db = new HostWorld()
})

const hourly = (more: Partial<ScheduleForm> = {}): ScheduleForm => ({
  name: 'hourly',
  cron: '0 * * * *',
  timezone: 'UTC',
  overlap: 'allow',
  catchUp: 'latest',
  workflow: 'report',
  input: { kind: 'full' },
  ...more,
})

const register = (...forms: ScheduleForm[]): void =>
  db.register('reports-1', [type], forms.length === 0 ? {} : { schedules: schedulesOf(db.wallMs, ...forms) })

/** The times of which workflows were started, in order, without the date where it is the first of March. */
const started = (): string[] =>
  db.received.map(({ action }) => action.aggregate.id.replace(/^hourly-/, '').replace('2026-03-01T', ''))

const at = (hour: number, minute = 0): string =>
  `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}:00.000Z`

describe('a schedule', () => {
  it('starts its workflow at each of its times, under an id that says which', () => {
    register(hourly())
    db.pass(2.5 * hourMs, minuteMs)
    expect(db.received.map(({ action }) => action)).toMatchObject([
      {
        aggregate: { type, id: 'hourly-2026-03-01T01:00:00.000Z' },
        command: 'start',
        data: { input: { kind: 'full' } },
      },
      { aggregate: { type, id: 'hourly-2026-03-01T02:00:00.000Z' } },
    ])
  })

  it('fires when its time has come and not before', () => {
    register(hourly())
    db.pass(hourMs - 1)
    expect(started()).toEqual([])
    db.pass(1)
    expect(started()).toEqual([at(1)])
  })

  it('is looked at when its time has come, and between only as often as the dispatcher looks at the clock', () => {
    const looks = (lookMs: number): number => {
      db = new HostWorld('2026-03-01T00:00:00.000Z', { lookMs, sweepMs: 100 * 24 * hourMs })
      register(hourly({ cron: '0 3 20 * *' }))
      const asked = vi.spyOn(db.scheduler, 'after')
      db.pass(30 * 24 * hourMs, 24 * hourMs)
      expect(db.received.map(({ action }) => action.aggregate.id)).toEqual(['hourly-2026-03-20T03:00:00.000Z'])
      return asked.mock.calls.length
    }
    expect(looks(24 * hourMs)).toBeLessThan(60)
    expect(looks(hourMs)).toBeGreaterThan(700)
  })

  it('follows the clock of its time zone over daylight saving', () => {
    db = new HostWorld('2026-03-27T12:00:00.000Z')
    register(hourly({ cron: '0 9 * * *', timezone: 'Europe/Berlin' }))
    db.pass(48 * hourMs, minuteMs)
    expect(db.received.map(({ action }) => action.aggregate.id)).toEqual([
      'hourly-2026-03-28T08:00:00.000Z',
      'hourly-2026-03-29T07:00:00.000Z',
    ])
  })

  it('is gone when its application registers without it, and begins anew when it comes back', () => {
    register(hourly())
    db.pass(hourMs)
    register()
    db.pass(2 * hourMs, minuteMs)
    expect(db.state.schedules.byName.size).toBe(0)
    register(hourly())
    db.pass(hourMs)
    expect(started()).toEqual([at(1), at(4)])
  })

  it('does not fire the times that another pattern would have had', () => {
    register(hourly({ cron: '0 0 1 1 *', catchUp: 'all' }))
    db.pass(3.5 * hourMs, minuteMs)
    register(hourly({ catchUp: 'all' }))
    db.pass(hourMs, minuteMs)
    expect(started()).toEqual([at(4)])
  })

  it('keeps its place when another instance of the application registers it, or the same again', () => {
    register(hourly({ catchUp: 'all' }))
    db.pass(hourMs)
    db.register('reports-2', [type], { schedules: schedulesOf(db.wallMs, hourly({ catchUp: 'all' })) })
    db.pass(hourMs)
    expect(started()).toEqual([at(1), at(2)])
  })

  it('follows a jump of the wall clock forward, and fires nothing again after one back', () => {
    register(hourly({ catchUp: 'all' }))
    db.pass(1_000)
    db.offsetMs += 2 * hourMs
    db.pass(2_000)
    expect(started()).toEqual([at(1), at(2)])
    db.offsetMs -= 2 * hourMs
    db.pass(2.5 * hourMs, minuteMs)
    expect(started()).toEqual([at(1), at(2)])
    db.pass(hourMs, minuteMs)
    expect(started()).toEqual([at(1), at(2), at(3)])
  })
})

describe('a schedule whose time comes while the workflow of an earlier one is under way', () => {
  const key = (hour: number): string => `${type}/hourly-2026-03-01T${at(hour)}`
  const runStarted = (): void => {
    for (const command of db.started) db.run(command)
  }

  it.each(['skip', 'queue', 'allow'] as const)('with overlap %s', (overlap) => {
    register(hourly({ overlap }))
    db.pass(hourMs)
    runStarted()
    db.pass(2 * hourMs, minuteMs)
    runStarted()
    expect(started()).toEqual(overlap === 'allow' ? [at(1), at(2), at(3)] : [at(1)])
    db.finish(key(1))
    db.pass(1_000)
    expect(started()).toEqual({ skip: [at(1)], queue: [at(1), at(2)], allow: [at(1), at(2), at(3)] }[overlap])
    runStarted()
    if (overlap === 'queue') {
      db.finish(key(2))
      db.pass(1_000)
      runStarted()
      db.finish(key(3))
    }
    db.pass(hourMs - 2_000, minuteMs)
    db.pass(1_000)
    expect(started().at(-1)).toBe(at(4))
    expect(started()).toEqual({ skip: [at(1), at(4)] }[overlap as string] ?? [at(1), at(2), at(3), at(4)])
  })

  it('does not wait for one that was refused before it began', () => {
    register(hourly({ overlap: 'skip' }))
    db.pass(hourMs)
    db.reject(db.pendingOn(key(1)))
    db.pass(hourMs, minuteMs)
    expect(started()).toEqual([at(1), at(2)])
  })

  it('does not wait for one whose start was given up by a person', () => {
    register(hourly({ overlap: 'skip' }))
    db.pass(hourMs)
    const command = db.pendingOn(key(1))
    const aggregate = { type, id: key(1).slice(type.length + 1) }
    db.park(command)
    db.pass(hourMs, minuteMs)
    expect(started()).toEqual([at(1)])
    db.append({ type: 'command/skipped', command: command.lsn, aggregate, reason: 'no' })
    db.pass(hourMs, minuteMs)
    expect(started()).toEqual([at(1), at(3)])
  })

  it('does not wait for one that was deleted', () => {
    register(hourly({ overlap: 'skip' }))
    db.pass(hourMs)
    db.complete(db.pendingOn(key(1)))
    const aggregate = { type, id: key(1).slice(type.length + 1) }
    db.append({ type: 'stream/closed', aggregate, atMs: db.wallMs })
    db.append({ type: 'stream/deleted', aggregate, closedLsn: db.state.lsn, atMs: db.wallMs })
    db.pass(hourMs, minuteMs)
    expect(started()).toEqual([at(1), at(2)])
  })
})

describe('times that were missed', () => {
  const down = (ms: number): void => {
    db.append({ type: 'application/deregistered', instance: 'reports-1', reason: 'stopped' })
    db.pass(ms, minuteMs)
  }

  it.each([
    ['none', [at(1), at(6)]],
    ['latest', [at(1), at(5), at(6)]],
    ['all', [at(1), at(2), at(3), at(4), at(5), at(6)]],
  ] as const)('are made up for with catchUp %s', (catchUp, expected) => {
    register(hourly({ catchUp }))
    db.pass(1.5 * hourMs, minuteMs)
    down(4 * hourMs)
    expect(started()).toEqual([at(1)])
    register(hourly({ catchUp }))
    db.pass(hourMs, minuteMs)
    expect(started()).toEqual(expected)
  })

  it('are made up for after everything was down', () => {
    register(hourly({ catchUp: 'all' }))
    db.pass(1.5 * hourMs, minuteMs)
    db.offsetMs += 3 * hourMs
    db.crash()
    register(hourly({ catchUp: 'all' }))
    db.pass(1_000)
    expect(started()).toEqual([at(1), at(2), at(3), at(4)])
  })

  it('are not missed where they are late by seconds', () => {
    register(hourly({ catchUp: 'none' }))
    db.pass(hourMs - 3_000)
    db.append({ type: 'application/deregistered', instance: 'reports-1', reason: 'stopped' })
    db.pass(9_000)
    register(hourly({ catchUp: 'none' }))
    db.pass(1_000)
    expect(started()).toEqual([at(1)])
  })

  it('are the last thousand, where there are more', () => {
    register(hourly({ catchUp: 'all' }))
    db.offsetMs += 2_000 * hourMs
    db.pass(1_000)
    db.settle()
    expect(db.received).toHaveLength(1_000)
    const last = new Date(Date.parse('2026-03-01T00:00:00Z') + 2_000 * hourMs).toISOString()
    expect(db.received.at(-1)?.action.aggregate.id).toBe(`hourly-${last}`)
  })
})

describe('each time of a schedule', () => {
  it.each(['skip', 'queue', 'allow'] as const)(
    'starts one workflow, whatever crashes when, with overlap %s',
    (overlap) => {
      const step = fc.oneof(
        fc.record({ what: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 40 * minuteMs }) }),
        fc.record({ what: fc.constant('crash' as const), kept: fc.nat(3), isLate: fc.boolean() }),
        fc.constant({ what: 'settle' as const }),
        fc.constant({ what: 'work' as const }),
      )
      fc.assert(
        fc.property(fc.array(step, { minLength: 20, maxLength: 80 }), (steps) => {
          db = new HostWorld()
          register(hourly({ overlap, catchUp: 'all' }))
          let most = 0
          db.onEntry = ({ commands, activations }) => {
            const running = new Set([...commands.byAggregate.keys(), ...activations.byKey.keys()])
            most = Math.max(most, running.size)
          }
          for (const one of steps) {
            if (one.what === 'pass') db.scheduler.advance(one.ms)
            else if (one.what === 'settle') db.settle()
            else if (one.what === 'crash') db.crash(one.kept, one.isLate)
            else {
              for (const command of db.started) db.run(command)
              for (const key of [...db.state.activations.byKey.keys()]) db.finish(key)
            }
          }
          const hours = Math.floor(db.scheduler.nowMs / hourMs)
          for (let rest = 0; rest < 2 * hours + 4; rest++) {
            db.pass(1_000)
            for (const command of db.started) db.run(command)
            for (const key of [...db.state.activations.byKey.keys()]) db.finish(key)
          }
          const ids = db.received.map(({ action }) => action.aggregate.id)
          expect(new Set(ids).size).toBe(ids.length)
          expect(ids).toEqual([...ids].sort())
          const passed = Math.floor(db.scheduler.nowMs / hourMs)
          if (overlap === 'skip') expect(ids.length).toBeLessThanOrEqual(passed)
          else expect(ids).toHaveLength(passed)
          if (overlap !== 'allow') expect(most).toBeLessThanOrEqual(1)
        }),
        { numRuns: 12 },
      )
    },
  )
})
