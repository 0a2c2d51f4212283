import { describe, expect, it } from 'vitest'
import { defineWorkflow } from '../../../src/index.ts'
import type { AnyWorkflow, WorkflowContext } from '../../../src/sdk/workflow-types.ts'
import { waitingOf } from '../../../src/workflows/workflow-waiting.ts'
import { startMs, WorkflowWorld } from './workflow-world.ts'

type Run = (context: WorkflowContext) => Promise<unknown>
const flow = (run: Run): AnyWorkflow => defineWorkflow({ name: 'flow', run })
const started = (run: Run): Promise<WorkflowWorld> => WorkflowWorld.started(flow(run))
const shown = ({ key, state }: WorkflowWorld): string[] =>
  waitingOf(key, state).map(({ kind, operation }) => `${kind} ${operation}`)

const limit = { timeoutMs: 60_000 }

describe('a signal without a time limit', () => {
  it('is shown from when the workflow came to rest for it until it has come', async () => {
    const world = await started((context) => context.signal('approve'))
    expect(world.types).toEqual(['workflow/started', 'signal/awaited'])
    expect(waitingOf(world.key, world.state)).toEqual([
      { kind: 'signal', operation: 'signal/approve#1', since: new Date(startMs + 2).toISOString(), dueAt: null },
    ])
    await world.command('signal', { name: 'other' })
    expect(shown(world)).toEqual(['signal signal/approve#1'])
    await world.command('signal', { name: 'approve', data: 1 })
    expect(world.state).toMatchObject({ status: 'completed', result: 1, operations: {} })
  })

  it('that was there before is not waited for, and nothing is said of it', async () => {
    const world = await started(async (context) => {
      await context.request('a', () => '')
      await context.signal('go')
      return context.request('b', () => '')
    })
    await world.command('signal', { name: 'go' })
    await world.complete('request/a#1')
    expect(world.types).not.toContain('signal/awaited')
  })

  it('is said together with a request that begins beside it', async () => {
    const world = await started((context) => context.all([context.request('a', () => ''), context.signal('go')]))
    expect(world.types).toEqual(['workflow/started', 'request/started', 'signal/awaited'])
  })

  it('has no entry of its own while a request is under way, but is said in the next one', async () => {
    const world = await started((context) =>
      context.all([context.request('slow', () => ''), context.signal('first').then(() => context.signal('second'))]),
    )
    await world.command('signal', { name: 'first' })
    expect(world.history.at(-1)?.type).toBe('signal/received')
    expect(shown(world)).toEqual([])
    await world.complete('request/slow#1')
    expect(world.types.slice(-2)).toEqual(['request/completed', 'signal/awaited'])
    expect(shown(world)).toEqual(['signal signal/second#1'])
  })

  it('that came before it could be said was never waited for', async () => {
    const world = await started((context) =>
      context.all([context.request('slow', () => ''), context.signal('first').then(() => context.signal('second'))]),
    )
    await world.command('signal', { name: 'first' })
    await world.command('signal', { name: 'second' })
    await world.complete('request/slow#1')
    expect(world.state).toMatchObject({ status: 'completed', operations: {} })
    expect(world.types.filter((type) => type === 'signal/awaited')).toHaveLength(1)
  })

  it('ends the wait that began first, of its name only, whatever order they are said in', async () => {
    const world = await started((context) =>
      context.all([context.signal('a'), context.signal('a#1'), context.signal('a'), context.signal('b')]),
    )
    await world.command('signal', { name: 'a' })
    expect(shown(world)).toEqual(['signal signal/a#1#1', 'signal signal/a#2', 'signal signal/b#1'])
    await world.command('signal', { name: 'a#1' })
    expect(shown(world)).toEqual(['signal signal/a#2', 'signal signal/b#1'])
  })

  it.each<[string, Run, string[][]]>([
    [
      'with a limit before one without',
      (context) => context.all([context.signal('a', limit), context.signal('a'), context.sleep(1)]),
      [['signal/a#2'], []],
    ],
    [
      'without a limit before one with',
      (context) => context.all([context.signal('a'), context.signal('a', limit), context.sleep(1)]),
      [['signal/a#2'], []],
    ],
  ])('of two of one name, %s, ends the first one', async (_, run, left) => {
    const world = await started(run)
    for (const expected of left) {
      await world.command('signal', { name: 'a' })
      expect(shown(world)).toEqual([...expected.map((one) => `signal ${one}`), 'timer timer/sleep#1'].sort())
      expect(world.waiting).toEqual(expect.arrayContaining(expected))
    }
  })

  it('of which two come in one turn ends two waits, though the first has a limit whose end is not recorded yet', async () => {
    const world = await started((context) =>
      context.all([context.signal('a', limit), context.signal('a'), context.sleep(1)]),
    )
    // The second is decided before the code has come to what follows from the first.
    const came = { type: 'signal/received', data: { name: 'a', data: null, atMs: world.nowMs } } as const
    world.know([came, came])
    await world.restart()
    expect(shown(world)).toEqual(['timer timer/sleep#1'])
  })

  it.each<[string, (world: WorkflowWorld) => Promise<unknown>]>([
    ['is cancelled', (world) => world.command('cancel', {})],
    ['is cancelled by force', (world) => world.command('cancel', { force: true })],
  ])('is not waited for any more when the workflow %s', async (_, end) => {
    const world = await started((context) => context.signal('go'))
    await end(world)
    expect(world.state).toMatchObject({ status: 'cancelled', operations: {} })
  })

  it('is left behind by continueAsNew', async () => {
    const world = await started(async (context) => {
      if (context.workflow.run === 2) return context.sleep(5)
      await context.race([context.signal('go'), context.sleep(1)])
      return context.continueAsNew(null)
    })
    await world.fire('timer/sleep#1')
    expect(shown(world)).toEqual(['timer timer/sleep#1'])
    expect(world.state.run).toBe(2)
  })
})

describe('a history in which nothing is said of waiting for signals, as it was written before', () => {
  const run: Run = async (context) => {
    await context.signal('first')
    return context.all([context.request('a', () => ''), context.signal('second')])
  }

  it('gives the same place and the same state, and the wait is said from when the workflow goes on', async () => {
    const former = await started(run)
    await former.command('signal', { name: 'first' })
    const { state } = former
    const world = new WorkflowWorld(flow(run))
    world.know(former.history.filter(({ type }) => type !== 'signal/awaited'))
    expect(world.state).toEqual({ ...state, operations: { 'request/a#1': state.operations['request/a#1'] } })
    await world.restart()
    expect(world.waiting).toEqual(['request/a#1', 'signal/second#1'])
    expect(world.history.at(-1)?.type).toBe('request/started')
    await world.complete('request/a#1')
    expect(shown(world)).toEqual(['signal signal/second#1'])
    await world.command('signal', { name: 'second', data: 2 })
    expect(world.state.result).toEqual([null, 2])
  })
})

describe('code that was changed', () => {
  it.each<[string, Run]>([
    ['no longer waits for the signal', (context) => context.sleep(10)],
    ['waits for another one', (context) => context.signal('other')],
    ['waits for it with a time limit', (context) => context.signal('go', limit)],
  ])('goes on where it %s: that was never held against it', async (_, run) => {
    const world = await started((context) => context.signal('go'))
    await world.restart(flow(run))
    expect(world.state.status).toBe('running')
  })
})
