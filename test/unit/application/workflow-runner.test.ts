import { describe, expect, it } from 'vitest'
import { defineWorkflow } from '../../../src/index.ts'
import type { WorkflowContext } from '../../../src/sdk/workflow-types.ts'
import { registered } from '../role-world.ts'
import type { WorldOptions } from './application-world.ts'
import { summaryOf, WorkflowWorld } from './workflow-world.ts'

type Run = (context: WorkflowContext, world: WorkflowWorld, input: unknown) => Promise<unknown>

function worldOf(run: Run, options: WorldOptions = {}): WorkflowWorld {
  const workflow = defineWorkflow({
    name: 'w',
    run: (context, input: unknown) => run(context, world, input),
    retry: { maxAttempts: 2, initialDelayMs: 10 },
  })
  const world: WorkflowWorld = new WorkflowWorld([workflow], options)
  return world
}

describe('a workflow', () => {
  it('begins an effect only when the entry that started it is flushed, and records its result', async () => {
    const world = worldOf((context) => context.request('pay', world.effect('pay')))
    await world.start()
    await world.accept()
    await world.accept()
    expect(world.effects).toEqual([])
    world.flush()
    expect(world.effects).toMatchObject([{ key: 'database/w/a/1/request/pay#1', attempt: 1 }])
    world.effects[0]?.done(7)
    expect(summaryOf(await world.write())).toEqual(['request/completed request/pay#1', 'workflow/completed'])
    expect(world.app.runtime.state.activations.byKey.size).toBe(0)
  })

  it('that is parked goes on from the failed request when it is retried, also before the store has it', async () => {
    const world = worldOf((context) => context.request('pay', world.effect('pay')))
    await world.start()
    await world.write()
    world.effects[0]?.failed(new Error('no'))
    await world.write()
    await world.advance(20)
    await world.write()
    world.effects[1]?.failed(new Error('no'))
    expect(summaryOf(await world.write()).at(-1)).toBe('workflow/parked request/pay#1')
    expect(world.app.runtime.state.activations.byKey.size).toBe(0)
    await world.send('retry', {})
    await world.store()
    await world.store()
    expect(world.effects[2]).toMatchObject({ key: 'database/w/a/1/request/pay#1', attempt: 3 })
    world.effects[2]?.done(1)
    expect(summaryOf(await world.write())).toEqual(['request/completed request/pay#1', 'workflow/completed'])
  })

  it('takes the same way again when several effects end in one turn', async () => {
    const calls: string[] = []
    const world = worldOf(async (context) => {
      const slow = async (): Promise<unknown> => {
        await context.request('a', () => 1)
        for (let i = 0; i < 20; i++) await null
        return context.request(
          'next',
          ({ effectKey }) => calls.push(`slow ${effectKey}`) && world.effect('slow')({ effectKey } as never),
        )
      }
      const fast = async (): Promise<unknown> => {
        await context.request('b', () => 1)
        return context.request(
          'next',
          ({ effectKey }) => calls.push(`fast ${effectKey}`) && world.effect('fast')({ effectKey } as never),
        )
      }
      return Promise.all([slow(), fast()])
    })
    await world.start()
    await world.store()
    const before = [...calls]
    await world.crash()
    calls.splice(0)
    await world.resume()
    await world.store()
    await world.store()
    expect(calls.sort()).toEqual(before.sort())
    expect(calls).toHaveLength(2)
  })

  it('that goes on in a new run begins no effect of the former one', async () => {
    const begun: unknown[] = []
    const world = worldOf(async (context, _, input) => {
      const value = context.request('pay', async ({ effectKey }) => {
        begun.push([input, effectKey])
        return world.effect('pay')({ effectKey } as never)
      })
      if (input === 'first') {
        await context.signal('go')
        context.continueAsNew('second')
      }
      return value
    })
    await world.start('first')
    // The signal is decided before the step that starts the request is written.
    await world.send('signal', { name: 'go' })
    expect(world.app.follower.drafts.length).toBeGreaterThan(0)
    await world.write()
    expect(begun).toEqual([['second', 'database/w/a/2/request/pay#1']])
  })

  it('says what signal it waits for in the entry by which it comes to rest, which nobody waits for', async () => {
    const world = worldOf((context) => context.signal('go'))
    await world.start()
    const [completed, ...steps] = await world.write()
    expect(completed?.type).toBe('command/completed')
    expect(steps).toMatchObject([{ type: 'workflow/advanced', events: [{ type: 'signal/awaited' }] }])
    expect(world.app.runtime.state.activations.byKey.size).toBe(0)
  })

  it('writes nothing for a signal that it begins to wait for while an effect is under way', async () => {
    const world = worldOf((context) =>
      context.all([
        context.request('pay', world.effect('pay')),
        context.signal('first').then(() => context.signal('second')),
      ]),
    )
    await world.start()
    await world.write()
    await world.send('signal', { name: 'first' })
    expect((await world.write()).map(({ type }) => type)).toEqual(['command/completed'])
    world.effects[0]?.done()
    expect(summaryOf(await world.write())).toEqual([
      'request/completed request/pay#1',
      'signal/awaited signal/second#1',
    ])
  })

  it('tells its code the same time whenever it runs', async () => {
    const times: number[][] = []
    const world = worldOf(async (context) => {
      const own: number[] = [context.now()]
      times.push(own)
      await context.signal('go')
      own.push(context.now())
      await context.request('pay', world.effect('pay'))
    })
    await world.send('start', { input: null }, world.app.world.nowMs - 100)
    await world.store()
    // Received before its code began to wait for it, by the clock of another process.
    await world.send('signal', { name: 'go' }, world.app.world.nowMs - 45)
    await world.store()
    await world.crash()
    await world.resume()
    await world.store()
    expect(times).toHaveLength(2)
    expect(times[1]).toEqual(times[0])
  })

  it('that was cancelled as its code went on in a new run is cancelled there', async () => {
    const world = worldOf(async (context, _, input) => {
      await context.request('pay', world.effect('pay'))
      if (input === 'first') context.continueAsNew('second')
      return 'done'
    })
    await world.start('first')
    await world.write()
    // In one turn: the code comes to its end first, and then hears of it.
    world.effects[0]?.done()
    await null
    await world.send('cancel', {})
    const events = summaryOf(await world.write())
    expect(events.at(-1)).toBe('workflow/cancelled')
  })

  it('hears in the next run of a signal that the run before did not wait for', async () => {
    const world = worldOf(async (context, _, input) => {
      if (input === 'first') {
        await context.request('pay', world.effect('pay'))
        context.continueAsNew('second')
      }
      return context.signal('go')
    })
    await world.start('first')
    await world.write()
    await world.send('signal', { name: 'go', data: 5 })
    await world.write()
    world.effects[0]?.done()
    expect(summaryOf(await world.write()).at(-1)).toBe('workflow/completed')
  })

  it('is in memory once, also when an instance comes while it waits for the store', async () => {
    const world = worldOf(async (context) => {
      await context.request('pay', world.effect('pay'))
      await context.signal('go')
    })
    await world.start()
    await world.crash({ isStored: false })
    await world.resume()
    world.append(registered('test-2', 5))
    await world.store()
    world.effects[0]?.done()
    await world.write()
    await world.send('signal', { name: 'go' })
    const actions = await world.store()
    const [signalled] = actions.filter(({ type }) => type === 'command/completed')
    expect(signalled).toMatchObject({ baseRevision: 5 })
    expect(summaryOf(actions).at(-1)).toBe('workflow/completed')
  })

  it('that was cancelled takes no result of an effect that ends in the same turn', async () => {
    const world = worldOf(async (context) => {
      await context.request('pay', world.effect('pay'))
    })
    await world.start()
    await world.write()
    const cancelled = world.send('cancel', {})
    world.effects[0]?.done()
    await cancelled
    const events = summaryOf(await world.write())
    expect(events.at(-1)).toBe('workflow/cancelled')
    expect(events).not.toContain('workflow/parked')
  })

  it('does not wait for a clock that was put back', async () => {
    let offsetMs = 0
    const world = worldOf(async (context) => {
      await context.request('pay', world.effect('pay'))
      await context.sleep(1_000)
    })
    const { clock } = world.app.world.environment
    const { wallMs } = clock
    Object.assign(clock, { wallMs: () => wallMs() + offsetMs })
    await world.start()
    await world.write()
    offsetMs = -3_600_000
    world.effects[0]?.done()
    const actions = await world.write()
    const timer = WorkflowWorld.eventsOf(actions).find(({ type }) => type === 'timer/started')
    const started = timer?.data as { dueMs: number; atMs: number } | undefined
    expect(started?.dueMs).toBe((started?.atMs ?? 0) + 1_000)
  })
})
