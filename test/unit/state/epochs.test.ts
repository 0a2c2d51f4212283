import { beforeEach, describe, expect, it } from 'vitest'
import type { Action } from '../../../src/actions/action.ts'
import { entryFlags, flagsOf } from '../../../src/actions/entry-layout.ts'
import { type Lsn, revision, token } from '../../../src/kernel/identifiers.ts'
import { emptyRoot, type RootState, reduce } from '../../../src/state/root.ts'
import { decodeRoot, encodeRoot, stateHash } from '../../../src/state/snapshot.ts'
import { epochStarted, received, registered, StubJournal } from '../role-world.ts'

const workflow = { type: 'workflow:w', id: 'a' }
let state: RootState
let journal: StubJournal
beforeEach(() => {
  state = emptyRoot({ lookup: () => undefined, keepsPayloads: true })
  journal = new StubJournal()
})

function append(action: Action): Lsn {
  reduce(state, journal.append([action]), 0)
  return state.lsn
}

const hosts = (instance: string): Action =>
  ({ ...registered(instance), aggregateTypes: ['counter', workflow.type] }) as Action
const started = (instance: string, ...commands: Lsn[]): Action => ({ type: 'command/started', instance, commands })

/** A workflow that is at work, a command that is started, one that only waits, and one that was started and failed. */
function atWork(): { readonly activation: Lsn; readonly running: Lsn; readonly waiting: Lsn; readonly failed: Lsn } {
  append(hosts('test-1'))
  append(hosts('test-2'))
  const activation = append(received('a', 'start', {}, { aggregate: workflow }))
  append({
    type: 'command/completed',
    ...{ command: activation, aggregate: workflow, release: token(append(started('test-1', activation))), atMs: 0 },
    ...{ baseRevision: revision(0), eventsVersion: 1, events: [], latestEvent: null, idempotencyKey: 'none' },
    ...{ snapshot: null, workflow: { activates: true } },
  })
  const [running, waiting, failed] = [append(received('r')), append(received('w')), append(received('f'))]
  append(started('test-2', running))
  const release = token(append(started('test-1', failed)))
  const aggregate = { type: 'counter', id: 'f' }
  append({ type: 'command/failed', command: failed, aggregate, release, atMs: 5, message: 'no', retryDelayMs: 100 })
  return { activation, running, waiting, failed }
}

describe('when another node leads', () => {
  it('no instance of the former leader is registered, and nobody owns anything', () => {
    atWork()
    append(epochStarted(2))
    expect([state.applications.byInstance.size, state.applications.hostsByType.size]).toEqual([0, 0])
  })

  it('commands stay pending and are started nowhere, with the attempts and the delay that they had', () => {
    const { running, waiting, failed } = atWork()
    append(epochStarted(2))
    const { byLsn } = state.commands
    expect([...byLsn.keys()].toSorted((a, b) => a - b)).toEqual([running, waiting, failed])
    expect(byLsn.get(running)).toMatchObject({ instance: '', token: 0, attempts: 1, crashes: 0 })
    expect(byLsn.get(waiting)).toMatchObject({ instance: '', token: 0, attempts: 0, crashes: 0 })
    expect(byLsn.get(failed)).toMatchObject({ instance: '', token: 0, attempts: 1, retryAtMs: 105 })
  })

  it('workflows that are at work stay so, wait to be resumed, and are under no suspicion', () => {
    const { activation } = atWork()
    append(epochStarted(2))
    expect(state.activations.byLsn.get(activation)).toMatchObject({ instance: '', token: 0, crashes: 0 })
    append(hosts('test-1'))
    const resumption = append({ type: 'workflow/resumed', instance: 'test-1', activations: [activation] })
    expect(state.activations.byLsn.get(activation)).toMatchObject({ instance: 'test-1', token: resumption })
  })

  it('a start that was drafted before, for an instance of the former leader, is void', () => {
    const { waiting } = atWork()
    append(epochStarted(2))
    append(started('test-1', waiting))
    expect(state.commands.byLsn.get(waiting)).toMatchObject({ instance: '', token: 0, attempts: 0 })
  })

  it('instances of the new leader register after it, under the same names', () => {
    const { running } = atWork()
    append(epochStarted(2))
    append(hosts('test-2'))
    const assignment = append(started('test-2', running))
    expect(state.commands.byLsn.get(running)).toMatchObject({ instance: 'test-2', token: assignment, attempts: 2 })
  })

  it('the state is the same that goes on from a snapshot of before or after', () => {
    atWork()
    const before = decodeRoot(encodeRoot(state), { lookup: () => undefined, keepsPayloads: false })
    append(epochStarted(2))
    const entry = journal.batches.at(-1)?.payload as Buffer
    reduce(before, entry, 0)
    const after = decodeRoot(encodeRoot(state), { lookup: () => undefined, keepsPayloads: true })
    expect([stateHash(before), stateHash(after)]).toEqual([stateHash(state), stateHash(state)])
  })

  it('the entry says in its header that every assignment is over, for those that do not decode it', () => {
    append(epochStarted(2))
    const entry = journal.batches[0]?.payload as Buffer
    expect(flagsOf(entry, 0) & entryFlags.releasesAll).toBe(entryFlags.releasesAll)
  })
})
