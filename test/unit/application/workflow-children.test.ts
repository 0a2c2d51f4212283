import { expect, it } from 'vitest'
import { parseAggregateKey } from '../../../src/actions/aggregate-key.ts'
import { unpack } from '../../../src/actions/message-pack.ts'
import { defineWorkflow } from '../../../src/index.ts'
import type { AnyWorkflow } from '../../../src/sdk/workflow-types.ts'
import { summaryOf, WorkflowWorld } from './workflow-world.ts'

/** Asks for a child that waits, with the id `taken`. */
function worldOfParents(): WorkflowWorld {
  const w: AnyWorkflow = defineWorkflow({
    name: 'w',
    run: async (context, input: 'parent' | 'waits') =>
      input === 'waits' ? context.signal('go') : context.executeChild(w, 'taken', 'waits' as never),
  })
  return new WorkflowWorld([w])
}

/** Forwards what entries have sent, as the dispatcher does. */
async function forward(world: WorkflowWorld): Promise<string[]> {
  const events: string[] = []
  for (;;) {
    const [message] = [...world.app.runtime.state.outbox.bySource.values()].flat()
    if (message === undefined) return events
    const { to, command, data, source, index, reply } = message
    const { id } = parseAggregateKey(to)
    const forwarded = { forwarded: { source, index }, ...(reply === null ? {} : { reply }) }
    await world.send(command, unpack(data, 0, data.length), undefined, id, forwarded)
    events.push(...summaryOf(await world.store()).map((event) => `${id}: ${event}`))
  }
}

it('is not cancelled by a parent that asked for a child of its id', async () => {
  const world = worldOfParents()
  await world.send('start', { input: 'waits' }, undefined, 'taken')
  await world.store()
  await world.start('parent')
  await world.store()
  // Before the parent hears that the id is taken.
  await world.send('cancel', {})
  const own = summaryOf(await world.store())
  expect(own).toContain('workflow/cancelled')
  expect(await forward(world)).not.toContain('taken: workflow/cancel-requested')
})

it('is cancelled with its parent', async () => {
  const world = worldOfParents()
  await world.start('parent')
  await world.store()
  await forward(world)
  await world.send('cancel', {})
  await world.store()
  const events = await forward(world)
  expect(events).toContain('taken: workflow/cancel-requested')
  expect(events).toContain('taken: workflow/cancelled')
})
