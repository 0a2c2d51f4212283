import { describe, expect, it } from 'vitest'
import { defineWorkflow, RetryableError, TerminalError } from '../../../src/index.ts'
import type { AnyWorkflow, WorkflowContext, WorkflowDefinition } from '../../../src/sdk/workflow-types.ts'
import { startMs, WorkflowWorld } from './workflow-world.ts'

type Run = (context: WorkflowContext, input: never) => Promise<unknown>
const flow = (run: Run, options: Partial<WorkflowDefinition<string, never, unknown>> = {}): AnyWorkflow =>
  defineWorkflow({ name: 'flow', run, ...options })
const started = (run: Run, input: unknown = null): Promise<WorkflowWorld> => WorkflowWorld.started(flow(run), input)
const child = defineWorkflow({ name: 'child', run: async (_, input: { n: number }) => input.n })

describe('an ordinary sequence', () => {
  it('issues one operation after the other, and ends with what it returns', async () => {
    const world = await started(
      async (context, input: { from: string }) => {
        const hotel = await context.request('hotel', () => '')
        await context.sleep(1000)
        return [input.from, hotel]
      },
      { from: 'here' },
    )
    expect(world.waiting).toEqual(['request/hotel#1'])
    await world.complete('request/hotel#1', 'room 3')
    expect(world.last('timer/started')).toMatchObject({ operation: 'timer/sleep#1' })
    await world.fire('timer/sleep#1')
    expect(world.last('workflow/completed')).toMatchObject({ result: ['here', 'room 3'], timers: [] })
    expect(world.types).toEqual([
      'workflow/started',
      'request/started',
      'request/completed',
      'timer/started',
      'timer/fired',
      'workflow/completed',
    ])
  })

  it('counts how often a name was used', async () => {
    const world = await started(async (context) => {
      for (const name of ['a', 'b', 'a']) await context.request(name, () => '')
    })
    for (const operation of ['request/a#1', 'request/b#1', 'request/a#2']) {
      expect(world.waiting).toEqual([operation])
      await world.complete(operation)
    }
    expect(world.state.status).toBe('completed')
  })

  it('records what is issued together in one step', async () => {
    const world = await started(async (context) => {
      context.setStatus('begun')
      await context.all([context.request('a', () => ''), context.sleep(5), context.command('stock', '1', 'take')])
    })
    expect(world.types).toEqual([
      'workflow/started',
      'status/set',
      'request/started',
      'timer/started',
      'command/requested',
    ])
    expect(new Set(world.history.slice(1).map(({ data }) => data.atMs)).size).toBe(1)
    expect(world.state.custom).toBe('begun')
  })

  it('parks with the place when code throws by mistake', async () => {
    const world = await started(async () => {
      throw new TypeError('no such thing')
    })
    const { error } = world.last('workflow/parked')
    expect(error).toMatchObject({ code: 'TypeError', message: 'no such thing' })
    expect(error.places?.[0]).toContain('execution.test.ts')
  })

  it('parks when the output is not of its schema', async () => {
    const output = {
      '~standard': { version: 1, vendor: 'test', validate: () => ({ issues: [{ message: 'must be 7' }] }) },
    } as const
    const world = await WorkflowWorld.started(flow(async () => 8, { output }))
    expect(world.last('workflow/parked').error.message).toContain('output of workflow "flow" is wrong: must be 7')
  })

  it('says what a sleep was given that is no number', async () => {
    const world = await started((context) => context.sleep('3s' as never))
    expect(world.last('workflow/parked').error.message).toBe(
      'sleep takes a number of milliseconds, 0 or more, and not "3s"',
    )
  })

  it('refuses names and times that are none', async () => {
    const problems: unknown[] = []
    await started(async (context) => {
      const wrong = [
        () => context.request('', () => ''),
        () => context.request('a', 'b' as never),
        () => context.request('a', () => '', { timeoutMs: 0 }),
        () => context.signal('x'.repeat(129)),
        () => context.sleep(-1),
        () => context.sleep(Number.NaN),
        () => context.sleepUntil('tomorrow'),
      ]
      for (const call of wrong) {
        try {
          await call()
        } catch (error) {
          problems.push((error as { code: string }).code)
        }
      }
    })
    expect(problems).toEqual([
      'invalid_input',
      'invalid_module',
      'invalid_module',
      'invalid_input',
      'invalid_input',
      'invalid_input',
      'invalid_input',
    ])
  })
})

describe('all, race and any', () => {
  it('wait for all, and fail with the first that fails', async () => {
    const run: Run = async (context) => {
      try {
        return await context.all([context.request('a', () => ''), context.request('b', () => ''), 7])
      } catch (error) {
        return (error as TerminalError).code
      }
    }
    const world = await started(run)
    await world.complete('request/b#1', 'B')
    expect(world.state.status).toBe('running')
    await world.complete('request/a#1', 'A')
    expect(world.state.result).toEqual(['A', 'B', 7])
    const other = await started(run)
    await other.fail('request/b#1', 'declined')
    expect(other.state.result).toBe('declined')
  })

  it('take the first that ends, and leave the others', async () => {
    const world = await started((context) => context.race([context.request('a', () => ''), context.sleep(1000)]))
    await world.fire('timer/sleep#1')
    expect(world.last('workflow/completed')).toMatchObject({ result: null })
    await world.complete('request/a#1')
    expect(world.state.status).toBe('completed')
  })

  it('leave a timer that has lost behind, and name it at the end', async () => {
    const world = await started((context) => context.race([context.request('a', () => ''), context.sleep(1000)]))
    await world.complete('request/a#1', 'A')
    const { timers, result } = world.last('workflow/completed')
    expect(result).toBe('A')
    expect(timers).toEqual([['timer/sleep#1', expect.any(Number)]])
  })

  it('take the first that succeeds', async () => {
    const world = await started((context) =>
      context.any([context.request('a', () => ''), context.request('b', () => '')]),
    )
    await world.fail('request/a#1', 'declined')
    expect(world.state.status).toBe('running')
    await world.complete('request/b#1', 'B')
    expect(world.state.result).toBe('B')
  })
})

describe('timers', () => {
  it('are due after so long from the time of the workflow, or at a time', async () => {
    const world = await started(async (context) => {
      await context.sleep(1.5)
      await context.sleepUntil(new Date(startMs + 60_000))
      await context.sleepUntil('2030-01-01T00:00:00Z')
    })
    const first = world.last('timer/started')
    expect(first.dueMs).toBe(Math.ceil((world.history[0] as { data: { atMs: number } }).data.atMs + 1.5))
    expect(first.isAbsolute).toBeUndefined()
    await world.fire('timer/sleep#1')
    expect(world.last('timer/started')).toMatchObject({ dueMs: startMs + 60_000, isAbsolute: true })
    await world.fire('timer/sleep#2')
    expect(world.last('timer/started')).toMatchObject({ dueMs: Date.parse('2030-01-01T00:00:00Z'), isAbsolute: true })
    await world.fire('timer/sleep#3')
    expect(world.state.status).toBe('completed')
  })

  it('fire once, and only at their own time', async () => {
    const world = await started((context) => context.sleep(1000))
    await world.command('timer', { operation: 'timer/sleep#1', dueMs: 1 })
    expect(world.state.status).toBe('running')
    const { dueMs } = world.last('timer/started')
    await world.command('timer', { operation: 'timer/sleep#1', dueMs })
    await world.command('timer', { operation: 'timer/sleep#1', dueMs })
    expect(world.types.filter((type) => type === 'timer/fired')).toHaveLength(1)
  })
})

describe('signals', () => {
  it('that came before are taken in their order, by name', async () => {
    const world = await started(async (context) => {
      await context.request('before', () => '')
      return [await context.signal('a'), await context.signal('b'), await context.signal('a')]
    })
    await world.command('signal', { name: 'a', data: 1 })
    await world.command('signal', { name: 'a', data: 2 })
    await world.command('signal', { name: 'b' })
    await world.complete('request/before#1')
    expect(world.state.result).toEqual([1, null, 2])
  })

  it('wake the one that waits first', async () => {
    const world = await started((context) => context.all([context.signal('a'), context.signal('a')]))
    await world.command('signal', { name: 'a', data: 1 })
    await world.command('signal', { name: 'a', data: 2 })
    expect(world.state.result).toEqual([1, 2])
    expect(world.types.filter((type) => type !== 'signal/awaited')).toEqual([
      'workflow/started',
      'signal/received',
      'signal/received',
      'workflow/completed',
    ])
  })

  const patient: Run = async (context) => {
    try {
      return await context.signal('go', { timeoutMs: 500 })
    } catch (error) {
      return (error as TerminalError).code
    }
  }

  it('in time cancel the time limit', async () => {
    const world = await started(async (context, input) => {
      const came = await patient(context, input)
      await context.request('after', () => '')
      return came
    })
    expect(world.last('timer/started').operation).toBe('signal/go#1')
    await world.command('signal', { name: 'go', data: 'now' })
    expect(world.types.slice(-3)).toEqual(['signal/received', 'timer/cancelled', 'request/started'])
    await world.complete('request/after#1')
    expect(world.last('workflow/completed')).toMatchObject({ result: 'now', timers: [] })
  })

  it('that do not come in time are a timeout, and those after it are for the next one', async () => {
    const world = await started(async (context, input) => [await patient(context, input), await context.signal('go')])
    await world.fire('signal/go#1')
    await world.command('signal', { name: 'go', data: 'late' })
    expect(world.state.result).toEqual(['timeout', 'late'])
  })

  it('that are there have no time limit', async () => {
    const world = new WorkflowWorld(
      flow(async (context) => [await context.request('a', () => ''), await patient(context, null as never)]),
    )
    await world.command('start', { input: null })
    await world.command('signal', { name: 'go', data: 1 })
    await world.complete('request/a#1')
    expect(world.types).not.toContain('timer/started')
    expect(world.state.result).toEqual([null, 1])
  })
})

describe('awakeables', () => {
  it('are resolved or rejected from outside, once', async () => {
    const ids: string[] = []
    const world = await started(async (context) => {
      const first = context.awakeable<number>()
      const second = context.awakeable()
      ids.push(first.id, second.id)
      return [await first.value, await second.value.catch((error: TerminalError) => `${error.code}: ${error.message}`)]
    })
    expect(new Set(ids).size).toBe(2)
    expect(world.waiting).toEqual(['awakeable/callback#1', 'awakeable/callback#2'])
    await world.command('resolve', { operation: 'awakeable/callback#2', error: 'no' })
    await world.command('resolve', { operation: 'awakeable/callback#1', value: 5 })
    expect(world.state.result).toEqual([5, 'awakeable_rejected: no'])
    expect(await world.command('resolve', { operation: 'awakeable/callback#1', value: 6 })).toBe('workflow_ended')
  })

  it('that nobody asked for are refused', async () => {
    const world = await started((context) => context.sleep(1))
    expect(await world.command('resolve', { operation: 'awakeable/callback#1' })).toBe('awakeable_unknown')
    expect(await world.command('resolve', { operation: 'timer/sleep#1' })).toBe('awakeable_unknown')
  })
})

describe('commands', () => {
  it('are sent once with their step, and their outcomes are results', async () => {
    const world = await started(async (context) => [
      await context.command('stock', 'apples', 'take', { count: 1 }, { expectedRevision: 3 }),
      (await context.command({ name: 'stock' } as never, 'pears', 'take' as never, undefined as never)).outcome,
    ])
    expect(world.messages).toMatchObject([
      {
        to: { type: 'stock', id: 'apples' },
        command: 'take',
        expectedRevision: 3,
        operation: 'command/take stock/apples#1',
      },
    ])
    const operation = 'command/take stock/apples#1'
    const events = [{ type: 'taken', data: { count: 1 } }]
    await world.command('commandEnded', { operation, command: 9, outcome: 'completed', events })
    await world.command('commandEnded', { operation, command: 9, outcome: 'rejected', code: 'late' })
    const rejection = { command: 11, outcome: 'rejected', code: 'sold_out', message: 'none', details: 1 } as const
    await world.command('commandEnded', { operation: 'command/take stock/pears#1', ...rejection })
    expect(world.state.result).toEqual([{ outcome: 'completed', id: '9', events }, 'rejected'])
  })
})

describe('children', () => {
  const operation = 'child/child/c1#1'
  const parent: Run = async (context) => {
    try {
      return await context.executeChild(child, 'c1', { n: 4 })
    } catch (error) {
      return `${(error as TerminalError).code}: ${(error as TerminalError).message}`
    }
  }
  const startedChild = async (run: Run = parent): Promise<WorkflowWorld> => {
    const world = await started(run)
    await world.command('commandEnded', { operation, command: 5, outcome: 'completed' })
    return world
  }
  const ended = { operation, child: 'workflow:child/c1' }

  it('are started once, and give their output', async () => {
    const world = await startedChild()
    expect(world.messages).toMatchObject([{ to: { type: 'workflow:child', id: 'c1' }, command: 'start' }])
    await world.command('childEnded', { ...ended, result: 4 })
    expect(world.state.result).toBe(4)
  })

  it('that fail are an error', async () => {
    const world = await startedChild()
    await world.command('childEnded', { ...ended, error: { code: 'broke', message: 'it broke' } })
    expect(world.state.result).toBe('child_failed: it broke')
  })

  it('whose id is taken are a conflict', async () => {
    const world = await started(parent)
    await world.command('commandEnded', { operation, command: 5, outcome: 'rejected', message: 'taken' })
    expect(world.state.result).toBe('conflict: taken')
  })

  it('are heard of by whoever asked for them alone', async () => {
    const world = await startedChild()
    await world.command('childEnded', { ...ended, child: 'workflow:child/c2', result: 1 })
    expect(world.state.status).toBe('running')
  })

  it('can be signalled and cancelled, and waited for later', async () => {
    const world = await startedChild(async (context) => {
      const handle = await context.startChild(child, 'c1', { n: 1 })
      await context.all([handle.signal('go', 1), handle.cancel('enough')])
      return [handle.id, await handle.result().catch((error: TerminalError) => error.code)]
    })
    expect(world.messages.slice(1)).toMatchObject([{ command: 'signal' }, { command: 'cancel' }])
    for (const name of ['signal', 'cancel'])
      await world.command('commandEnded', {
        operation: `command/${name} workflow:child/c1#1`,
        command: 8,
        outcome: 'completed',
      })
    await world.command('childEnded', { ...ended, error: { code: 'cancelled', message: 'enough' } })
    expect(world.state.result).toEqual(['c1', 'child_failed'])
  })

  it('say so when they fail before anybody waits', async () => {
    const world = await startedChild(async (context) => {
      const handle = await context.startChild(child, 'c1', { n: 1 })
      await context.sleep(10)
      return handle.result().catch((error: TerminalError) => error.code)
    })
    await world.command('childEnded', { ...ended, error: { code: 'broke', message: '' } })
    await world.fire('timer/sleep#1')
    expect(world.state.result).toBe('child_failed')
  })
})

describe('an error', () => {
  it('that is terminal ends it as failed, with code and details', async () => {
    const world = await started(async () => {
      throw new TerminalError('declined', 'no money', { cents: 5 })
    })
    expect(world.last('workflow/failed').error).toEqual({
      code: 'declined',
      message: 'no money',
      details: { cents: 5 },
    })
  })

  it('of a request is thrown where it was asked for', async () => {
    const world = await started(async (context) => {
      try {
        await context.request('a', () => '')
      } catch (error) {
        return [error instanceof TerminalError, (error as TerminalError).code]
      }
      return null
    })
    await world.fail('request/a#1', 'declined')
    expect(world.state.result).toEqual([true, 'declined'])
  })

  it('that only says when to try again is a mistake in the code of a workflow', async () => {
    const world = await started(async () => {
      throw new RetryableError('later', { retryAfterMs: 5 })
    })
    expect(world.last('workflow/parked').error.code).toBe('RetryableError')
  })
})

describe('compensation', () => {
  const undo = (context: WorkflowContext, name: string): Promise<string> =>
    context.request(name, () => name, { compensate: () => null })

  it('runs in reverse order, and the workflow then fails with what it failed with', async () => {
    const world = await started(async (context) => {
      for (const name of ['a', 'b', 'c']) await undo(context, name)
      throw new TerminalError('too_late')
    })
    for (const name of ['a', 'b', 'c']) await world.complete(`request/${name}#1`)
    for (const name of ['c', 'b', 'a']) {
      expect(world.waiting).toEqual([`compensation/${name}#1`])
      await world.complete(`compensation/${name}#1`)
    }
    expect(world.last('workflow/failed').error.code).toBe('too_late')
  })

  it('gets the result of what it undoes, and counts by name', async () => {
    const undone: unknown[] = []
    const world = await started(async (context) => {
      for (const _ of [1, 2]) await context.request('a', () => '', { compensate: (result) => undone.push(result) })
      throw new TerminalError('no')
    })
    await world.complete('request/a#1', 'first')
    await world.complete('request/a#2', 'second')
    const context = { effectKey: '', attempt: 1, signal: new AbortController().signal }
    for (const n of [1, 2]) {
      await world.requests.get(`compensation/a#${n}`)?.effect(context)
      await world.complete(`compensation/a#${n}`)
    }
    expect(undone).toEqual(['second', 'first'])
    expect(world.state.status).toBe('failed')
  })

  it('undoes nothing that was not completed', async () => {
    const world = await started((context) => undo(context, 'a'))
    await world.fail('request/a#1', 'declined')
    expect(world.last('workflow/failed').error.code).toBe('declined')
  })

  it('that fails for good parks the workflow', async () => {
    const world = await started(async (context) => {
      await undo(context, 'a')
      throw new TerminalError('no')
    })
    await world.complete('request/a#1')
    await world.fail('compensation/a#1', 'cannot')
    expect(world.last('workflow/parked').error).toMatchObject({ code: 'cannot' })
  })

  it('is not interrupted by a cancellation', async () => {
    const world = await started(async (context) => {
      await undo(context, 'a')
      throw new TerminalError('no')
    })
    await world.complete('request/a#1')
    await world.command('cancel', {})
    expect(world.waiting).toEqual(['compensation/a#1'])
    await world.complete('compensation/a#1')
    expect(world.last('workflow/failed').error.code).toBe('no')
  })
})
