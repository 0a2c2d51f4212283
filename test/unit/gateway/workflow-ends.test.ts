import { beforeEach, describe, expect, it } from 'vitest'
import type { WorkflowEffects } from '../../../src/actions/action.ts'
import { Admission } from '../../../src/gateway/admission.ts'
import type { ClientOutcome } from '../../../src/ipc/call-codec.ts'
import { waitModes } from '../../../src/ipc/client-protocol.ts'
import { type Lsn, lsn, revision, token } from '../../../src/kernel/identifiers.ts'
import { limits } from '../../../src/kernel/limits.ts'
import { activate } from '../../../src/state/activations.ts'
import type { WorkflowEvent } from '../../../src/workflows/workflow-events.ts'
import { GatewayWorld, StubReplier } from './gateway-world.ts'

let db: GatewayWorld
beforeEach(() => {
  db = new GatewayWorld()
})

const key = 'workflow:greet/1'
const aggregate = { type: 'workflow:greet', id: '1' }
const started: WorkflowEvent = {
  type: 'workflow/started',
  data: { input: 'you', digest: '', version: 1, atMs: 1000, timeoutAtMs: null, parent: null },
}
const completed: WorkflowEvent = { type: 'workflow/completed', data: { result: 'hello you', atMs: 2000, timers: [] } }
const parked: WorkflowEvent = {
  type: 'workflow/parked',
  data: { atMs: 2000, error: { code: 'Error', message: 'no voice' }, operation: null },
}
const start = { key, command: 'start', data: { input: 'you' } }
const startAndWait = { ...start, wait: waitModes.ended }

/** The start was decided on, as new or as one that was there before. */
function decideStart(command: Lsn, events: readonly WorkflowEvent[] = [started], base = 0): void {
  const release = token(db.append({ type: 'command/started', instance: 'test-1', commands: [command] }))
  const at = base + events.length
  db.append({
    type: 'command/completed',
    command,
    aggregate,
    release,
    atMs: 0,
    baseRevision: revision(base),
    eventsVersion: 1,
    events,
    latestEvent: at === 0 ? null : { revision: revision(at), type: events.at(-1)?.type ?? null },
    idempotencyKey: 'none',
    snapshot: null,
    ...(events.length === 0 ? {} : { workflow: { activates: true, indexed: true } }),
  })
}

function advance(activation: Lsn, events: readonly WorkflowEvent[], workflow: WorkflowEffects, base = 1): Lsn {
  const step = { activation, token: token(activation), atMs: 0, baseRevision: revision(base) }
  return db.append({ type: 'workflow/advanced', aggregate, ...step, events, messages: [], snapshot: null, workflow })
}

const ends: WorkflowEffects = { releases: true, ends: true, indexed: true }
const end = (activation: Lsn): Lsn => advance(activation, [completed], ends)

const resultOf = (request: number): unknown => {
  const answer = db.answer(request) as ClientOutcome | undefined
  if (answer?.outcome !== 'completed') return answer
  return answer.events.map(({ data }) => (data as { readonly result?: unknown }).result).at(-1)
}

describe('a start that waits for the end', () => {
  it('is answered by the entry that ends the workflow, when that is flushed and before the store has it', () => {
    const request = db.call(startAndWait)
    const command = db.accept()
    decideStart(command)
    db.flush()
    expect(db.answer(request)).toBeUndefined()
    const at = end(command)
    expect(db.answer(request)).toBeUndefined()
    db.flush()
    expect(db.answer(request)).toMatchObject({
      outcome: 'completed',
      id: String(command),
      lsn: at,
      durability: 'flushed',
      events: [{ type: 'workflow/completed', aggregate, revision: 2, data: { result: 'hello you' } }],
    })
    expect(db.filled.applied).toBe(0)
  })

  it('is answered also where both entries come in one turn', () => {
    const request = db.call(startAndWait)
    const command = db.accept()
    decideStart(command)
    end(command)
    db.flush()
    expect(resultOf(request)).toBe('hello you')
  })

  it('is answered at once with a rejection', () => {
    const request = db.call(startAndWait)
    const command = db.accept()
    const release = token(db.append({ type: 'command/started', instance: 'test-1', commands: [command] }))
    const no = { code: 'workflow_conflict', message: 'no', details: null, idempotencyKey: 'none' } as const
    db.append({ type: 'command/rejected', command, aggregate, release, atMs: 0, ...no })
    db.flush()
    expect(db.answer(request)).toMatchObject({ outcome: 'rejected', code: 'workflow_conflict' })
  })

  it('of a workflow that is under way waits for its end', () => {
    const first = db.call(start)
    const command = db.accept()
    decideStart(command)
    const request = db.call(startAndWait)
    decideStart(db.accept(), [], 1)
    db.flush()
    expect(db.outcome(first)).toBe('completed')
    expect(db.answer(request)).toBeUndefined()
    db.store()
    expect(db.answer(request)).toBeUndefined()
    end(command)
    db.flush()
    expect(resultOf(request)).toBe('hello you')
  })

  it('of a workflow that has ended is answered from the store, once that has it', () => {
    db.call(start)
    const command = db.accept()
    decideStart(command)
    end(command)
    const request = db.call(startAndWait)
    decideStart(db.accept(), [], 2)
    db.flush()
    expect(db.answer(request)).toBeUndefined()
    db.store()
    expect(resultOf(request)).toBe('hello you')
  })

  it('that is called again after a restart, while the workflow is under way or when it has ended, is answered', () => {
    const call = { ...startAndWait, session: 8, sequence: 1, answeredBelow: 1 }
    db.call(call)
    const command = db.accept()
    decideStart(command)
    db.flush()
    db.store()
    db.restart()
    const underWay = db.call(call)
    db.accept()
    db.store()
    expect(db.answer(underWay)).toBeUndefined()
    end(command)
    db.flush()
    expect(resultOf(underWay)).toBe('hello you')
    db.store()
    db.restart(90)
    const after = db.call(call)
    db.accept()
    db.flush()
    db.store()
    expect(resultOf(after)).toBe('hello you')
  })

  it('is told that the workflow is parked, from the entry and from the store', () => {
    const request = db.call(startAndWait)
    const command = db.accept()
    decideStart(command)
    advance(command, [parked], { releases: true, indexed: true })
    expect(db.answer(request)).toBeUndefined()
    db.flush()
    const error = { error: 'workflow_parked', details: { code: 'Error', message: 'no voice' } }
    expect(db.answer(request)).toMatchObject(error)
    db.store()
    const later = db.call(startAndWait)
    decideStart(db.accept(), [], 2)
    db.flush()
    db.store()
    expect(db.answer(later)).toMatchObject(error)
  })

  it('is only for starts of workflows', () => {
    expect(db.outcome(db.call({ wait: waitModes.ended }))).toBe('invalid_input')
    const cancel = { key, command: 'cancel', data: {}, wait: waitModes.ended }
    expect(db.outcome(db.call(cancel))).toBe('invalid_input')
  })
})

describe('who waits for the end', () => {
  const awaitEnd = (request: number, replier = new StubReplier()): StubReplier => {
    db.gateway.awaitEnd(replier, request, key)
    return replier
  }

  function underWay(): Lsn {
    db.call(start)
    const command = db.accept()
    decideStart(command)
    db.flush()
    db.store()
    return command
  }

  it('is told that there is no such workflow', () => {
    db.store()
    expect(awaitEnd(1).answers.get(1)).toMatchObject({ error: 'workflow_unknown' })
  })

  it('is answered, however many there are', () => {
    const command = underWay()
    const repliers = [awaitEnd(1), awaitEnd(1), awaitEnd(1)]
    end(command)
    db.flush()
    for (const { answers } of repliers) expect(answers.get(1)).toMatchObject({ outcome: 'completed' })
  })

  it('is forgotten when it is gone, or asks no longer', () => {
    const command = underWay()
    const [gone, stays] = [awaitEnd(1), awaitEnd(1)]
    awaitEnd(2, stays)
    db.gateway.forgetWaits(gone)
    db.gateway.forgetWaits(stays, 2)
    end(command)
    db.flush()
    expect([gone.answers.size, [...stays.answers.keys()]]).toEqual([0, [1]])
  })

  it('keeps no process from ending', () => {
    underWay()
    awaitEnd(1)
    expect(db.gateway.pendingCalls).toBe(0)
  })

  it('comes again later when too many do', () => {
    underWay()
    const many = new StubReplier()
    for (let request = 1; request <= limits.workflowWaitsMax; request++) awaitEnd(request, many)
    expect(() => awaitEnd(1)).toThrow(expect.objectContaining({ code: 'overloaded', retryable: true }))
    expect(db.outcome(db.call({ ...startAndWait, key: 'workflow:greet/2' }))).toBe('overloaded')
    db.gateway.forgetWaits(many)
    expect(awaitEnd(1).answers.size).toBe(0)
  })
})

describe('the start of a workflow', () => {
  it('is refused while too many have something to do, and other commands are not', () => {
    const { activations } = db.gateway.state
    for (let i = 1; i <= limits.activeWorkflowsMax; i++)
      activate(activations, lsn(1_000_000 + i), `workflow:greet/busy${i}`, 0, 'test-1', token(1))
    expect(db.answer(db.call(start))).toMatchObject({ error: 'overloaded', retryable: true })
    expect(db.outcome(db.call({ key, command: 'signal', data: { name: 'go' } }))).toBeUndefined()
    expect(db.outcome(db.call())).toBeUndefined()
  })

  it('names the workflows that there are', () => {
    expect(db.answer(db.call({ ...start, key: 'workflow:great/1' }))).toMatchObject({
      error: 'unknown_workflow',
      message: expect.stringMatching(/"great"; there are: greet/),
    })
    expect(() => new Admission([]).aggregate('workflow:greet')).toThrow(/there are: none/)
  })
})
