import { beforeEach, describe, expect, it } from 'vitest'
import type { Action, EventDraft } from '../../../src/actions/action.ts'
import { type Lsn, lsn, revision, token } from '../../../src/kernel/identifiers.ts'
import type { Activation } from '../../../src/state/activations.ts'
import { emptyRoot, type RootState, reduce } from '../../../src/state/root.ts'
import { received, registered, StubJournal } from '../role-world.ts'

const type = 'workflow:w'
let state: RootState
let journal: StubJournal

function append(action: Action): Lsn {
  reduce(state, journal.append([action]), 0)
  return state.lsn
}

const active = (id: string): Activation | undefined => state.activations.byKey.get(`${type}/${id}`)

/** A workflow that has something to do. */
function start(id: string): Lsn {
  const aggregate = { type, id }
  const command = append(received(id, 'start', {}, { aggregate }))
  const release = token(append({ type: 'command/started', instance: 'test-1', commands: [command] }))
  append({
    type: 'command/completed',
    ...{ command, aggregate, release, atMs: 0, baseRevision: revision(0), eventsVersion: 1, events: [] },
    ...{ latestEvent: null, idempotencyKey: 'none', snapshot: null, workflow: { activates: true } },
  })
  return command
}

function advance(id: string, ...events: EventDraft[]): void {
  const { lsn: activation, token: assignment } = active(id) as Activation
  const rest = { atMs: 0, baseRevision: revision(1), messages: [], snapshot: null }
  append({ type: 'workflow/advanced', aggregate: { type, id }, activation, token: assignment, events, ...rest })
}

const begunAgain: EventDraft = { type: 'request/started', data: { operation: 'request/a#1', attempt: 2, atMs: 0 } }
const gotOn: EventDraft = { type: 'request/completed', data: { operation: 'request/a#1', result: 1, atMs: 0 } }
const resume = (...ids: string[]): Lsn =>
  append({ type: 'workflow/resumed', instance: 'test-1', activations: ids.map((id) => (active(id) as Activation).lsn) })
const crash = (): Lsn => append(registered('test-1', 2, 'crashed'))

beforeEach(() => {
  state = emptyRoot({ lookup: () => undefined, keepsPayloads: false })
  journal = new StubJournal()
  append(registered('test-1'))
})

describe('a workflow that has something to do', () => {
  it('keeps the token of the command that gave it that, until it says that it has nothing to do', () => {
    const command = start('a')
    expect(active('a')).toMatchObject({ lsn: command, instance: 'test-1', token: 3 })
    advance('a', gotOn)
    expect(active('a')).toBeDefined()
    append({
      type: 'workflow/advanced',
      ...{ aggregate: { type, id: 'a' }, activation: command, token: token(3), atMs: 0, baseRevision: revision(1) },
      ...{ events: [], messages: [], snapshot: null, workflow: { releases: true } },
    })
    expect(active('a')).toBeUndefined()
  })

  it('is assigned anew when its instance has gone, and not to one that is not there', () => {
    start('a')
    crash()
    expect(active('a')).toMatchObject({ instance: '', token: 0 })
    append({ type: 'workflow/resumed', instance: 'gone-1', activations: [lsn(2)] })
    expect(active('a')).toMatchObject({ instance: '', token: 0 })
    const at = resume('a')
    expect(active('a')).toMatchObject({ instance: 'test-1', token: at })
  })
})

describe('a workflow whose process crashed by itself', () => {
  it('is suspected until it gets on; to begin its request once more, or to wait, is not to get on', () => {
    start('a')
    crash()
    resume('a')
    advance('a', begunAgain, { type: 'signal/awaited', data: { operation: 'signal/go#1', atMs: 0 } })
    expect(active('a')?.crashes).toBe(1)
    crash()
    expect(active('a')?.crashes).toBe(2)
    resume('a')
    advance('a', begunAgain, gotOn)
    expect(active('a')?.crashes).toBe(0)
  })

  it('is not suspected for the crash of another one when it has run for long enough', () => {
    start('slow')
    start('poison')
    crash()
    resume('slow')
    advance('slow', begunAgain)
    resume()
    expect(active('slow')?.crashes).toBe(0)
    expect(active('poison')?.crashes).toBe(1)
    resume('poison')
    advance('poison', begunAgain)
    crash()
    // It was not alone: who has run for long may still have been it.
    expect([active('poison')?.crashes, active('slow')?.crashes]).toEqual([1, 1])
    resume('poison')
    advance('poison', begunAgain)
    crash()
    expect([active('poison')?.crashes, active('slow')?.crashes]).toEqual([2, 1])
  })

  it('is not found guilty while anything else was at work beside it', () => {
    start('a')
    crash()
    resume('a')
    const command = append(received('c', 'add'))
    append({ type: 'command/started', instance: 'test-1', commands: [command] })
    crash()
    expect(active('a')?.crashes).toBe(1)
    resume('a')
    start('new')
    crash()
    expect([active('a')?.crashes, active('new')?.crashes]).toEqual([1, 1])
    resume('a', 'new')
    crash()
    expect([active('a')?.crashes, active('new')?.crashes]).toEqual([1, 1])
    resume('a')
    crash()
    expect([active('a')?.crashes, active('new')?.crashes]).toEqual([2, 1])
  })

  it('is not suspected after its process was killed or stopped', () => {
    start('a')
    append(registered('test-1', 2, 'killed'))
    expect(active('a')?.crashes).toBe(0)
  })

  it('is suspected before a command that ran beside it is found guilty', () => {
    const command = append(received('c', 'add'))
    const again = (): Lsn => append({ type: 'command/started', instance: 'test-1', commands: [command] })
    const crashes = (): number | undefined => state.commands.byLsn.get(command)?.crashes
    again()
    crash()
    expect(crashes()).toBe(1)
    again()
    start('new')
    crash()
    expect(crashes()).toBe(1)
    expect(active('new')?.crashes).toBe(1)
    // Alone this time: the workflow is held back.
    again()
    crash()
    expect(crashes()).toBe(2)
  })
})
