import { describe, expect, it } from 'vitest'
import { defineAggregate, defineMigration } from '../../../src/index.ts'
import { migrateCommand, migrateEvent } from '../../../src/sdk/migrate-event.ts'
import { isMigration } from '../../../src/sdk/migration.ts'
import type { StandardSchema } from '../../../src/sdk/standard-schema.ts'

const positive: StandardSchema<unknown, { n: number }> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) =>
      (value as { n: number }).n > 0 ? { value: value as { n: number } } : { issues: [{ message: 'not above 0' }] },
  },
}
const counter = defineAggregate({
  name: 'counter',
  version: 3,
  initialState: () => 0,
  decide: { add: (data: { n: number }) => ({ type: 'added', data }) },
  evolve: { added: (state, data: { n: number }) => state + data.n },
  upcast: { grown: (data) => ({ type: 'added', data: { n: data as number } }) },
  schemas: { events: { added: positive }, commands: { add: positive } },
})
const base = { aggregate: counter, fromVersion: 2, toVersion: 3 } as const
const aggregate = { type: 'counter', id: 'a' }
const at = (version: number) => ({ aggregate, revision: 1, globalPosition: 1, version, at: '2026-01-01T00:00:00.000Z' })
const pending = { aggregate, status: 'pending' as const, version: 2 }

describe('defineMigration', () => {
  it('takes what it was given, and has a digest that follows from its code', () => {
    const migration = defineMigration(base)
    expect(isMigration(migration)).toBe(true)
    expect(migration.digest).toBe(defineMigration({ ...base }).digest)
    expect(migration.digest).not.toBe(defineMigration({ ...base, event: () => null }).digest)
    expect(migration.digest).not.toBe(defineMigration({ ...base, fromVersion: 1 }).digest)
  })

  it.each([
    [{ ...base, toVersion: 2 }, /toVersion is 2, but the aggregate's version is 3/],
    [{ ...base, fromVersion: 3 }, /fromVersion is 3, but must be below toVersion, 3/],
    [{ ...base, fromVersion: undefined }, /fromVersion is missing/],
    [{ ...base, aggregate: {} }, /aggregate is an object, but must be what defineAggregate returns/],
    [{ ...base, event: 'no' }, /event is "no", but must be a plain synchronous function/],
    [{ ...base, command: async () => ({}) }, /command is a function, but must be a plain synchronous function/],
    [{ ...base, events: () => null }, /unknown key "events"/],
  ])('refuses %j', (definition, message) => {
    expect(() => defineMigration(definition as never)).toThrowError(
      expect.objectContaining({ code: 'invalid_module', message: expect.stringMatching(message) }),
    )
  })
})

describe('a migrated event', () => {
  it('is what upcast makes of it where the migration says nothing', () => {
    expect(migrateEvent(defineMigration(base), { type: 'grown', data: 4 }, at(2))).toEqual({
      type: 'added',
      data: { n: 4 },
    })
  })

  it('stays dropped once it was, and is dropped by null', () => {
    const migration = defineMigration({ ...base, event: () => null })
    const dropped = migrateEvent(migration, { type: 'grown', data: 4 }, at(2))
    expect(dropped).toEqual({ type: 'stream/dropped', data: null })
    expect(migrateEvent(defineMigration(base), dropped, at(2))).toBe(dropped)
  })

  it.each([
    [() => ({ type: 'added', data: { n: 0 } }), /data of event "added" is wrong: not above 0/],
    [() => ({ type: 'grown', data: 1 }), /an event "grown", but must return an event that evolve of version 3 knows/],
    [() => undefined, /returned missing, but must return an event/],
    [() => [], /returned 0 events; an event stays one event/],
    [() => Promise.resolve(null), /is asynchronous; it must return at once/],
  ])('is refused when it is none: %s', (event, message) => {
    const migration = defineMigration({ ...base, event: event as never })
    expect(() => migrateEvent(migration, { type: 'grown', data: 4 }, at(2))).toThrowError(message)
  })

  it('is refused when it is older than the migration begins', () => {
    expect(() => migrateEvent(defineMigration(base), { type: 'grown', data: 4 }, at(1))).toThrowError(
      /it is of version 1, and the migration begins with 2/,
    )
  })
})

describe('a migrated command', () => {
  it('stays as it is where the migration says nothing, if the new version decides it', () => {
    expect(migrateCommand(defineMigration(base), 'add', { n: 1 }, pending)).toEqual({ command: 'add', data: { n: 1 } })
    expect(() => migrateCommand(defineMigration(base), 'grow', 1, pending)).toThrowError(
      /gives a command "grow", but must give \{ command, data \} with a command that version 3 decides/,
    )
  })

  it.each([
    [() => ({ command: 'add', data: { n: 0 } }), /data of command "add" is wrong: not above 0/],
    [() => ({ command: 'constructor' }), /gives a command "constructor"/],
    [() => null, /gives null/],
  ])('is refused when it is none: %s', (command, message) => {
    const migration = defineMigration({ ...base, command: command as never })
    expect(() => migrateCommand(migration, 'grow', 1, pending)).toThrowError(message)
  })
})
