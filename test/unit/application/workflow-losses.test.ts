import { describe, expect, it } from 'vitest'
import type { Action } from '../../../src/actions/action.ts'
import { defineWorkflow } from '../../../src/index.ts'
import type { WorkflowContext } from '../../../src/sdk/workflow-types.ts'
import { registered } from '../role-world.ts'
import type { WorldOptions } from './application-world.ts'
import { summaryOf, WorkflowWorld } from './workflow-world.ts'

type Run = (context: WorkflowContext, world: WorkflowWorld) => Promise<unknown>

function worldOf(run: Run, options: WorldOptions = {}, version = 1): WorkflowWorld {
  const workflow = defineWorkflow({ name: 'w', version, run: (context) => run(context, world) })
  const world: WorkflowWorld = new WorkflowWorld([workflow], options)
  return world
}

const onePayment: Run = (context, world) => context.request('pay', world.effect('pay'))

describe('a step whose draft is refused', () => {
  it('is dropped with all that was built on it, and its effect is not begun', async () => {
    const world = worldOf(onePayment)
    await world.start()
    // The command becomes an entry; the step behind it does not.
    const [command, step] = world.app.follower.takeDrafts()
    expect(step?.action.type).toBe('workflow/advanced')
    world.app.refuse(command?.sequence ?? 0)
    world.flush()
    await world.settle()
    expect(world.effects).toEqual([])
  })

  it('is taken again once the workflow is assigned anew', async () => {
    const world = worldOf(onePayment)
    await world.start()
    const [command, step] = world.app.follower.takeDrafts()
    await world.enter([command])
    world.app.refuse(step?.sequence ?? 0)
    const again = summaryOf(await world.store())
    expect(again).toEqual(['request/started request/pay#1 1'])
    expect(world.effects).toMatchObject([{ key: 'database/w/a/1/request/pay#1', attempt: 1 }])
  })
})

describe('a lost connection', () => {
  it('leaves an effect under way to whoever resumes its workflow, and takes no result of it', async () => {
    const world = worldOf(onePayment)
    await world.start()
    await world.store()
    const [before] = world.effects
    world.app.runtime.disconnected()
    world.app.runtime.connected()
    await world.store()
    expect(before?.signal.aborted).toBe(true)
    before?.done('too late')
    expect(await world.store()).toEqual([])
    await world.resume()
    await world.store()
    expect(world.effects[1]).toMatchObject({ key: 'database/w/a/1/request/pay#1', attempt: 2 })
  })
})

describe('a workflow that waits to be resumed', () => {
  it('takes what comes meanwhile, and its code hears of it when it runs', async () => {
    const world = worldOf(async (context) => {
      await context.request('pay', world.effect('pay'))
      return context.signal('go')
    })
    await world.start()
    await world.store()
    await world.crash()
    await world.send('signal', { name: 'go', data: 'came' })
    expect(summaryOf(await world.store())).toEqual(['signal/received'])
    expect(world.effects).toEqual([])
    await world.resume()
    await world.store()
    world.effects[0]?.done()
    expect(summaryOf(await world.store())).toEqual(['request/completed request/pay#1', 'workflow/completed'])
  })

  it('that is cancelled by force meanwhile has ended', async () => {
    const world = worldOf(onePayment)
    await world.start()
    await world.store()
    await world.crash()
    await world.send('cancel', { force: true })
    expect(summaryOf(await world.store())).toEqual(['workflow/cancelled'])
    expect(world.app.runtime.state.activations.byKey.size).toBe(0)
  })
})

describe('a workflow whose code is not in memory', () => {
  it('hears of what comes to it as one whose code is', async () => {
    const world = worldOf((context) => context.signal('go'), { liveBytesMax: 1 })
    await world.start()
    await world.store()
    world.append(registered('test-2', 5))
    await world.store()
    expect(world.app.liveAggregates).toBe(0)
    await world.send('signal', { name: 'go', data: 1 })
    expect(summaryOf(await world.store())).toEqual(['signal/received', 'workflow/completed'])
  })

  it('is parked where its version is missing', async () => {
    const world = worldOf(onePayment, {}, 2)
    await world.start()
    const started = world.app.follower.drafts[0]?.action as Extract<Action, { type: 'command/completed' }>
    const [event] = started.events
    // As if the first version had started it, and is gone from the application.
    Object.assign(event?.data as object, { version: 1 })
    world.app.follower.takeDrafts()
    await world.enterAction(started)
    await world.crash()
    await world.resume()
    const [parked] = WorkflowWorld.eventsOf(await world.store())
    expect(parked).toMatchObject({ type: 'workflow/parked', data: { error: { code: 'version_missing' } } })
    expect(world.effects).toEqual([])
  })
})

describe('a step that is too large for one entry', () => {
  it('is written as several, of which the last one begins its effects', async () => {
    const world = worldOf(async (context) => {
      const text = 'x'.repeat(300_000)
      for (let i = 0; i < 6; i++) void context.command('counter', `${i}`, 'add', { text })
      await context.request('pay', world.effect('pay'))
    })
    await world.start()
    const steps = (await world.write()).filter(({ type }) => type === 'workflow/advanced')
    expect(steps.length).toBeGreaterThan(1)
    expect(world.effects).toHaveLength(1)
    expect(world.app.runtime.state.outbox.size).toBe(6)
  })
})
