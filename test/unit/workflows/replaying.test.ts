import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { defineWorkflow, type TerminalError } from '../../../src/index.ts'
import type { AnyWorkflow, WorkflowContext } from '../../../src/sdk/workflow-types.ts'
import { outlivesRun } from '../../../src/workflows/operation.ts'
import type { WorkflowEvent } from '../../../src/workflows/workflow-events.ts'
import { awakeablePlace } from '../../../src/workflows/workflow-names.ts'
import { replayed, startMs, WorkflowWorld } from './workflow-world.ts'

type Run = (context: WorkflowContext, input: never) => Promise<unknown>
const flow = (run: Run, version = 1): AnyWorkflow => defineWorkflow({ name: 'flow', version, run })
const started = (run: Run, input: unknown = null): Promise<WorkflowWorld> => WorkflowWorld.started(flow(run), input)

describe('continueAsNew', () => {
  const run: Run = async (context, left: number) => {
    context.setStatus(left)
    await context.request('step', () => '')
    if (left > 0) context.continueAsNew(left - 1)
    return [context.workflow.run, left]
  }

  it('begins again with an empty history under the same id', async () => {
    const world = await started(run, 2)
    for (const n of [1, 2, 3]) {
      expect(world.state.run).toBe(n)
      expect(world.waiting).toEqual(['request/step#1'])
      await world.complete('request/step#1')
    }
    expect(world.last('workflow/completed').result).toEqual([3, 0])
    expect(world.state).toMatchObject({ completedRequests: 3, runRevision: 9 })
  })

  it('needs only the run that is under way to go on after a crash', async () => {
    const world = await started(run, 1)
    await world.complete('request/step#1')
    await world.restart()
    expect(world.waiting).toEqual(['request/step#1'])
    await world.complete('request/step#1')
    expect(world.state.status).toBe('completed')
  })

  it('leaves timers and what is under way behind, and is not cancelled any more', async () => {
    const world = await started(async (context, left: number) => {
      if (left === 0) return context.sleep(7)
      await context.race([context.sleep(1000), context.signal('go')]).catch(() => null)
      return context.continueAsNew(0)
    }, 1)
    await world.command('cancel', {})
    expect(world.state).toMatchObject({ run: 2, isCancelled: false })
    expect(Object.keys(world.state.operations)).toEqual(['timer/sleep#1'])
  })

  it('takes no answer to the run before for one to its own', async () => {
    const ids: string[] = []
    const world = await started(async (context, left: number) => {
      const called = context.awakeable()
      ids.push(called.id)
      const asked = context.all([
        context.command('stock', '1', 'take'),
        context.executeChild(child, 'c', 1),
        called.value,
      ])
      if (left === 0) return asked
      await context.signal('go')
      return context.continueAsNew(0)
    }, 1)
    await world.command('signal', { name: 'go' })
    const [first = '', second = ''] = ids.map((id) => awakeablePlace(id)?.operation)
    const operations = world.messages.map(({ operation = '' }) => operation)
    expect(operations).toEqual([
      'command/take stock/1#1',
      'child/child/c#1',
      '2:command/take stock/1#1',
      '2:child/child/c#1',
    ])
    const answer = async (command: string, ofChild: string, awakeable: string): Promise<void> => {
      const completed = { command: 1, outcome: 'completed', events: [] } as const
      await world.command('commandEnded', { operation: command, ...completed })
      await world.command('commandEnded', { operation: ofChild, ...completed })
      await world.command('childEnded', { operation: ofChild, child: 'workflow:child/c', result: awakeable })
      await world.command('resolve', { operation: awakeable, value: awakeable })
    }
    await answer('command/take stock/1#1', 'child/child/c#1', first)
    expect(world.waiting).toHaveLength(3)
    await answer('2:command/take stock/1#1', '2:child/child/c#1', second)
    expect(world.last('workflow/completed').result).toMatchObject([{ outcome: 'completed' }, second, second])
  })

  it('goes on with the newest version of the code', async () => {
    const world = new WorkflowWorld(
      flow(async (context, left: number) => (left > 0 ? context.continueAsNew(0) : context.sleep(1))),
      {
        newestVersion: 4,
      },
    )
    await world.command('start', { input: 1 })
    expect(world.state.version).toBe(4)
  })
})

describe('patched', () => {
  const before: Run = async (context) => {
    await context.request('a', () => '')
    await context.request('b', () => '')
    return 'old'
  }
  const after: Run = async (context) => {
    await context.request('a', () => '')
    if (context.patched('c-for-b')) {
      await context.request('c', () => '')
      return 'new'
    }
    await context.request('b', () => '')
    return 'old'
  }

  it('is true where the code is new, and recorded', async () => {
    const world = await started(after)
    await world.complete('request/a#1')
    expect(world.types.slice(-2)).toEqual(['patch/noted', 'request/started'])
    await world.restart()
    expect(world.waiting).toEqual(['request/c#1'])
    await world.complete('request/c#1')
    expect(world.state.result).toBe('new')
  })

  it('is false in one that had passed the place before the change, also later', async () => {
    const world = await started(before)
    await world.complete('request/a#1')
    await world.restart(flow(after))
    expect(world.waiting).toEqual(['request/b#1'])
    await world.complete('request/b#1')
    expect(world.state.result).toBe('old')
  })

  it('is true in one that had not come there yet', async () => {
    const world = await started(before)
    await world.restart(flow(after))
    await world.complete('request/a#1')
    expect(world.waiting).toEqual(['request/c#1'])
  })

  it('says the same however often it is asked', async () => {
    const world = await started(async (context) => [
      context.patched('x'),
      context.patched('x'),
      await context.signal('go'),
    ])
    await world.restart()
    await world.command('signal', { name: 'go', data: 1 })
    expect(world.state.result).toEqual([true, true, 1])
    expect(world.types.filter((type) => type === 'patch/noted')).toHaveLength(1)
  })
})

describe('time, chance and names', () => {
  it('are the same when the code runs again, and other ones in another run', async () => {
    const seen: unknown[][] = []
    const run: Run = async (context, left: number) => {
      const values: unknown[] = [context.now(), context.random(), context.uuid()]
      seen.push(values)
      await context.sleep(1000)
      values.push(context.now(), context.random())
      if (left > 0) context.continueAsNew(left - 1)
      await context.sleep(1)
    }
    const world = await started(run, 1)
    await world.fire('timer/sleep#1')
    const { runRevision } = world.state
    const first = world.history.slice(0, runRevision - 1)
    await replayed(flow(run), world.key, { run: 1, patches: [] }, first)
    const [live, second, again] = seen
    expect(again).toEqual(live)
    expect(live?.[3]).toBeGreaterThanOrEqual((live?.[0] as number) + 1000)
    expect(second?.slice(1, 3)).not.toEqual(live?.slice(1, 3))
    expect(live?.[2]).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/)
  })

  it.each([
    ['do not go on with what is not recorded: waiting for a signal beside a request', true],
    ['go on alike with what is: waiting for a signal at rest', false],
  ])('%s', async (_, hasRequest) => {
    const times: number[] = []
    const run: Run = async (context) => {
      if (hasRequest) void context.request('slow', () => '')
      await context.signal('first')
      await context.signal('go')
      times.push(context.now())
      await context.sleep(1000)
    }
    const world = await started(run)
    await world.command('signal', { name: 'first' })
    const isRecorded = world.history.some(
      ({ type, data }) => type === 'signal/awaited' && data.operation === 'signal/go#1',
    )
    expect(isRecorded).toBe(!hasRequest)
    // It was received before the code came to wait for it, by the clock of whoever received it.
    await world.command('signal', { name: 'go' }, startMs + 1)
    await world.restart()
    expect(times).toHaveLength(2)
    expect(times[1]).toBe(times[0])
  })
})

describe('code that does not match its history', () => {
  const original: Run = async (context) => {
    await context.request('a', () => '')
    await context.sleep(10)
    await context.request('b', () => '')
  }
  const histories = async (): Promise<WorkflowWorld> => {
    const world = await started(original)
    await world.complete('request/a#1')
    await world.fire('timer/sleep#1')
    return world
  }

  it.each<[string, string, unknown, Run]>([
    ['is renamed', 'request/a#1', ['request/z#1'], (context) => context.request('z', () => '')],
    [
      'is removed',
      'timer/sleep#1',
      ['request/b#1'],
      async (context) => {
        await context.request('a', () => '')
        await context.request('b', () => '')
      },
    ],
    [
      'is added before',
      'request/a#1',
      ['signal/first#1'],
      async (context, input) => {
        await context.signal('first')
        await original(context, input)
      },
    ],
    [
      'is in another order',
      'request/a#1',
      ['timer/sleep#1'],
      async (context) => {
        await context.sleep(10)
        await context.request('a', () => '')
      },
    ],
    [
      'is of another kind',
      'timer/sleep#1',
      ['signal/go#1'],
      async (context) => {
        await context.request('a', () => '')
        await context.signal('go')
      },
    ],
    [
      'comes after its end',
      'timer/sleep#1',
      'the code has ended: completed',
      (context) => context.request('a', () => ''),
    ],
    [
      'comes after it threw',
      'timer/sleep#1',
      'the code has ended: broken, a mistake',
      async (context) => {
        await context.request('a', () => '')
        throw new Error('a mistake')
      },
    ],
    ['is awaited beside the context', 'request/a#1', [], () => new Promise(() => {})],
  ])('where an operation %s, is parked once with expected beside actual', async (_, expected, actual, run) => {
    const world = await histories()
    const { length } = world.history
    await world.restart(flow(run))
    const parked = world.last('workflow/parked')
    expect(parked).toMatchObject({
      operation: expected,
      error: { code: 'non_determinism', details: { expected, actual } },
    })
    expect(parked.error.message).toContain(`expected ${expected}, but the code`)
    expect(world.state.status).toBe('parked')
    await world.settle()
    expect(world.history).toHaveLength(length + 1)
  })

  it('goes on with the former code when a person has it tried again', async () => {
    const world = await histories()
    await world.restart(flow((context) => context.request('z', () => '')))
    await world.command('retry', {})
    expect(world.waiting).toEqual(['request/b#1'])
    await world.complete('request/b#1')
    expect(world.state.status).toBe('completed')
  })
})

/** A tree of things that a workflow may do. */
type Node =
  | {
      readonly kind:
        | 'request'
        | 'sleep'
        | 'signal'
        | 'patience'
        | 'awakeable'
        | 'command'
        | 'child'
        | 'guarded'
        | 'asks'
      readonly name: string
    }
  | { readonly kind: 'sequence' | 'all' | 'race'; readonly parts: readonly Node[] }

const anyNode = fc.letrec<{ node: Node; leaf: Node }>((tie) => ({
  leaf: fc.record({
    kind: fc.constantFrom(
      'request',
      'request',
      'sleep',
      'signal',
      'patience',
      'awakeable',
      'command',
      'child',
      'guarded',
      'asks',
    ),
    name: fc.constantFrom('a', 'b'),
  }),
  node: fc.oneof(
    { maxDepth: 4, depthSize: 'large', withCrossShrink: true },
    { arbitrary: tie('leaf'), weight: 1 },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constantFrom('sequence', 'sequence', 'all', 'race'),
        parts: fc.array(tie('node'), { minLength: 1, maxLength: 4 }),
      }),
    },
  ),
})).node

const child = defineWorkflow({ name: 'child', run: async (_, input: number) => input })

async function walk(context: WorkflowContext, node: Node): Promise<unknown> {
  switch (node.kind) {
    case 'request':
      return context.request(node.name, () => '', { compensate: () => '' })
    case 'sleep':
      return context.sleep(100)
    case 'signal':
      return context.signal(node.name)
    case 'patience':
      return context.signal(node.name, { timeoutMs: 50 }).catch((error: TerminalError) => {
        if (error.code !== 'timeout') throw error
        return 'nothing'
      })
    case 'awakeable':
      return context.awakeable().value
    case 'command':
      return context.command('stock', node.name, 'take', { at: context.now() })
    case 'child':
      return context.executeChild(child, `${node.name}-${context.uuid()}`, 1)
    case 'guarded':
      context.setStatus([context.now(), context.random()])
      return context.patched(node.name)
    case 'asks':
      return context.random() < 0.5 ? context.request('heads', () => '') : context.sleep(context.now() % 10)
    case 'sequence': {
      const results: unknown[] = []
      for (const part of node.parts) results.push(await walk(context, part))
      return results
    }
    case 'all':
      return context.all(node.parts.map((part) => walk(context, part)))
    default:
      return context.race(node.parts.map((part) => walk(context, part)))
  }
}

/** Lets one thing happen outside, chosen by a number. */
async function happen(world: WorkflowWorld, choice: number): Promise<void> {
  const pending = Object.keys(world.state.operations)
  const operation = pending[choice % Math.max(1, pending.length)]
  if (choice % 23 === 0) await world.command('cancel', {})
  else if (choice % 7 === 0)
    await world.command('signal', { name: choice % 2 === 0 ? 'a' : 'b', data: choice }, world.nowMs - (choice % 50))
  else if (choice % 11 === 0) await world.restart()
  else if (operation !== undefined) await end(world, operation, choice)
}

async function end(world: WorkflowWorld, operation: string, choice: number): Promise<void> {
  const { kind, child: key } = world.state.operations[operation] as { kind: string; child: string | null }
  switch (kind) {
    case 'request':
      return choice % 13 === 0 ? world.fail(operation, 'declined') : world.complete(operation, choice)
    case 'timer':
      return world.fire(operation)
    case 'signal':
      return void (await world.command('signal', { name: operation.includes('/a#') ? 'a' : 'b', data: choice }))
    case 'awakeable':
      return void (await world.command('resolve', { operation, value: choice }))
    case 'command':
      return void (await world.command('commandEnded', { operation, command: 1, outcome: 'completed', events: [] }))
    default:
      await world.command('commandEnded', {
        operation,
        command: 1,
        outcome: choice % 5 === 0 ? 'rejected' : 'completed',
      })
      await world.command('childEnded', { operation, child: key ?? '', result: choice })
  }
}

describe('any history that was written live', () => {
  it('leads the code to the same place when it runs again, from wherever it is cut off', async () => {
    const property = fc.asyncProperty(
      anyNode,
      fc.array(fc.nat(1000), { minLength: 5, maxLength: 40 }),
      async (node, choices) => {
        const workflow = flow((context) => walk(context, node))
        const world = await WorkflowWorld.started(workflow)
        for (const choice of choices) await happen(world, choice)
        expect(world.state.error?.code).not.toBe('non_determinism')
        for (const { revision, waiting, outcome, nowMs } of world.checkpoints) {
          const history: readonly WorkflowEvent[] = world.history.slice(0, revision)
          const patches = history.flatMap(({ type, data }) => (type === 'patch/noted' ? [data.id] : []))
          const execution = await replayed(workflow, world.key, { run: 1, patches }, history)
          const again = {
            waiting: execution.waiting.map(({ id }) => id),
            outcome: execution.outcome?.kind ?? null,
            nowMs: outcome === null ? execution.nowMs : nowMs,
            // What was issued in the step that ended the run was never recorded.
            issues: execution.takeIssues(0, false).filter((issue) => outcome === null || outlivesRun(issue)),
          }
          expect(again).toEqual({ waiting, outcome, nowMs, issues: [] })
        }
        // A run that has ended has left behind what it waited for.
        for (const { outcome, said, awaited, isSaid } of world.checkpoints) {
          if (outcome === null) expect([...awaited].sort()).toEqual(expect.arrayContaining([...said].sort()))
          if (outcome === null && isSaid) expect([...said].sort()).toEqual([...awaited].sort())
        }
      },
    )
    await fc.assert(property, { numRuns: 2000 })
  })
})
