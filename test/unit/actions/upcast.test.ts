import { describe, expect, it } from 'vitest'
import type { Action } from '../../../src/actions/action.ts'
import { actionCodes, actionTypeOf } from '../../../src/actions/action-codes.ts'
import { decodeEntry } from '../../../src/actions/decode.ts'
import { encodeAction } from '../../../src/actions/encode.ts'
import { EntryBatch, emptyFields } from '../../../src/actions/entry-batch.ts'
import { entryOffsets } from '../../../src/actions/entry-layout.ts'
import { currentVersion, type Upcasts, upcast } from '../../../src/actions/upcast.ts'

/** As if `command/skipped` had gained a reason in version 2, and its reasons had become polite in version 3. */
const table: Upcasts = {
  'command/skipped': [
    (action) => ({ ...action, reason: 'none given' }) as Action,
    (action) => ({ ...action, reason: `please: ${(action as { reason: string }).reason}` }) as Action,
  ],
}
const skipped = (reason?: string): Action =>
  ({
    type: 'command/skipped',
    command: 1,
    aggregate: { type: 'a', id: 'b' },
    ...(reason === undefined ? {} : { reason }),
  }) as Action

describe('an action of an older version', () => {
  it('takes every step from its version to today’s, in order', () => {
    expect(currentVersion('command/skipped', table)).toBe(3)
    expect(upcast('command/skipped', 1, skipped(), table)).toEqual(skipped('please: none given'))
    expect(upcast('command/skipped', 2, skipped('no'), table)).toEqual(skipped('please: no'))
    expect(upcast('command/skipped', 3, skipped('no'), table)).toEqual(skipped('no'))
  })

  it('leaves others as they are', () => {
    const checkpoint = { type: 'checkpoint/started', upTo: 1 } as Action
    expect(upcast('checkpoint/started', 1, checkpoint, table)).toBe(checkpoint)
  })
})

describe('an action of a newer version', () => {
  it.each([0, 4, 255])('%d is refused, and told apart from damage', (version) => {
    expect(() => upcast('command/skipped', version, skipped(), table)).toThrow(
      expect.objectContaining({ code: 'unsupported_version' }),
    )
  })

  it('in an entry is refused by whoever decodes it', () => {
    const batch = new EntryBatch(1)
    encodeAction(batch, skipped('no'), 0)
    const b = batch.take()
    b[entryOffsets.version] = 2
    expect(() => decodeEntry(b, 0)).toThrow(/command\/skipped of version 2.*newer CommanderDB/)
  })

  it('that has a code of its own is refused as well', () => {
    const batch = new EntryBatch(1)
    batch.add({ ...emptyFields(), code: 200 as never }, 0)
    expect(() => decodeEntry(batch.take(), 0)).toThrow(/action 200.*newer CommanderDB/)
  })
})

describe('the codes of actions', () => {
  it('are what they were in the first journal: a code is never changed or reused', () => {
    expect(actionCodes).toMatchObject({
      'command/received': 1,
      'command/started': 2,
      'command/completed': 3,
      'command/rejected': 4,
      'command/failed': 5,
      'command/parked': 6,
      'command/retried': 7,
      'command/skipped': 8,
      'stream/migrated': 16,
      'stream/archived': 17,
      'stream/migration-finalised': 20,
      'stream/migration-abandoned': 21,
      'idempotency-key/expired': 24,
      'idempotency-key/deleted': 25,
      'application/registered': 32,
      'application/seen': 33,
      'application/deregistered': 34,
      'aggregate/unassigned': 35,
      'checkpoint/started': 40,
      'checkpoint/completed': 41,
      'journal/epoch-started': 96,
    })
  })

  it('are each one byte and each for one action', () => {
    const codes = Object.values(actionCodes)
    expect(new Set(codes).size).toBe(codes.length)
    for (const [type, code] of Object.entries(actionCodes)) {
      expect(code).toBeGreaterThan(0)
      expect(code).toBeLessThan(256)
      expect(actionTypeOf(code)).toBe(type)
    }
    expect(actionTypeOf(0)).toBeUndefined()
    expect(actionTypeOf(255)).toBeUndefined()
  })
})

describe('a completed command', () => {
  it('cannot be written with a latest event that does not follow from its events', () => {
    const completed = {
      type: 'command/completed',
      command: 1,
      aggregate: { type: 'a', id: 'b' },
      release: 2,
      atMs: 0,
      baseRevision: 4,
      eventsVersion: 1,
      events: [{ type: 'x', data: 1 }],
      idempotencyKey: 'none',
      snapshot: null,
    }
    const encode = (latestEvent: unknown): void =>
      encodeAction(new EntryBatch(1), { ...completed, latestEvent } as unknown as Action, 0)
    expect(() => encode({ revision: 5, type: 'x' })).not.toThrow()
    expect(() => encode({ revision: 4, type: 'x' })).toThrow('latest event is 5')
    expect(() => encode(null)).toThrow('latest event is 5')
  })
})
