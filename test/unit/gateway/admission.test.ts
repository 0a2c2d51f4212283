import { beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { encodeAction } from '../../../src/actions/encode.ts'
import { EntryBatch } from '../../../src/actions/entry-batch.ts'
import { entryFlags, entryOffsets, flagsOf, hashOf, lengthOf } from '../../../src/actions/entry-layout.ts'
import { Admission } from '../../../src/gateway/admission.ts'
import { defineAggregate, defineApplication } from '../../../src/index.ts'
import type { CallFields } from '../../../src/ipc/call-codec.ts'
import { hash32 } from '../../../src/kernel/hash.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { limits } from '../../../src/kernel/limits.ts'
import { emptyRoot, type RootState, reduce } from '../../../src/state/root.ts'
import { received, StubJournal } from '../role-world.ts'
import { encodeCall, key } from './gateway-world.ts'

const checked = defineAggregate({
  name: 'checked',
  initialState: () => 0,
  decide: { add: (data: { amount: number }) => ({ type: 'added', data }) },
  evolve: { added: (state, data: { amount: number }) => state + data.amount },
  schemas: { commands: { add: z.object({ amount: z.number().int().positive().default(1) }) } },
})
const counter = defineAggregate({
  name: 'counter',
  initialState: () => 0,
  decide: { add: () => ({ type: 'added' }) },
  evolve: { added: (state) => state + 1 },
})
const application = defineApplication({ name: 'test', aggregates: [checked, counter] })

let admission: Admission
let state: RootState
beforeEach(() => {
  admission = new Admission([application])
  state = emptyRoot({ lookup: () => undefined, keepsPayloads: false })
})

function refusal(source: Buffer, offset = 0): string {
  try {
    admission.admit(state, 0, source, offset)
    admission.keyOf(source, offset)
  } catch (error) {
    return (error as { code: string }).code ?? String(error)
  }
  return 'admitted'
}

const call = (fields: Partial<CallFields>): string => refusal(encodeCall(fields))

/** The call with other bytes for its envelope. */
function withEnvelope(envelope: Buffer, flags = 0): Buffer {
  const batch = new EntryBatch(0, 256)
  batch.add(
    {
      code: 1,
      flags,
      reference: 0,
      token: 0,
      hash: 0,
      key: 'counter/a',
      eventCount: 0,
      revision: 0,
      wallMs: 0,
      name: 'add',
      variant: 0,
      envelope,
      payload: Buffer.of(0xc0),
    },
    1,
  )
  return batch.take()
}

describe('a good call', () => {
  it('is admitted, with its hash and only the flags that a client may set', () => {
    const source = encodeCall({ key: 'counter/å/ö', idempotencyKey: key('k'), writtenIsEnough: true })
    source.writeUInt16LE(0xffff, entryOffsets.flags)
    expect(refusal(source)).toBe('admitted')
    expect(hashOf(source, 0)).toBe(hash32('counter/å/ö'))
    expect(flagsOf(source, 0)).toBe(entryFlags.idempotencyKey | entryFlags.writtenIsEnough)
  })

  it('is given the data that its schema makes of it', () => {
    expect(admission.admit(state, 0, encodeCall({ key: 'checked/a', data: {} }), 0)).toEqual({ data: { amount: 1 } })
    expect(admission.admit(state, 0, encodeCall({ key: 'counter/a' }), 0)).toBeNull()
  })

  it.each([1, limits.aggregateIdBytesMax])('may have an id of %d bytes', (bytes) => {
    expect(call({ key: `counter/${'x'.repeat(bytes)}` })).toBe('admitted')
  })
})

describe('a bad call', () => {
  const wrong: [string, string, Partial<CallFields>][] = [
    ['of an aggregate that nobody defines', 'unknown_aggregate', { key: 'nothing/a' }],
    ['of a name that only objects know', 'unknown_aggregate', { key: '__proto__/a' }],
    ['of a command that the aggregate does not have', 'unknown_command', { command: 'nothing' }],
    ['of a command that only objects have', 'unknown_command', { command: 'toString' }],
    ['without a command', 'unknown_command', { command: '' }],
    ['without an id', 'invalid_input', { key: 'counter/' }],
    ['without a type', 'invalid_input', { key: '/a' }],
    ['without a slash', 'invalid_input', { key: 'counter' }],
    ['with an id that is too long', 'invalid_input', { key: `counter/${'x'.repeat(limits.aggregateIdBytesMax + 1)}` }],
    [
      'with an id that is too long in bytes only',
      'invalid_input',
      { key: `counter/${'å'.repeat(limits.aggregateIdBytesMax / 2 + 1)}` },
    ],
    ['with data that is too large', 'payload_too_large', { data: 'x'.repeat(limits.payloadBytesDefault) }],
    ['with data that its schema does not like', 'schema_violation', { key: 'checked/a', data: { amount: -1 } }],
    ['with no data where its schema wants some', 'schema_violation', { key: 'checked/a', data: null }],
    ['with an empty key', 'invalid_input', { idempotencyKey: key('') }],
    [
      'with a key that is too long',
      'invalid_input',
      { idempotencyKey: key('x'.repeat(limits.idempotencyKeyBytesMax + 1)) },
    ],
    ['with a short digest', 'protocol_violation', { idempotencyKey: { ...key('k'), digest: Buffer.alloc(15) } }],
    ['with a key that is a number', 'protocol_violation', { idempotencyKey: { ...key('k'), key: 5 as never } }],
    ['with a time to live that is none', 'protocol_violation', { idempotencyKey: { ...key('k'), ttlMs: 0.5 } }],
    ['with metadata that is too large', 'invalid_input', { metadata: { x: 'y'.repeat(limits.metadataBytesMax) } }],
    ['with metadata that is no text', 'invalid_input', { metadata: { x: 5 as never } }],
    ['with metadata that is a list', 'invalid_input', { metadata: ['x'] as never }],
    ['that expects half a revision', 'invalid_input', { expectedRevision: 1.5 }],
    ['that expects a revision below 0', 'invalid_input', { expectedRevision: -1 }],
    ['that expects a text', 'invalid_input', { expectedRevision: '1' as never }],
  ]

  it.each(wrong)('%s is refused as %s', (_what, code, fields) => {
    expect(call(fields)).toBe(code)
  })

  it('says what is wrong and what there is', () => {
    expect(() => admission.admit(state, 0, encodeCall({ key: 'count/a' }), 0)).toThrow(/"count".*checked, counter/)
    expect(() => admission.admit(state, 0, encodeCall({ command: 'ad' }), 0)).toThrow(/"ad".*add/)
  })

  it.each([
    ['garbage', Buffer.of(0xc1, 0xc1, 0xc1)],
    ['cut short', Buffer.of(0x83, 0xa3)],
    ['a number', Buffer.of(0x05)],
    ['a list', Buffer.of(0x91, 0x05)],
    ['nothing', Buffer.of(0xc0)],
  ])('is refused when its envelope is %s, with and without a key', (_what, envelope) => {
    expect(refusal(withEnvelope(envelope))).toBe('protocol_violation')
    expect(refusal(withEnvelope(envelope, entryFlags.idempotencyKey))).toBe('protocol_violation')
  })

  it('is refused when it says that it has a key and has no envelope', () => {
    expect(refusal(withEnvelope(Buffer.alloc(0), entryFlags.idempotencyKey))).toBe('protocol_violation')
  })

  it('is refused when its data is no MessagePack and has to be looked at', () => {
    const source = encodeCall({ key: 'checked/a', data: 'xxxxxxxx' })
    source.fill(0xc1, lengthOf(source, 0) - 9, lengthOf(source, 0))
    expect(refusal(source)).toBe('invalid_input')
  })

  it('is refused when it is no command, of another version, or not whole', () => {
    const started = new EntryBatch(0, 128)
    encodeAction(started, { type: 'command/started', instance: 'x', commands: [lsn(1)] }, 0)
    expect(refusal(started.take())).toBe('protocol_violation')
    const newer = encodeCall()
    newer[entryOffsets.version] = 2
    expect(refusal(newer)).toBe('protocol_violation')
    const source = encodeCall()
    for (let end = 0; end < source.length; end++) expect(refusal(source.subarray(0, end))).toBe('protocol_violation')
  })
})

describe('room', () => {
  function pend(...ids: string[]): void {
    const journal = new StubJournal()
    journal.written = state.lsn
    for (const id of ids) reduce(state, journal.append([received(id, 'add', 'x'.repeat(100))]), 0)
  }

  it('is bounded for the whole database, drafts included', () => {
    admission = new Admission([application], { pendingCommands: 3 })
    pend('a', 'b')
    expect(() => admission.admit(state, 0, encodeCall(), 0)).not.toThrow()
    expect(() => admission.admit(state, 1, encodeCall(), 0)).toThrow(/pendingCommands is 3/)
    pend('c')
    expect(call({})).toBe('overloaded')
  })

  it('is bounded for one aggregate', () => {
    admission = new Admission([application], { pendingPerAggregate: 2 })
    pend('a', 'a', 'b')
    expect(call({ key: 'counter/a' })).toBe('overloaded')
    expect(call({ key: 'counter/b' })).toBe('admitted')
  })

  it('is bounded in bytes', () => {
    admission = new Admission([application], { pendingBytes: 500 })
    pend('a', 'b', 'c')
    expect(call({})).toBe('overloaded')
  })

  it('says when to come again', () => {
    admission = new Admission([application], { pendingCommands: 0 })
    expect(() => admission.admit(state, 0, encodeCall(), 0)).toThrow(
      expect.objectContaining({ code: 'overloaded', retryable: true, details: { retryAfterMs: 1000 } }),
    )
  })
})
