import { describe, expect, it } from 'vitest'
import { defineWorkflow, TerminalError } from '../../../src/index.ts'
import { failureOf, terminalErrorOf } from '../../../src/workflows/failure.ts'
import { addressOf, awakeableId, awakeablePlace, operationAt } from '../../../src/workflows/workflow-names.ts'
import { evolveWorkflow, hasEnded, initialWorkflowState } from '../../../src/workflows/workflow-state.ts'
import { WorkflowWorld } from './workflow-world.ts'

const sleeper = defineWorkflow({ name: 'sleeper', timeoutMs: 1000, run: (context) => context.sleep(10) })
const fresh = (): WorkflowWorld => new WorkflowWorld(sleeper)

describe('a workflow that is told something', () => {
  it('starts once: again with the same input is nothing new, with other input a conflict', async () => {
    const world = fresh()
    expect(await world.command('start', { input: { a: 1 } })).toBe(null)
    const { length } = world.history
    expect(await world.command('start', { input: { a: 1 } })).toBe(null)
    expect(world.history).toHaveLength(length)
    expect(await world.command('start', { input: { a: 2 } })).toBe('workflow_conflict')
    const parent = { key: 'workflow:other/1', operation: 'child/sleeper/1#1' }
    expect(await world.command('start', { input: { a: 1 }, parent })).toBe('workflow_conflict')
  })

  it('remembers when it began, until when it may take, and of which version it is', async () => {
    const world = fresh()
    await world.command('start', { input: null })
    const { atMs } = (world.history[0] as { data: { atMs: number } }).data
    expect(world.state).toMatchObject({
      startedAtMs: atMs,
      timeoutAtMs: atMs + 1000,
      version: 1,
      run: 1,
      runRevision: 1,
    })
  })

  it.each(['signal', 'resolve', 'retry'] as const)(
    'refuses %s before it was started and after it has ended',
    async (name) => {
      const data = { signal: { name: 'go' }, resolve: { operation: 'awakeable/callback#1' }, retry: {} }[name]
      const world = fresh()
      expect(await world.command(name, data as never)).toBe('workflow_unknown')
      await world.command('start', { input: null })
      await world.fire('timer/sleep#1')
      expect(world.state.status).toBe('completed')
      expect(await world.command(name, data as never)).toBe(name === 'retry' ? 'workflow_not_parked' : 'workflow_ended')
    },
  )

  it('ignores what it does not wait for: timers, outcomes and children of others', async () => {
    const world = fresh()
    await world.command('start', { input: null })
    const { length } = world.history
    await world.command('timer', { operation: 'timer/sleep#9', dueMs: 1 })
    await world.command('timer', { operation: 'timeout', dueMs: 1 })
    await world.command('commandEnded', { operation: 'timer/sleep#1', command: 1, outcome: 'completed' })
    await world.command('commandEnded', { operation: '2:timer/sleep#1', command: 1, outcome: 'completed' })
    await world.command('childEnded', { operation: 'timer/sleep#1', child: 'workflow:sleeper/2' })
    expect(world.history).toHaveLength(length)
  })

  it('is parked once when its process crashes with it, and can be retried', async () => {
    const world = fresh()
    await world.command('start', { input: null })
    await world.command('park', { message: 'it crashed' })
    const { length } = world.history
    await world.command('park', { message: 'again' })
    expect(world.history).toHaveLength(length)
    expect(world.state).toMatchObject({ status: 'parked', error: { code: 'process_failed', message: 'it crashed' } })
    await world.command('retry', {})
    expect(world.state).toMatchObject({ status: 'running', error: null })
  })

  it('takes skipped commands for what they are', async () => {
    const world = await WorkflowWorld.started(
      defineWorkflow({ name: 'asks', run: (context) => context.command('stock', '1', 'take') }),
    )
    const skipped = { command: 4, outcome: 'skipped', message: 'given up' } as const
    await world.command('commandEnded', { operation: 'command/take stock/1#1', ...skipped })
    expect(world.state.result).toEqual({ outcome: 'skipped', id: '4', message: 'given up' })
  })
})

describe('the state of a workflow', () => {
  it('counts the attempts and failures of a request, and forgets them when a person has it tried again', () => {
    let state = initialWorkflowState()
    const operation = 'request/a#1'
    const error = { code: 'Error', message: 'down' }
    const failed = { operation, error, atMs: 1, retryAtMs: 9, isTimer: true } as const
    state = evolveWorkflow['request/started'](state, { operation, attempt: 1, atMs: 1 }, {} as never)
    state = evolveWorkflow['request/failed'](state, { ...failed, attempt: 1, next: 'again' }, {} as never)
    expect(state.operations[operation]).toMatchObject({ attempt: 1, failures: 1, dueMs: 9, retryAtMs: 9, error })
    state = evolveWorkflow['timer/fired'](state, { operation, dueMs: 9, atMs: 9 }, {} as never)
    expect(state.operations[operation]).toMatchObject({ dueMs: null, retryAtMs: null })
    state = evolveWorkflow['request/started'](state, { operation, attempt: 2, atMs: 9 }, {} as never)
    state = evolveWorkflow['request/failed'](state, { ...failed, attempt: 2, next: 'exhausted' }, {} as never)
    expect(state.operations[operation]).toMatchObject({ attempt: 2, failures: 2, isExhausted: true })
    state = evolveWorkflow['workflow/retried'](state, { atMs: 10 }, {} as never)
    expect(state.operations[operation]).toMatchObject({ attempt: 2, failures: 0, isExhausted: false, retryAtMs: null })
    state = evolveWorkflow['request/completed'](state, { operation, result: 1, atMs: 11 }, {} as never)
    expect(state).toMatchObject({ operations: {}, completedRequests: 1 })
  })

  it.each(['completed', 'failed', 'cancelled'] as const)('has ended when it is %s', (status) => {
    expect(hasEnded({ ...initialWorkflowState(), status })).toBe(true)
    expect(hasEnded({ ...initialWorkflowState(), status: 'parked' })).toBe(false)
  })
})

describe('an error in the history', () => {
  it('that is terminal keeps its code and what survives JSON of its details, there and back', () => {
    const failure = failureOf(new TerminalError('declined', 'no', { at: new Date(0), run: () => 1 }))
    expect(failure).toEqual({ code: 'declined', message: 'no', details: { at: '1970-01-01T00:00:00.000Z' } })
    expect(terminalErrorOf(failure)).toMatchObject({ code: 'declined', message: 'no', details: failure.details })
    const circular: Record<string, unknown> = {}
    circular['self'] = circular
    expect(failureOf(new TerminalError('a', 'b', circular)).details).toBe('[object Object]')
  })

  it('of any other kind keeps its class and at most five places', () => {
    const failure = failureOf(new RangeError('x'.repeat(5000)))
    expect(failure).toMatchObject({ code: 'RangeError', message: 'x'.repeat(4096) })
    expect(failure.places?.length).toBeLessThanOrEqual(5)
    expect(failureOf('text')).toEqual({ code: 'Error', message: 'text' })
  })
})

describe('names', () => {
  it('of callbacks lead back to workflow and operation, and nothing else does', () => {
    const id = awakeableId('workflow:order/ü 1', 2, 'awakeable/callback#3')
    expect(awakeablePlace(id)).toEqual({
      workflow: { type: 'workflow:order', id: 'ü 1' },
      operation: '2:awakeable/callback#3',
    })
    for (const other of [
      '',
      '.',
      id.slice(0, -1),
      awakeableId('account/1', 1, 'x'),
      awakeableId('workflow:a/1', 1, 'b\nc'),
    ])
      expect(awakeablePlace(other)).toBe(null)
  })

  it('of operations in answers name the run', () => {
    expect([addressOf(1, 'request/a#1'), addressOf(12, 'request/a#1')]).toEqual(['request/a#1', '12:request/a#1'])
    expect(operationAt('12:command/take a:1/b\n#1', 12)).toBe('command/take a:1/b\n#1')
    expect(operationAt('12:request/a#1', 2)).toBe(null)
    expect(operationAt('request/a#1', 2)).toBe(null)
    expect(operationAt('request/3:a#1', 1)).toBe('request/3:a#1')
  })
})
