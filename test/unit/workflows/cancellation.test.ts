import { describe, expect, it } from 'vitest'
import { defineWorkflow, type TerminalError } from '../../../src/index.ts'
import type { AnyWorkflow, WorkflowContext } from '../../../src/sdk/workflow-types.ts'
import { WorkflowWorld } from './workflow-world.ts'

type Run = (context: WorkflowContext) => Promise<unknown>
const flow = (run: Run, timeoutMs?: number): AnyWorkflow =>
  defineWorkflow({ name: 'flow', run, ...(timeoutMs === undefined ? {} : { timeoutMs }) })
const started = (run: Run): Promise<WorkflowWorld> => WorkflowWorld.started(flow(run))
const child = defineWorkflow({ name: 'child', run: async (_, input: number) => input })

const waits: readonly (readonly [string, Run])[] = [
  ['a request', (context) => context.request('a', () => '')],
  ['a timer', (context) => context.sleep(1000)],
  ['a signal', (context) => context.signal('a')],
  ['a signal with a time limit', (context) => context.signal('a', { timeoutMs: 1000 })],
  ['an awakeable', (context) => context.awakeable().value],
  ['a command', (context) => context.command('stock', '1', 'take')],
  ['a child', (context) => context.executeChild(child, 'c', 1)],
  ['several of them', (context) => context.all([context.sleep(5), context.request('a', () => '')])],
]

describe('a cancellation', () => {
  it.each(waits)('ends one that waits for %s, and leaves nothing behind', async (_, run) => {
    const world = await started(run)
    await world.command('cancel', { reason: 'enough' })
    expect(world.last('workflow/cancelled')).toMatchObject({
      error: { code: 'cancelled', message: 'enough' },
      timers: [],
    })
    expect(world.state.operations).toEqual({})
  })

  it.each(waits)('ends one that waits for %s after a crash, too', async (_, run) => {
    const world = await started(run)
    await world.restart()
    await world.command('cancel', {})
    expect(world.state.status).toBe('cancelled')
  })

  it('names the timers that nobody waits for any more', async () => {
    const world = await started((context) => context.all([context.sleep(5), context.signal('a', { timeoutMs: 1000 })]))
    await world.command('cancel', {})
    const request = world.history.find(({ type }) => type === 'workflow/cancel-requested')
    expect(request?.data).toMatchObject({
      timers: [
        ['timer/sleep#1', expect.any(Number)],
        ['signal/a#1', expect.any(Number)],
      ],
    })
  })

  it('can be caught, for a while, and what was begun then is waited for', async () => {
    const world = await started(async (context) => {
      try {
        await context.sleep(1000)
      } catch (error) {
        if (!context.isCancelled) throw error
        await context.request('tidy', () => '')
        throw error
      }
    })
    await world.command('cancel', {})
    expect(world.waiting).toEqual(['request/tidy#1'])
    await world.command('cancel', {})
    expect(world.waiting).toEqual(['request/tidy#1'])
    await world.complete('request/tidy#1')
    expect(world.state.status).toBe('cancelled')
  })

  it('that is swallowed lets the workflow complete', async () => {
    const world = await started((context) => context.sleep(1000).catch(() => 'anyhow'))
    await world.command('cancel', {})
    expect(world.last('workflow/completed').result).toBe('anyhow')
  })

  it('aborts the signal and shows in isCancelled', async () => {
    const seen: unknown[] = []
    const world = await started(async (context) => {
      seen.push(context.isCancelled, context.abortSignal.aborted)
      await context.sleep(1000).catch(() => {})
      seen.push(context.isCancelled, context.abortSignal.aborted, (context.abortSignal.reason as TerminalError).code)
    })
    await world.command('cancel', {})
    expect(seen).toEqual([false, false, true, true, 'cancelled'])
  })

  it('undoes what was done before', async () => {
    const world = await started(async (context) => {
      await context.request('a', () => '', { compensate: () => null })
      await context.sleep(1000)
    })
    await world.complete('request/a#1')
    await world.command('cancel', {})
    expect(world.waiting).toEqual(['compensation/a#1'])
    await world.complete('compensation/a#1')
    expect(world.state.status).toBe('cancelled')
  })

  it('by force asks no code, and undoes nothing', async () => {
    const world = await started(async (context) => {
      await context.request('a', () => '', { compensate: () => null })
      await context.sleep(1000)
    })
    await world.complete('request/a#1')
    await world.command('cancel', { force: true })
    expect(world.last('workflow/cancelled').timers).toEqual([['timer/sleep#1', expect.any(Number)]])
  })

  it('of one that was parked has it go on, to its end', async () => {
    const world = await started(async (context) => {
      await context.request('a', () => '', { compensate: () => null })
      await context.request('b', () => '')
    })
    await world.complete('request/a#1')
    await world.happen({
      type: 'workflow/parked',
      data: { error: { code: 'Error', message: '' }, operation: null, atMs: world.nowMs },
    })
    await world.command('cancel', {})
    expect(world.waiting).toEqual(['compensation/a#1'])
  })

  it('of one that is undone already ends what the failure has left behind, its child as well, and nothing of what undoes', async () => {
    const world = await started(async (context) => {
      await context.request('a', () => '', { compensate: () => null })
      await context.all([
        context.request('fails', () => ''),
        context.signal('come').then(() => context.request('late', () => '')),
        context.executeChild(child, 'c', 1),
      ])
    })
    await world.complete('request/a#1')
    await world.fail('request/fails#1', 'declined')
    expect(world.waiting).toEqual(['signal/come#1', 'child/child/c#1', 'compensation/a#1'])
    await world.command('cancel', {})
    expect(world.waiting).toEqual(['compensation/a#1', 'command/cancel child/child/c#1#1'])
    expect(Object.keys(world.state.operations)).toEqual(world.waiting)
    expect(world.messages.at(-1)).toMatchObject({ to: { type: 'workflow:child', id: 'c' }, command: 'cancel' })
    await world.command('signal', { name: 'come', data: null })
    expect(world.waiting).not.toContain('request/late#1')
    await world.restart()
    await world.complete('compensation/a#1')
    expect(world.last('workflow/failed')).toMatchObject({ error: { code: 'declined' } })
  })

  it('of one that was parked by what its code threw undoes what it did until then, and ends it', async () => {
    const run: Run = async (context) => {
      const got = await context.request<number>('a', () => 1, { compensate: () => null })
      await context.sleep(5)
      if (got === 1) throw new TypeError('a mistake')
      return context.request('b', () => '')
    }
    const world = await started(run)
    await world.complete('request/a#1', 1)
    await world.fire('timer/sleep#1')
    expect(world.last('workflow/parked')).toMatchObject({ error: { code: 'TypeError', message: 'a mistake' } })
    await world.command('cancel', { reason: 'enough' })
    expect(world.waiting).toEqual(['compensation/a#1'])
    await world.restart()
    expect(world.waiting).toEqual(['compensation/a#1'])
    await world.complete('compensation/a#1')
    expect(world.last('workflow/cancelled')).toMatchObject({ error: { code: 'cancelled', message: 'enough' } })
  })

  it('of one that was parked and mended meanwhile is told to its code', async () => {
    let isBroken = true
    const world = await started(async (context) => {
      await context.request('a', () => 1, { compensate: () => null })
      if (isBroken) throw new TypeError('a mistake')
      await context.request('b', () => '')
    })
    await world.complete('request/a#1', 1)
    isBroken = false
    await world.command('retry', {})
    expect(world.waiting).toEqual(['request/b#1'])
    isBroken = true
    await world.command('cancel', {})
    expect(world.waiting).toEqual(['compensation/a#1'])
  })

  it('of one whose code does not match its history leaves it parked, for a person', async () => {
    let isChanged = false
    const world = await started(async (context) => (isChanged ? context.sleep(5) : context.request('a', () => 1)))
    isChanged = true
    await world.restart()
    expect(world.last('workflow/parked')).toMatchObject({ error: { code: 'non_determinism' } })
    await world.command('cancel', {})
    expect(world.last('workflow/parked')).toMatchObject({ error: { code: 'non_determinism' } })
    expect(world.state).toMatchObject({ status: 'parked', isCancelled: true })
    await world.command('cancel', { force: true })
    expect(world.state.status).toBe('cancelled')
  })

  it('of what has ended is refused, as of what there is not', async () => {
    const world = await started(async () => 1)
    expect(await world.command('cancel', {})).toBe('workflow_ended')
    expect(await world.command('cancel', { force: true })).toBe('workflow_ended')
    expect(world.state.status).toBe('completed')
    const parent = { key: 'workflow:other/1', operation: 'child/flow/1#1' }
    expect(await world.command('cancel', { parent })).toBe(null)
    expect(await new WorkflowWorld(flow(async () => 1)).command('cancel', {})).toBe('workflow_unknown')
  })

  describe('reaches a child', () => {
    const operation = 'child/child/c#1'
    const cancels = (world: WorkflowWorld): unknown[] => world.messages.filter(({ command }) => command === 'cancel')

    it('when the parent ends at once', async () => {
      const world = await started((context) => context.executeChild(child, 'c', 1))
      await world.command('commandEnded', { operation, command: 5, outcome: 'completed' })
      await world.command('cancel', { reason: 'enough' })
      expect(world.state.status).toBe('cancelled')
      expect(cancels(world)).toMatchObject([{ to: { type: 'workflow:child', id: 'c' } }])
    })

    it('when the parent has something to undo, once', async () => {
      const world = await started(async (context) => {
        await context.request('a', () => '', { compensate: () => null })
        await context.executeChild(child, 'c', 1)
      })
      await world.complete('request/a#1')
      await world.command('cancel', {})
      await world.complete('compensation/a#1')
      expect(world.state.status).toBe('cancelled')
      expect(cancels(world)).toHaveLength(1)
    })

    it('of this parent alone: one with the same id that somebody else has started goes on', async () => {
      const parent = { key: 'workflow:flow/1', operation }
      const stranger = new WorkflowWorld(defineWorkflow({ name: 'child', run: (context) => context.sleep(1000) }))
      await stranger.command('start', { input: 1 })
      await stranger.command('cancel', { parent })
      expect(stranger.state.status).toBe('running')
      const own = new WorkflowWorld(defineWorkflow({ name: 'child', run: (context) => context.sleep(1000) }))
      await own.command('start', { input: 1, parent })
      await own.command('cancel', { parent })
      expect(own.state.status).toBe('cancelled')
    })

    it('that was never asked for not at all', async () => {
      const world = await started(async (context) => {
        await context.sleep(1000).catch(() => {})
        await context.executeChild(child, 'c', 1)
      })
      await world.command('cancel', {})
      expect(world.waiting).toEqual([operation])
      expect(cancels(world)).toEqual([])
    })
  })
})

describe('the time limit of a workflow', () => {
  it('fails it, and undoes what was done', async () => {
    const world = await WorkflowWorld.started(
      flow(async (context) => {
        await context.request('a', () => '', { compensate: () => null })
        await context.sleep(1_000_000)
      }, 60_000),
    )
    await world.complete('request/a#1')
    await world.fire('timeout')
    expect(world.waiting).toEqual(['compensation/a#1'])
    await world.complete('compensation/a#1')
    expect(world.last('workflow/failed').error).toMatchObject({ code: 'timeout', message: /60000 ms/ })
    expect(world.state.isCancelled).toBe(false)
  })

  it('is left behind by one that ends in time', async () => {
    const world = await WorkflowWorld.started(flow(async () => 1, 60_000))
    expect(world.last('workflow/completed').timers).toEqual([['timeout', expect.any(Number)]])
  })

  it('is that of all runs together', async () => {
    const world = await WorkflowWorld.started(
      flow(async (context) => {
        await context.sleep(1000)
        if (context.workflow.run === 1) context.continueAsNew(null)
      }, 60_000),
    )
    const { timeoutAtMs } = world.state
    await world.fire('timer/sleep#1')
    expect(world.state).toMatchObject({ run: 2, timeoutAtMs })
    await world.fire('timeout')
    expect(world.last('workflow/failed').error.code).toBe('timeout')
  })
})
