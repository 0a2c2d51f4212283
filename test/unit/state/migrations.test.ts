import { beforeEach, describe, expect, it } from 'vitest'
import type { Action, CommandReceived, MigrationStep } from '../../../src/actions/action.ts'
import { decodeReceived } from '../../../src/actions/decode.ts'
import { encodeAction } from '../../../src/actions/encode.ts'
import { EntryBatch } from '../../../src/actions/entry-batch.ts'
import { lengthOf } from '../../../src/actions/entry-layout.ts'
import { type Lsn, lsn, revision, token } from '../../../src/kernel/identifiers.ts'
import { ownerOf } from '../../../src/state/applications.ts'
import { obstaclesOf } from '../../../src/state/migration-switch.ts'
import type { MigrationState } from '../../../src/state/migrations.ts'
import { emptyRoot, type RootState, reduce } from '../../../src/state/root.ts'
import { decodeRoot, encodeRoot, stateHash } from '../../../src/state/snapshot.ts'
import { TokenGuard } from '../../../src/state/token-guard.ts'
import { received, registered, StubJournal } from '../role-world.ts'

let journal: StubJournal
let state: RootState
let guard: TokenGuard
const lookup = { lookup: () => undefined, keepsPayloads: true }
beforeEach(() => {
  journal = new StubJournal()
  state = emptyRoot(lookup)
  guard = new TokenGuard()
})

function append(action: Action): Lsn {
  const entry = journal.append([action])
  guard.begin()
  guard.apply(entry, 0)
  reduce(state, entry, 0)
  return journal.written
}

const old = (id: string): CommandReceived => received(id, 'add', { n: 1 }, { definitionVersion: 1 })
const step = (of: MigrationStep, migration = lsn(0)): Action => ({
  type: 'stream/migrated',
  aggregateType: 'counter',
  toVersion: 2,
  migration,
  step: of,
})
const start = (): Lsn => append(step({ phase: 'started', fromVersion: 1, digest: 'd', atMs: 0 }))
const over = (migration: Lsn, how: 'finalised' | 'abandoned'): Lsn =>
  append({ type: `stream/migration-${how}`, aggregateType: 'counter', migration })
const switchOver = (migration: Lsn): Lsn => append(step({ phase: 'switched' }, migration))
const migration = (): MigrationState | undefined => state.migrations.byType.get('counter')
const register = (instance: string, version: number): Lsn =>
  append({ ...registered(instance), aggregateVersions: [version] } as Action)

/** Says that commands were rewritten, and events up to a position. */
function rewrite(of: Lsn, through: number, ...commands: Lsn[]): void {
  const after = migration()?.copied ?? 0
  const form = (command: Lsn): [Lsn, Uint8Array] => {
    const batch = new EntryBatch(0)
    encodeAction(batch, received('a', 'raise', { n: command * 10 }, { definitionVersion: 2 }), 0)
    const entry = batch.take()
    return [command, entry.subarray(0, lengthOf(entry, 0))]
  }
  append(step({ phase: 'rewritten', after, through, events: [], commands: commands.map(form) }, of))
}

const started = (instance: string, ...commands: Lsn[]): Lsn => append({ type: 'command/started', instance, commands })
const end = (command: Lsn, release: Lsn) => ({
  command,
  aggregate: { type: 'counter', id: 'a' },
  release: token(release),
  atMs: 0,
  idempotencyKey: 'none' as const,
})
const completed = (command: Lsn, release: Lsn, version: number): Action => ({
  ...end(command, release),
  type: 'command/completed',
  baseRevision: revision(state.globalPosition),
  eventsVersion: version,
  events: [{ type: 'added', data: {} }],
  latestEvent: { revision: revision(state.globalPosition + 1), type: 'added' },
  snapshot: null,
})
const parked = (command: Lsn, release: Lsn): Action => ({
  ...end(command, release),
  type: 'command/parked',
  message: 'no',
  attempts: 1,
  blocksAggregate: false,
})
const dataOf = (command: Lsn): unknown => {
  const pending = state.commands.byLsn.get(command)
  return pending?.source == null ? null : decodeReceived(pending.source, pending.at)
}

describe('a switch', () => {
  it('is void while an event of an older version is not rewritten, and while a host runs older code', () => {
    register('test-1', 1)
    const first = append(old('a'))
    const of = start()
    append(completed(first, started('test-1', first), 1))
    switchOver(of)
    expect(migration()).toMatchObject({ switchedLsn: 0, newestOld: 1, copied: 0 })
    rewrite(of, 1)
    switchOver(of)
    expect(migration()?.switchedLsn).toBe(0)
    expect(obstaclesOf(state, migration() as MigrationState).instances).toMatchObject([{ instance: 'test-1' }])
    register('test-1', 2)
    expect(switchOver(of)).toBe(migration()?.switchedLsn)
  })

  it('is void while one event of an older version is not rewritten, although nothing else stands in its way', () => {
    register('test-1', 2)
    const [first, second] = [append(old('a')), append(old('a'))]
    append(completed(first, started('test-1', first), 1))
    append(completed(second, started('test-1', second), 1))
    const of = start()
    switchOver(of)
    expect(migration()).toMatchObject({ switchedLsn: 0, copied: 0, newestOld: 2 })
    rewrite(of, 1)
    switchOver(of)
    expect(migration()).toMatchObject({ switchedLsn: 0, copied: 1 })
    rewrite(of, 2)
    expect(switchOver(of)).toBe(migration()?.switchedLsn)
  })

  it('is void while a pending command, or one parked since it began, is not rewritten; then both are', () => {
    register('test-1', 2)
    const pending = append(old('a'))
    const doomed = append(old('b'))
    const of = start()
    append(parked(doomed, started('test-1', doomed)))
    rewrite(of, 0, pending)
    switchOver(of)
    expect(migration()?.switchedLsn).toBe(0)
    expect(obstaclesOf(state, migration() as MigrationState).commands).toEqual([doomed])
    rewrite(of, 0, doomed)
    expect(dataOf(pending)).toMatchObject({ command: 'add', data: { n: 1 } })
    switchOver(of)
    expect(dataOf(pending)).toMatchObject({ command: 'raise', data: { n: pending * 10 } })
    expect(state.commands.byLsn.get(pending)?.version).toBe(2)
    expect(migration()?.commands.size).toBe(0)
  })

  it('does not wait for commands and events that are of the new version already', () => {
    register('test-1', 2)
    const of = start()
    const fresh = append({ ...old('a'), definitionVersion: 2 })
    append(completed(fresh, started('test-1', fresh), 2))
    expect(switchOver(of)).toBe(migration()?.switchedLsn)
  })

  it.each([
    ['is void', 1],
    ['counts', 2],
  ])('ends every assignment where it %s, for the guard of the journal writer as for the state', (_, hostVersion) => {
    register('test-1', hostVersion)
    const command = append(old('a'))
    const of = start()
    rewrite(of, 0, command)
    const assignment = started('test-1', command)
    expect([guard.size, state.commands.byLsn.get(command)?.token]).toEqual([1, assignment])
    switchOver(of)
    expect(migration()?.switchedLsn !== 0).toBe(hostVersion === 2)
    expect([guard.size, state.commands.byLsn.get(command)?.token]).toEqual([0, 0])
    expect(guard.admits(journal.append([completed(command, assignment, 1)]), 0)).toBe(false)
  })

  it('can be taken back by the guard with the batch that it was to be written in', () => {
    register('test-1', 2)
    const command = append(old('a'))
    started('test-1', command)
    const of = start()
    guard.begin()
    guard.apply(journal.append([step({ phase: 'switched' }, of)]), 0)
    expect(guard.size).toBe(0)
    guard.rollback()
    expect(guard.size).toBe(1)
  })
})

describe('after a switch', () => {
  it('older code hosts the type no longer, and a retry of a command in its old form is void', () => {
    register('test-1', 2)
    const command = append(old('a'))
    const of = start()
    append(parked(command, started('test-1', command)))
    rewrite(of, 0, command)
    switchOver(of)
    register('test-2', 1)
    append({ type: 'application/deregistered', instance: 'test-1', reason: 'stopped' })
    expect(ownerOf(state.applications, 'counter', 1)).toBeUndefined()
    append({ type: 'command/retried', command, received: old('a') })
    expect(state.commands.byLsn.size).toBe(0)
    append({ type: 'command/retried', command, received: { ...old('a'), definitionVersion: 2 } })
    expect(state.commands.byLsn.size).toBe(1)
    over(of, 'finalised')
    register('test-2', 1)
    expect(ownerOf(state.applications, 'counter', 1)).toBeUndefined()
  })

  it('abandoning goes back to what was, and ends every assignment again', () => {
    register('test-1', 2)
    const of = start()
    switchOver(of)
    const command = append({ ...old('a'), definitionVersion: 2 })
    started('test-1', command)
    over(of, 'abandoned')
    expect([guard.size, state.commands.byLsn.get(command)?.token]).toEqual([0, 0])
    expect(state.migrations).toEqual({ byType: new Map(), versions: new Map() })
    register('test-1', 1)
    expect(ownerOf(state.applications, 'counter', 1)?.instance).toBe('test-1')
  })

  it('another migration of the type is void until this one is over, and finalising is before it', () => {
    const of = start()
    over(of, 'finalised')
    expect(migration()?.startedLsn).toBe(of)
    start()
    expect(migration()?.startedLsn).toBe(of)
    switchOver(of)
    over(of, 'finalised')
    expect(migration()).toBeUndefined()
    expect(start()).toBe(migration()?.startedLsn)
  })
})

describe('a saved state', () => {
  it('comes back with its migration, rewritten commands and versions', () => {
    register('test-1', 2)
    const pending = append(old('a'))
    const of = start()
    rewrite(of, 0, pending)
    for (let saved = 0; saved < 2; saved++) {
      const decoded = decodeRoot(encodeRoot(state), lookup)
      expect(stateHash(decoded)).toBe(stateHash(state))
      expect(decoded.migrations).toEqual(state.migrations)
      expect(ownerOf(decoded.applications, 'counter', 1)).toEqual(ownerOf(state.applications, 'counter', 1))
      switchOver(of)
    }
  })

  it('has the same hash where no payloads are kept', () => {
    const lean = emptyRoot({ lookup: () => undefined, keepsPayloads: false })
    register('test-1', 2)
    const pending = append(old('a'))
    rewrite(start(), 0, pending)
    for (const { payload } of journal.batches) reduce(lean, payload, 0)
    expect(stateHash(lean)).toBe(stateHash(state))
    switchOver(migration()?.startedLsn ?? lsn(0))
    reduce(lean, journal.batches.at(-1)?.payload as Buffer, 0)
    expect(stateHash(lean)).toBe(stateHash(state))
  })
})
