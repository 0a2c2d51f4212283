import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import type { QueueForm } from '../../../src/actions/action.ts'
import { type Lsn, lsn } from '../../../src/kernel/identifiers.ts'
import { waitingFor } from '../../../src/state/waiting-for.ts'
import { received } from '../role-world.ts'
import { HostWorld } from './host-world.ts'

const workflow = 'workflow:job'

let db: HostWorld
beforeEach(() => {
  db = new HostWorld()
})

const register = (...queues: QueueForm[]): void => registerAs('work-1', queues)
const registerAs = (instance: string, queues: readonly QueueForm[]): void =>
  db.register(instance, ['counter', workflow], queues.length === 0 ? {} : { queues })

const add = (limits: Omit<QueueForm, 'type' | 'command'>): QueueForm => ({ type: 'counter', command: 'add', ...limits })
const start = (limits: Omit<QueueForm, 'type' | 'command'>): QueueForm => ({
  type: workflow,
  command: 'start',
  ...limits,
})

interface Options {
  readonly partition?: string
  readonly priority?: number
  readonly delayMs?: number
}

const receive = (id: string, options: Options = { partition: '' }): Lsn =>
  db.append(received(id, 'add', { amount: 1 }, { ...options, receivedAtMs: db.wallMs }))

const receiveStart = (id: string, options: Options = { partition: '' }): Lsn => {
  const aggregate = { type: workflow, id }
  return db.append(received(id, 'start', { input: null }, { aggregate, ...options, receivedAtMs: db.wallMs }))
}

const pending = (at: Lsn) => {
  const command = db.state.commands.byLsn.get(at)
  if (command === undefined) throw new Error(`command ${at} is not pending`)
  return command
}

/** Ids of what is started and has not ended, in the order in which it was received. */
const running = (): string[] => {
  db.settle()
  return db.started.sort((a, b) => a.lsn - b.lsn).map(({ queue }) => queue.key.slice(queue.key.indexOf('/') + 1))
}

const why = (at: Lsn): string | null => waitingFor(db.state, pending(at), db.wallMs)

describe('a queue with a concurrency', () => {
  it('starts as many commands as it has slots, and the next one when one ends', () => {
    register(add({ concurrency: 2 }))
    const commands = ['a', 'b', 'c', 'd'].map((id) => receive(id))
    expect(running()).toEqual(['a', 'b'])
    db.complete(pending(commands[1] as Lsn))
    expect(running()).toEqual(['a', 'c'])
    db.reject(pending(commands[0] as Lsn))
    expect(running()).toEqual(['c', 'd'])
  })

  it('holds back nothing of other commands', () => {
    register(add({ concurrency: 1 }))
    receive('a')
    receive('b')
    db.append(received('c', 'remove'))
    expect(running()).toEqual(['a', 'c'])
  })

  it('counts each partition by itself', () => {
    register(add({ concurrency: 1 }))
    for (const [id, partition] of ['x', 'y', 'x', 'y'].entries()) receive(String(id), { partition })
    expect(running()).toEqual(['0', '1'])
  })

  it('keeps the slot of a command that failed until it ends', () => {
    register(add({ concurrency: 1 }))
    const [a, b] = [receive('a'), receive('b')]
    db.settle()
    db.fail(pending(a), 500)
    expect(running()).toEqual([])
    db.pass(500, 100)
    expect(running()).toEqual(['a'])
    db.park(pending(a))
    expect(running()).toEqual(['b'])
    expect(pending(b).attempts).toBe(1)
  })

  it('has a command that was retried by a person take a slot again', () => {
    register(add({ concurrency: 1 }))
    const [a, b] = [receive('a'), receive('b')]
    db.settle()
    db.park(pending(a))
    db.settle()
    db.append({ type: 'command/retried', command: a, received: received('a', 'add', {}, { partition: '' }) })
    expect(running()).toEqual(['b'])
    db.complete(pending(b))
    expect(running()).toEqual(['a'])
  })

  it('starts by priority, and among the same in the order in which they came', () => {
    register(add({ concurrency: 1 }))
    receive('first')
    for (const [id, priority] of [
      ['low', 0],
      ['high', 9],
      ['middle', 5],
      ['high2', 9],
    ] as const)
      receive(id, { partition: '', priority })
    const order: string[] = []
    for (let [id] = running(); id !== undefined; [id] = running()) {
      order.push(id)
      db.complete(db.pendingOn(`counter/${id}`))
    }
    expect(order).toEqual(['first', 'high', 'high2', 'middle', 'low'])
  })

  it('never lets a command overtake another one of its aggregate, whatever its priority', () => {
    register(add({ concurrency: 1 }))
    receive('other')
    const [low, high] = [receive('a', { partition: '' }), receive('a', { partition: '', priority: 9 })]
    db.settle()
    db.complete(db.pendingOn('counter/other'))
    db.settle()
    expect([pending(low).attempts, pending(high).attempts]).toEqual([1, 0])
    db.complete(pending(low))
    db.settle()
    expect(pending(high).attempts).toBe(1)
  })

  it('holds back what comes behind on the aggregate of a command that waits', () => {
    register(add({ concurrency: 1 }))
    receive('a')
    receive('b')
    db.append(received('b', 'remove'))
    expect(running()).toEqual(['a'])
    db.complete(db.pendingOn('counter/a'))
    expect(running()).toEqual(['b', 'b'])
  })

  it('follows limits that another registration brings', () => {
    register(add({ concurrency: 1 }))
    for (const id of ['a', 'b', 'c']) receive(id)
    expect(running()).toEqual(['a'])
    register(add({ concurrency: 2 }))
    expect(running()).toEqual(['a', 'b'])
    register()
    expect(running()).toEqual(['a', 'b', 'c'])
  })

  it('gives the slot of a workflow free when the workflow has ended, not when it has begun', () => {
    register(start({ concurrency: 1 }))
    const [a] = [receiveStart('a'), receiveStart('b')]
    expect(running()).toEqual(['a'])
    db.run(pending(a))
    expect(running()).toEqual([])
    db.crash()
    register(start({ concurrency: 1 }))
    expect(running()).toEqual([])
    db.finish(`${workflow}/a`)
    expect(running()).toEqual(['b'])
  })

  it('gives the slot of a workflow free that was not started, or is deleted', () => {
    register(start({ concurrency: 1 }))
    const commands = ['a', 'b', 'c'].map((id) => receiveStart(id))
    db.settle()
    db.reject(pending(commands[0] as Lsn))
    expect(running()).toEqual(['b'])
    // It sleeps, so that nothing is under way.
    const effects = { events: [{ type: 'x', data: null }], latestEvent: { revision: 1 as never, type: 'x' } }
    db.complete(pending(commands[1] as Lsn), { ...effects, workflow: { activates: true } })
    const aggregate = { type: workflow, id: 'b' }
    db.append({
      ...{ type: 'workflow/advanced', aggregate, activation: commands[1] as Lsn, token: 0 as never, atMs: 1 },
      ...{ baseRevision: 1 as never, events: [], messages: [], snapshot: null, workflow: { releases: true } },
    })
    expect(running()).toEqual([])
    db.append(
      { type: 'stream/closed', aggregate, atMs: 1 },
      { type: 'stream/deleted', aggregate, closedLsn: lsn(1), atMs: 1 },
    )
    expect(running()).toEqual(['c'])
  })

  it('forgets what it has counted when nothing is under way', () => {
    register(add({ concurrency: 1 }))
    for (const id of ['a', 'b']) receive(id, { partition: id })
    for (const id of running()) db.complete(db.pendingOn(`counter/${id}`))
    expect(db.state.queues.lanes.size).toBe(0)
  })
})

describe('a queue with a rate limit', () => {
  const times: number[] = []
  beforeEach(() => {
    times.length = 0
    let known = new Set<Lsn>()
    db.onEntry = ({ commands }) => {
      const seen = new Set([...commands.byLsn.values()].filter(({ attempts }) => attempts > 0).map((one) => one.lsn))
      for (const at of seen) if (!known.has(at)) times.push(db.scheduler.nowMs)
      known = seen
    }
  })

  it('starts so many in its period, as early as it may', () => {
    register(add({ rateLimit: { limit: 2, periodMs: 1_000 } }))
    db.pass(300, 100)
    for (let i = 0; i < 5; i++) receive(String(i))
    db.pass(5_000, 100)
    expect(times).toEqual([300, 300, 1_300, 1_300, 2_300])
  })

  it('counts each partition by itself', () => {
    register(add({ rateLimit: { limit: 1, periodMs: 1_000 } }))
    for (const partition of ['x', 'y', 'x', 'y']) receive(`${db.state.lsn}`, { partition })
    db.pass(2_000, 100)
    expect(times).toEqual([0, 0, 1_000, 1_000])
  })

  it('is not seen by what the wall clock does', () => {
    register(add({ rateLimit: { limit: 1, periodMs: 1_000 } }))
    for (let i = 0; i < 3; i++) receive(String(i))
    db.pass(500, 100)
    db.offsetMs += 3_600_000
    db.pass(1_000, 100)
    db.offsetMs -= 7_200_000
    db.pass(2_000, 100)
    expect(times).toEqual([0, 1_000, 2_000])
  })

  it('forgets partitions that have not been used for a period', () => {
    register(add({ rateLimit: { limit: 1, periodMs: 1_000 } }))
    for (let i = 0; i < 200; i++) {
      receive(String(i), { partition: String(i) })
      for (const id of running()) db.complete(db.pendingOn(`counter/${id}`))
      db.pass(100, 100)
    }
    expect(db.state.queues.lanes.size).toBeLessThan(30)
  })
})

describe('a delay', () => {
  it('holds back a command until its time, whatever the wall clock does', () => {
    register()
    const at = receive('a', { delayMs: 5_000 })
    db.pass(1_000)
    db.offsetMs += 3_600_000
    db.pass(3_999, 100)
    expect(running()).toEqual([])
    expect(why(at)).toMatch(/^delayed until 2026-03-01T00:00:05/)
    db.pass(1, 1)
    expect(running()).toEqual(['a'])
  })

  it('goes on where it was after a restart', () => {
    register()
    receive('a', { delayMs: 5_000 })
    db.pass(3_000)
    db.crash()
    db.pass(1_900, 100)
    expect(running()).toEqual([])
    db.pass(100, 100)
    expect(running()).toEqual(['a'])
  })
})

describe('why a command waits', () => {
  it('is said', () => {
    expect(why(receive('a'))).toBe('no instance hosts counter')
    register(add({ concurrency: 1 }), start({ rateLimit: { limit: 1, periodMs: 60_000 } }))
    db.settle()
    expect(why(db.pendingOn('counter/a').lsn)).toBeNull()
    expect(why(receive('b'))).toBe('queue counter/add: 1 of 1 slots taken')
    const [first, second] = [receive('c', { partition: 'x' }), receive('c', { partition: 'x' })]
    db.settle()
    expect([why(first), why(second)]).toEqual([null, 'queue counter/add of "x": 1 of 1 slots taken'])
    const third = receive('c', { partition: 'x' })
    expect(why(third)).toBe(`command ${second}, which is before it on counter/c`)
    receiveStart('w')
    const waits = receiveStart('v')
    db.settle()
    expect(why(waits)).toBe('queue workflow:job/start: rate limit, next at 2026-03-01T00:01:00.000Z')
    db.fail(db.pendingOn('counter/a'), 1_000)
    expect(why(db.pendingOn('counter/a').lsn)).toBe('tried again, but not until 2026-03-01T00:00:01.000Z')
  })
})

type Step =
  | { readonly what: 'receive'; readonly id: number; readonly partition: number; readonly priority: number }
  | { readonly what: 'start'; readonly partition: number }
  | { readonly what: 'end'; readonly which: number; readonly how: number }
  | { readonly what: 'finish'; readonly which: number }
  | { readonly what: 'crash'; readonly kept: number; readonly isLate: boolean }
  | { readonly what: 'instance'; readonly number: number; readonly comes: boolean }
  | { readonly what: 'pass'; readonly ms: number }
  | { readonly what: 'back'; readonly ms: number }

const small = fc.nat(1)
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      what: fc.constant('receive' as const),
      id: fc.nat(9),
      partition: small,
      priority: fc.nat(9),
    }),
  },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('start' as const), partition: small }) },
  { weight: 6, arbitrary: fc.record({ what: fc.constant('end' as const), which: fc.nat(20), how: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('finish' as const), which: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('crash' as const), kept: fc.nat(4), isLate: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('instance' as const), number: small, comes: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ what: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 700 }) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('back' as const), ms: fc.nat(100_000) }) },
)

/** Two instances or none, under any of these steps; `look` sees every entry. */
function play(steps: readonly Step[], queues: readonly QueueForm[], look: () => void): void {
  db = new HostWorld()
  registerAs('work-1', queues)
  registerAs('work-2', queues)
  db.onEntry = look
  let workflows = 0
  for (const step of steps) {
    switch (step.what) {
      case 'receive':
        receive(String(step.id), { partition: String(step.partition), priority: step.priority })
        break
      case 'start':
        receiveStart(String(workflows++), { partition: String(step.partition) })
        break
      case 'end':
        end(step.which, step.how)
        break
      case 'finish': {
        const active = [...db.state.activations.byKey.keys()]
        if (active.length > 0) db.finish(active[step.which % active.length] as string)
        break
      }
      case 'crash':
        db.crash(step.kept, step.isLate)
        break
      case 'instance':
        if (step.comes) registerAs(`work-${step.number}`, queues)
        else db.append({ type: 'application/deregistered', instance: `work-${step.number}`, reason: 'stopped' })
        break
      case 'back':
        db.offsetMs -= step.ms
        break
      default:
        db.pass(step.ms, 50)
    }
    if (step.what !== 'receive') db.settle()
  }
}

function end(which: number, how: number): void {
  const started = db.started
  const command = started[which % Math.max(1, started.length)]
  if (command === undefined) return
  if (how === 0) db.fail(command, 100)
  else if (how === 1) db.reject(command)
  else if (how === 2) db.park(command)
  else if (command.queue.key.startsWith(workflow)) db.run(command)
  else db.complete(command)
}

describe('whatever crashes when, with two instances', () => {
  it.each([{ concurrency: 1 }, { rateLimit: { limit: 1, periodMs: 1_000 } }])(
    'a draft of before a restart takes its place, and what was decided anew in its stead waits: %o',
    (queue) => {
      register(add(queue))
      const first = receive('a', { partition: '' })
      const second = receive('b', { partition: '', priority: 9 })
      // The first one is drafted. Its successor would have the second one go.
      db.crash(1, true)
      expect(running()).toEqual(['a'])
      db.complete(pending(first))
      db.pass(1_000, 100)
      expect(running()).toEqual(['b'])
      expect(pending(second).attempts).toBe(1)
    },
  )

  const anySteps = fc.array(anyStep, { minLength: 30, maxLength: 120 })

  it('no more than the slots of a partition are taken at any entry', () => {
    const concurrency = 1
    fc.assert(
      fc.property(anySteps, (steps) => {
        let most = 0
        const partitions = new Map<string, string>()
        play(steps, [add({ concurrency }), start({ concurrency })], () => {
          const taken = new Map<string, number>()
          const count = (name: string): void => void taken.set(name, (taken.get(name) ?? 0) + 1)
          for (const { queue, place, token } of db.state.commands.byLsn.values()) {
            if (place === null) continue
            partitions.set(queue.key, place.partition)
            if (token !== 0) count(`${place.name} ${place.partition}`)
          }
          for (const key of db.state.activations.byKey.keys()) count(`${workflow}/start ${partitions.get(key)}`)
          most = Math.max(most, ...taken.values())
        })
        expect(most).toBeLessThanOrEqual(concurrency)
        drain()
        expect(db.state.commands.byLsn.size).toBe(0)
        expect([...db.state.queues.lanes.values(), ...db.state.queues.holders]).toEqual([])
      }),
      { numRuns: 60 },
    )
  })

  it('no more than the rate limit of a partition are started in any period', () => {
    const rateLimit = { limit: 2, periodMs: 1_000 }
    fc.assert(
      fc.property(anySteps, (steps) => {
        const times = new Map<string, number[]>()
        let known = new Set<string>()
        play(steps, [add({ rateLimit })], () => {
          const seen = new Set<string>()
          for (const { lsn: at, place, attempts } of db.state.commands.byLsn.values()) {
            if (place === null || place.name !== 'counter/add' || attempts === 0) continue
            seen.add(`${at}`)
            if (known.has(`${at}`)) continue
            const started = times.get(place.partition) ?? []
            times.set(place.partition, [...started, db.decidedMs.get(at) ?? Number.NaN])
          }
          known = seen
        })
        for (const started of times.values())
          for (const [i, at] of started.entries())
            expect(at - (started[i - rateLimit.limit] ?? Number.NEGATIVE_INFINITY)).toBeGreaterThanOrEqual(
              rateLimit.periodMs,
            )
      }),
      { numRuns: 60 },
    )
  })
})

/** Everything that waits is started in the end, and ends. */
function drain(): void {
  registerAs('work-1', [add({ concurrency: 2 }), start({ concurrency: 2 })])
  for (let round = 0; round < 300 && db.state.commands.byLsn.size + db.state.activations.byKey.size > 0; round++) {
    db.pass(200, 100)
    for (const command of db.started) {
      if (command.queue.key.startsWith(workflow)) db.run(command)
      else db.complete(command)
    }
    for (const key of [...db.state.activations.byKey.keys()]) db.finish(key)
  }
}
