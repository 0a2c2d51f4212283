import { beforeEach, describe, expect, it } from 'vitest'
import type { Action } from '../../../src/actions/action.ts'
import { encodeAction } from '../../../src/actions/encode.ts'
import { EntryBatch } from '../../../src/actions/entry-batch.ts'
import { type Lsn, lsn, revision, token } from '../../../src/kernel/identifiers.ts'
import { emptyRoot, reduce } from '../../../src/state/root.ts'
import { TokenGuard } from '../../../src/state/token-guard.ts'
import { epochStarted, received, registered, StubJournal } from '../role-world.ts'

let journal: StubJournal
let guard: TokenGuard
beforeEach(() => {
  journal = new StubJournal()
  guard = new TokenGuard()
})

/** As the writer does it: one batch, admitted draft by draft. */
function append(...actions: Action[]): Lsn {
  guard.begin()
  const first = lsn(journal.written + 1)
  for (const action of actions) guard.apply(journal.append([action]), 0)
  return first
}

const aggregate = { type: 'counter', id: 'a' }
const end = (command: number, release: number) => ({
  command: lsn(command),
  aggregate,
  release: token(release),
  atMs: 0,
})
const completed = (command: number, release: number): Action => ({
  type: 'command/completed',
  ...end(command, release),
  baseRevision: revision(0),
  eventsVersion: 1,
  events: [],
  latestEvent: null,
  idempotencyKey: 'none',
  snapshot: null,
})
const rejected = (command: number, release: number): Action => ({
  type: 'command/rejected',
  ...end(command, release),
  idempotencyKey: 'none',
  code: 'no',
  message: 'no',
  details: null,
})
const failed = (command: number, release: number): Action => ({
  type: 'command/failed',
  ...end(command, release),
  message: 'no',
  retryDelayMs: 0,
})
const parked = (command: number, release: number): Action => ({
  type: 'command/parked',
  ...end(command, release),
  idempotencyKey: 'none',
  message: 'no',
  attempts: 1,
  blocksAggregate: false,
})
const started = (instance: string, ...commands: number[]): Action => ({
  type: 'command/started',
  instance,
  commands: commands.map(lsn),
})

function admits(action: Action): boolean {
  const batch = new EntryBatch(1)
  encodeAction(batch, action, 0)
  return guard.admits(batch.take(), 0)
}

const ends: [string, (command: number, release: number) => Action][] = [
  ['completed', completed],
  ['rejected', rejected],
  ['failed', failed],
  ['parked', parked],
]

describe.each(ends)('a draft that says %s', (_name, draft) => {
  it('is refused for a command that is started nowhere', () => {
    append(received('a'))
    expect(admits(draft(1, 0))).toBe(false)
    expect(admits(draft(1, 1))).toBe(false)
  })

  it('is admitted under the present assignment and refused under any other', () => {
    append(received('a'))
    const at = append(started('test-1', 1))
    expect(admits(draft(1, at))).toBe(true)
    expect(admits(draft(1, at - 1))).toBe(false)
    expect(admits(draft(1, at + 1))).toBe(false)
    expect(admits(draft(1, 0))).toBe(false)
  })

  it('is refused once the attempt has ended, however it did', () => {
    for (const [, first] of ends) {
      const command = append(received('a'))
      const at = append(started('test-1', command))
      append(first(command, at))
      expect(admits(draft(command, at))).toBe(false)
    }
  })

  it('is refused under an assignment that was replaced', () => {
    append(received('a'))
    const first = append(started('test-1', 1))
    const second = append(started('test-2', 1))
    expect(admits(draft(1, first))).toBe(false)
    expect(admits(draft(1, second))).toBe(true)
  })

  it.each([
    registered('test-1', 2),
    { type: 'application/deregistered', instance: 'test-1', reason: 'silent' },
  ] as Action[])('is refused once its instance is $type', (change) => {
    append(received('a'), received('b'))
    const first = append(started('test-1', 1))
    const second = append(started('test-2', 2))
    append(change)
    expect(admits(draft(1, first))).toBe(false)
    expect(admits(draft(2, second))).toBe(true)
  })
})

describe('the guard', () => {
  it('admits everything that ends no attempt', () => {
    const others = [
      received('a'),
      started('test-1', 1),
      registered('test-1'),
      { type: 'checkpoint/started', upTo: lsn(1) },
    ]
    for (const action of others as Action[]) expect(admits(action)).toBe(true)
  })

  it('holds what is started and nothing else', () => {
    append(...Array.from({ length: 50 }, () => received('a')))
    const at = append(started('test-1', ...Array.from({ length: 50 }, (_, i) => i + 1)))
    expect(guard.size).toBe(50)
    for (let command = 1; command <= 50; command++) append(completed(command, at))
    expect(guard.size).toBe(0)
  })

  it('refuses what was decided under a former leader, and takes nothing of its instances for granted', () => {
    append(registered('test-1'), received('a'), received('b'))
    const at = append(started('test-1', 2), started('dispatcher', 3))
    append(epochStarted(2))
    expect(admits(completed(2, at))).toBe(false)
    expect(admits(parked(3, at + 1))).toBe(false)
    expect(guard.size).toBe(0)
    const again = append(started('test-1', 2))
    expect(admits(completed(2, again))).toBe(true)
  })

  it('takes back that another node leads when that could not be written', () => {
    const workflow = { type: 'workflow:w', id: 'a' }
    append(registered('test-1'), received('a', 'start', {}, { aggregate: workflow }))
    const at = append(started('test-1', 2))
    append({ ...completed(2, at), aggregate: workflow, workflow: { activates: true } } as Action)
    append(registered('test-1', 2))
    guard.begin()
    guard.apply(journal.append([epochStarted(2)]), 0)
    guard.rollback()
    // Neither the workflow nor the instance is gone: to go on there is not void.
    append({ type: 'workflow/resumed', instance: 'test-1', activations: [lsn(2)] })
    expect(guard.size).toBe(1)
  })

  it('takes a batch back as a whole when it could not be written', () => {
    append(received('a'), received('b'), received('c'))
    const first = append(started('test-1', 1, 2))
    guard.begin()
    const lost = [completed(1, first), started('test-2', 3), registered('test-1', 2), started('test-1', 2)]
    for (const action of lost) guard.apply(journal.append([action]), 0)
    expect(admits(completed(1, first))).toBe(false)
    guard.rollback()
    expect(admits(completed(1, first))).toBe(true)
    expect(admits(completed(2, first))).toBe(true)
    expect(guard.size).toBe(2)
  })

  it('starts from the state as it would be from the journal', () => {
    const state = emptyRoot({ lookup: () => undefined, keepsPayloads: false })
    const actions = [registered('test-1'), received('a'), received('b'), received('c'), started('test-1', 2, 3)]
    const payload = journal.append([...actions, completed(2, 5)])
    guard.begin()
    let o = 0
    for (const _ of [...actions, 0]) {
      reduce(state, payload, o)
      guard.apply(payload, o)
      o += (payload.readUInt32LE(o) + 7) & ~7
    }
    guard = TokenGuard.of(state)
    expect(guard.size).toBe(1)
    expect(admits(completed(3, 5))).toBe(true)
    expect(admits(completed(2, 5))).toBe(false)
    expect(admits(completed(4, 5))).toBe(false)
  })
})
