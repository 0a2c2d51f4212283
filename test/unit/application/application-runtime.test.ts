import { beforeEach, describe, expect, it } from 'vitest'
import type { Action, Entry } from '../../../src/actions/action.ts'
import { type Lsn, lsn, revision, token } from '../../../src/kernel/identifiers.ts'
import { epochStarted, received, registered } from '../role-world.ts'
import { ApplicationWorld, calls, summary } from './application-world.ts'

let app: ApplicationWorld
beforeEach(() => {
  app = ApplicationWorld.registered()
})

const drafted = (): string[] => summary(app.follower.drafts.map(({ action }) => action))
const accept = (): string[] => summary(app.acceptDrafts())

describe('registration', () => {
  it('says who it is and how its former incarnation ended', () => {
    const fresh = new ApplicationWorld({ former: 'crashed' })
    fresh.runtime.connected()
    expect(fresh.runtime.isRegistered).toBe(false)
    expect(fresh.acceptDrafts()).toEqual([
      {
        type: 'application/registered',
        instance: 'test-1',
        application: 'test',
        incarnation: 77,
        aggregateTypes: ['counter', 'blocking'],
        aggregateVersions: [1, 1],
        former: 'crashed',
      },
    ])
    expect(fresh.runtime.isRegistered).toBe(true)
  })

  it('is repeated after a reconnection, and then blames nobody', () => {
    app.runtime.disconnected()
    expect(app.runtime.isRegistered).toBe(false)
    app.runtime.connected()
    expect(app.acceptDrafts()).toMatchObject([{ type: 'application/registered', former: 'stopped' }])
  })

  it('is repeated when the instance was taken for dead', () => {
    app.append({ type: 'application/deregistered', instance: 'test-1', reason: 'silent' })
    app.world.scheduler.advance(1000)
    expect(app.acceptDrafts()).toMatchObject([{ type: 'application/registered' }])
  })

  it('is repeated when another node came to lead, under which nothing of before counts', () => {
    const [command] = app.start(received('a'))
    expect(drafted()).toHaveLength(1)
    app.append(epochStarted(2))
    expect(app.runtime.isRegistered).toBe(false)
    app.startAgain(lsn(command as number))
    app.world.scheduler.advance(1000)
    expect(app.follower.takeActions()).toMatchObject([
      { type: 'command/completed' },
      { type: 'application/registered' },
    ])
  })

  it('waits until this node leads, whoever registers under its name meanwhile', () => {
    const fresh = new ApplicationWorld()
    fresh.follower.isConnected = false
    fresh.append(registered('test-1', 3))
    const [command] = fresh.start(received('a'))
    fresh.append({ type: 'application/deregistered', instance: 'test-1', reason: 'silent' })
    fresh.world.scheduler.advance(1000)
    expect([fresh.follower.drafts, calls.decided]).toEqual([[], 0])
    fresh.append(epochStarted(2))
    fresh.follower.isConnected = true
    fresh.runtime.connected()
    expect(fresh.acceptDrafts()).toMatchObject([{ type: 'application/registered', incarnation: 77 }])
    fresh.store()
    fresh.startAgain(command as Lsn)
    expect(fresh.acceptDrafts()).toMatchObject([{ type: 'command/completed', command }])
  })

  it('is taken back at an orderly stop', () => {
    app.runtime.deregister()
    expect(app.acceptDrafts()).toEqual([{ type: 'application/deregistered', instance: 'test-1', reason: 'stopped' }])
    app.world.scheduler.advance(1000)
    expect(app.follower.drafts).toEqual([])
  })

  it('comes before any decision: what its former incarnation was given is not its to decide', () => {
    const fresh = new ApplicationWorld()
    fresh.append(registered('test-1', 3))
    fresh.start(received('a'))
    expect(fresh.follower.drafts).toEqual([])
    fresh.runtime.connected()
    fresh.acceptDrafts()
    expect(calls.decided).toBe(0)
  })
})

describe('deciding', () => {
  it('answers each command with its events, on the state that those before it left', () => {
    const commands = app.start(
      received('a', 'add', { amount: 3 }),
      received('a', 'assertValue', { value: 3 }),
      received('a', 'addTwice', { amount: 2 }),
      received('a', 'assertValue', { value: 7 }),
      received('b', 'assertValue', { value: 0 }),
    )
    const [a, b, c, d, e] = commands
    expect(drafted()).toEqual([
      `${a} completed at 0: 3`,
      `${b} completed at 1: `,
      `${c} completed at 1: 2 2`,
      `${d} completed at 3: `,
      `${e} completed at 0: `,
    ])
  })

  it('decides ahead of the journal, and keeps its state when the drafts come back', () => {
    const first = app.add('a', 1)
    const second = app.add('a', 2)
    expect(accept()).toEqual([`${first} completed at 0: 1`, `${second} completed at 1: 2`])
    const third = app.add('a', 4)
    expect(accept()).toEqual([`${third} completed at 2: 4`])
  })

  it('releases the assignment that the command was given with', () => {
    app.add('a')
    const [draft] = app.follower.drafts as [Entry]
    const started = app.journal.batches.at(-1)
    expect(draft.action).toMatchObject({ release: started?.firstLsn })
  })

  it('binds the key of a command that has one', () => {
    const idempotencyKey = { key: 'k', digest: new Uint8Array(16), ttlMs: 1000 }
    app.start(received('a', 'add', { amount: 1 }, { idempotencyKey }), received('a'))
    expect(app.follower.drafts.map(({ action }) => (action as { idempotencyKey: string }).idempotencyKey)).toEqual([
      'bound',
      'none',
    ])
  })

  it('rejects what the application rejects, what it does not know, and another revision than the expected one', () => {
    const [a, b, c, d] = app.start(
      received('a', 'assertValue', { value: 1 }),
      received('a', 'unheardOf'),
      received('a', 'add', { amount: 1 }, { expectedRevision: revision(4) }),
      received('a', 'add', { amount: 1 }, { expectedRevision: revision(0) }),
    )
    expect(drafted()).toEqual([
      `${a} rejected: other_value`,
      `${b} rejected: unknown_command`,
      `${c} rejected: revision_mismatch`,
      `${d} completed at 0: 1`,
    ])
  })

  it('rejects a command that expects a revision which the aggregate has passed, with both revisions', () => {
    app.add('a')
    app.add('a')
    app.follower.takeActions()
    const [late] = app.start(received('a', 'add', { amount: 1 }, { expectedRevision: revision(1) }))
    expect(app.follower.takeActions()).toMatchObject([
      {
        type: 'command/rejected',
        command: late,
        code: 'revision_mismatch',
        details: { expectedRevision: 1, actualRevision: 2 },
      },
    ])
  })

  it('takes no note of what was started on other instances', () => {
    const at = app.append(received('a'))
    app.append(registered('test-2'), { type: 'command/started', instance: 'test-2', commands: [at] })
    expect(app.follower.drafts).toEqual([])
  })

  it('adds a snapshot when a stream passes a multiple of its interval', () => {
    for (let i = 0; i < 5; i++) app.add('a')
    const snapshots = app.follower.drafts.map(({ action }) => (action as { snapshot: unknown }).snapshot !== null)
    expect(snapshots).toEqual([false, false, false, true, false])
  })
})

describe('a command that fails', () => {
  const fail = (id: string): Lsn => {
    calls.fails.add(String(app.journal.written + 1))
    return app.add(id)
  }

  it('is drafted as failed, with a delay that doubles up to its bound, and parked in the end', () => {
    const command = fail('a')
    expect(accept()).toEqual([`${command} failed: again in 100`])
    app.startAgain(command)
    expect(accept()).toEqual([`${command} failed: again in 150`])
    app.startAgain(command)
    expect(accept()).toEqual([`${command} parked after 3`])
  })

  it('holds those behind it on its aggregate, and nobody else', () => {
    const command = fail('a')
    const [behind, other] = app.start(received('a'), received('b')) as [Lsn, Lsn]
    expect(accept()).toEqual([`${command} failed: again in 100`, `${other} completed at 0: 1`])
    calls.fails.clear()
    app.startAgain(command)
    expect(accept()).toEqual([`${command} completed at 0: 1`, `${behind} completed at 1: 1`])
  })

  it('lets those behind it go on once it is parked', () => {
    const command = fail('a')
    const behind = app.add('a')
    for (let i = 0; i < 2; i++) {
      accept()
      app.startAgain(command)
    }
    expect(accept()).toEqual([`${command} parked after 3`, `${behind} completed at 0: 1`])
  })

  it('keeps its aggregate blocked where the aggregate says so, until it is skipped', () => {
    const aggregate = { type: 'blocking', id: 'a' }
    calls.fails.add(String(app.journal.written + 1))
    const [command, behind] = app.start(
      received('a', 'add', { amount: 1 }, { aggregate }),
      received('a', 'add', { amount: 2 }, { aggregate }),
    ) as [Lsn, Lsn]
    expect(accept()).toEqual([`${command} parked after 1, blocks`])
    expect(drafted()).toEqual([])
    app.append({ type: 'command/skipped', command, aggregate, reason: 'x' })
    expect(accept()).toEqual([`${behind} completed at 0: 2`])
  })

  it('goes first when it is retried after it blocked its aggregate', () => {
    const aggregate = { type: 'blocking', id: 'a' }
    calls.fails.add(String(app.journal.written + 1))
    const [command, behind] = app.start(
      received('a', 'add', { amount: 1 }, { aggregate }),
      received('a', 'add', { amount: 2 }, { aggregate }),
    ) as [Lsn, Lsn]
    accept()
    calls.fails.clear()
    app.append({ type: 'command/retried', command, received: received('a', 'add', { amount: 1 }, { aggregate }) })
    expect(accept()).toEqual([])
    app.startAgain(command)
    expect(accept()).toEqual([`${command} completed at 0: 1`, `${behind} completed at 1: 2`])
  })
})

describe('a refused draft', () => {
  it('drops itself and what was decided after it, keeps what was before it, and decides anew from the store', () => {
    const first = app.add('a', 1)
    const kept = app.follower.takeDrafts()
    const second = app.add('a', 2)
    const third = app.add('a', 4)
    const [refused] = app.follower.takeDrafts() as [Entry]
    app.refuse(refused.sequence)
    expect(drafted()).toEqual([])
    app.acceptDrafts(kept)
    expect(drafted()).toEqual([])
    app.store()
    expect(accept()).toEqual([`${second} completed at 1: 2`, `${third} completed at 2: 4`])
    expect(first).toBeLessThan(second)
  })

  it('is answered with the sequence to go on with before anything else is sent', () => {
    app.add('a')
    app.add('b')
    const [refused] = app.follower.takeDrafts() as [Entry]
    app.refuse(refused.sequence)
    const [first] = app.follower.takeDrafts() as [Entry]
    expect(app.follower.resumed).toEqual([{ afterDrafts: 0, sequence: first.sequence }])
  })

  it('leaves other aggregates as they are', () => {
    app.add('b', 5)
    app.acceptDrafts()
    app.add('a')
    const [refused] = app.follower.takeDrafts() as [Entry]
    app.refuse(refused.sequence)
    app.follower.takeDrafts()
    const command = app.add('b', 6)
    expect(drafted().at(-1)).toBe(`${command} completed at 1: 6`)
  })

  it('of a command that was started once more meanwhile leaves it to be decided once, under its new assignment', () => {
    const first = app.add('a', 1)
    app.startAgain(first)
    const second = app.add('a', 2)
    const [outdated] = app.follower.takeDrafts() as [Entry]
    app.refuse(outdated.sequence)
    expect(accept()).toEqual([`${first} completed at 0: 1`, `${second} completed at 1: 2`])
    app.store()
    const third = app.add('a', 4)
    expect(accept()).toEqual([`${third} completed at 2: 4`])
  })

  it('is not decided again when its assignment is over by then', () => {
    const command = app.add('a')
    const [refused] = app.follower.takeDrafts() as [Entry]
    app.append({ type: 'application/deregistered', instance: 'test-1', reason: 'silent' })
    app.refuse(refused.sequence)
    app.store()
    expect(drafted().filter((line) => line.startsWith(`${command} `))).toEqual([])
  })
})

describe('an aggregate that is not in memory', () => {
  it('is restored from what the store holds', () => {
    app.add('a', 3)
    app.acceptDrafts()
    app.store()
    app.otherInstanceComes()
    expect(app.liveAggregates).toBe(0)
    app.store()
    const [command] = app.start(received('a', 'assertValue', { value: 3 }))
    expect(accept()).toEqual([`${command} completed at 1: `])
  })

  it('waits until the store has what this process completed on it', () => {
    app.add('a', 3)
    app.acceptDrafts()
    app.otherInstanceComes()
    const command = app.add('a', 4)
    expect(drafted()).toEqual([])
    app.store(lsn(app.journal.written - 3))
    app.store()
    expect(accept()).toEqual([`${command} completed at 1: 4`])
  })

  it('waits until the store has what others completed in its partition', () => {
    const at = app.append(received('a', 'add', { amount: 7 }), registered('test-2', 5))
    app.append({ type: 'command/started', instance: 'test-2', commands: [at] })
    app.store()
    app.append(completedBy(at, app.journal.written))
    app.append({ type: 'application/deregistered', instance: 'test-2', reason: 'stopped' })
    const command = app.add('a', 1)
    expect(drafted()).toEqual([])
    app.store()
    expect(accept()).toEqual([`${command} completed at 1: 1`])
  })

  it('is dropped from memory when over the bound, but only when it is idle and stored', () => {
    app = ApplicationWorld.registered({ liveBytesMax: 10_000 })
    for (let i = 0; i < 100; i++) app.add(`c${i}`)
    app.store()
    expect(app.liveAggregates).toBe(100)
    app.acceptDrafts()
    app.store(app.filled.applied)
    expect(app.liveAggregates).toBe(100)
    app.store()
    app.store()
    expect(app.liveAggregates).toBeLessThan(20)
    const [command] = app.start(received('c0', 'assertValue', { value: 1 }))
    expect(accept()).toEqual([`${command} completed at 1: `])
  })
})

function completedBy(command: Lsn, release: number): Action {
  return {
    type: 'command/completed',
    command,
    aggregate: { type: 'counter', id: 'a' },
    release: token(release),
    atMs: 0,
    baseRevision: revision(0),
    eventsVersion: 1,
    events: [{ type: 'added', data: { amount: 7 } }],
    latestEvent: { revision: revision(1), type: 'added' },
    idempotencyKey: 'none',
    snapshot: null,
  }
}

describe('an instance that comes or goes', () => {
  it('takes no held aggregate along: a failed command may be decided by somebody else', () => {
    calls.fails.add(String(app.journal.written + 1))
    const command = app.add('a', 7)
    app.acceptDrafts()
    calls.fails.clear()
    app.otherInstanceComes()
    app.append({ type: 'command/started', instance: 'test-2', commands: [command] })
    app.append(completedBy(command, app.journal.written))
    app.append({ type: 'application/deregistered', instance: 'test-2', reason: 'stopped' })
    app.store()
    const [next] = app.start(received('a', 'assertValue', { value: 7 }))
    expect(accept()).toEqual([`${next} completed at 1: `])
  })

  it('leaves alone what is under way here', () => {
    const first = app.add('a', 1)
    app.otherInstanceComes()
    const second = app.add('a', 2)
    expect(accept()).toEqual([`${first} completed at 0: 1`, `${second} completed at 1: 2`])
  })
})

describe('a journal writer that takes nothing for now', () => {
  it('is sent little more than it takes, and the rest in order once it takes more', () => {
    app.follower.takesDrafts = 0
    const commands = app.start(...Array.from({ length: 300 }, (_, i) => received(`c${i % 3}`, 'add', { amount: i })))
    expect(calls.decided).toBe(0)
    app.follower.isWritable = true
    app.runtime.writable()
    app.world.scheduler.settle()
    const actions = app.acceptDrafts() as Extract<Action, { type: 'command/completed' }>[]
    expect(actions.map(({ command }) => command).sort((a, b) => a - b)).toEqual(commands)
    for (const id of ['c0', 'c1', 'c2']) {
      const own = actions.filter(({ aggregate }) => aggregate.id === id)
      expect(own.map(({ baseRevision }) => baseRevision)).toEqual(own.map((_, i) => i))
      expect(own.map(({ command }) => command)).toEqual([...own.map(({ command }) => command)].sort((a, b) => a - b))
    }
  })

  it('is not flooded by large decisions, also after a refusal, and no frame is too large', () => {
    const bytes = 100_000
    app.follower.takesDrafts = 20
    const commands = app.start(...Array.from({ length: 200 }, (_, i) => received(`c${i}`, 'produce', { bytes })))
    expect(app.follower.drafts.length).toBeLessThan(40)
    const [first] = app.follower.drafts as [Entry]
    app.follower.takeDrafts()
    app.refuse(first.sequence)
    expect(app.follower.drafts.length).toBeLessThan(40)
    const done = new Set<number>()
    for (let round = 0; round < 50 && done.size < commands.length; round++) {
      for (const action of app.acceptDrafts()) if (action.type === 'command/completed') done.add(action.command)
      app.runtime.writable()
      app.world.scheduler.settle()
      expect(app.follower.drafts.length).toBeLessThan(40)
    }
    expect(done.size).toBe(commands.length)
    expect(app.follower.largestFrameBytes).toBeLessThan(2_000_000)
  })

  it('keeps the order of an aggregate over its pauses', () => {
    app.follower.takesDrafts = 3
    const first = app.start(...Array.from({ length: 10 }, (_, i) => received('a', 'add', { amount: i })))
    const second = app.start(...Array.from({ length: 10 }, (_, i) => received('a', 'add', { amount: 10 + i })))
    const order: Lsn[] = []
    for (let round = 0; round < 50; round++) {
      for (const action of app.acceptDrafts()) if (action.type === 'command/completed') order.push(action.command)
      app.runtime.writable()
      app.world.scheduler.settle()
    }
    expect(order).toEqual([...first, ...second])
  })
})

describe('a lost connection', () => {
  it('has everything that was under way decided anew once it is started anew, and nothing before', () => {
    const command = app.add('a', 1)
    app.follower.takeDrafts()
    app.runtime.disconnected()
    app.runtime.connected()
    expect(drafted()).toEqual(['application/registered'])
    app.acceptDrafts()
    app.store()
    expect(drafted()).toEqual([])
    app.startAgain(command)
    expect(accept()).toEqual([`${command} completed at 0: 1`])
  })
})
