import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Action } from '../../src/actions/action.ts'
import { type ActionType, actionCodes } from '../../src/actions/action-codes.ts'
import { decodeEntry } from '../../src/actions/decode.ts'
import { encodeAction } from '../../src/actions/encode.ts'
import { EntryBatch, type EntryFields } from '../../src/actions/entry-batch.ts'
import {
  codeOf,
  entryHeaderBytes,
  entryOffsets,
  envelopeBytesOf,
  envelopeStart,
  eventCountOf,
  flagsOf,
  hashOf,
  isWellFormed,
  keyBytesOf,
  keyOf,
  lengthOf,
  lsnOf,
  nameBytesOf,
  nameOf,
  originOf,
  padded,
  payloadStart,
  referenceOf,
  revisionOf,
  sequenceOf,
  stampLsn,
  tokenOf,
  variantOf,
  versionOf,
  wallMsOf,
} from '../../src/actions/entry-layout.ts'
import { isCommanderError } from '../../src/kernel/errors.ts'
import { lsn } from '../../src/kernel/identifiers.ts'
import { anyAction, anyActionByType } from '../unit/actions/any-action.ts'

const uint32 = fc.integer({ min: 0, max: 0xffffffff })
const uint16 = fc.integer({ min: 0, max: 0xffff })

function encodeAll(actions: readonly Action[]): Buffer {
  const batch = new EntryBatch(1, 64)
  for (const [i, action] of actions.entries()) encodeAction(batch, action, i)
  expect(batch.count).toBe(actions.length)
  return batch.take()
}

function encode(action: Action, origin = 7, sequence = 9): Buffer {
  const batch = new EntryBatch(origin, 64)
  encodeAction(batch, action, sequence)
  return batch.take()
}

/** Bytes come back as a Buffer, which is a Uint8Array, but another class. */
function plain(action: Action): Action {
  if (action.type === 'command/retried')
    return { ...action, received: plain(action.received) as typeof action.received }
  if (action.type !== 'command/received' || action.idempotencyKey === null) return action
  return {
    ...action,
    idempotencyKey: { ...action.idempotencyKey, digest: new Uint8Array(action.idempotencyKey.digest) },
  }
}

describe('every action', () => {
  it.each(Object.keys(actionCodes) as ActionType[])('%s comes back from its bytes as it was', (type) => {
    fc.assert(
      fc.property(anyActionByType[type], uint32, uint32, fc.maxSafeNat(), (action, origin, sequence, at) => {
        const b = encode(action, origin, sequence)
        stampLsn(b, 0, lsn(at))
        const entry = decodeEntry(b, 0)
        expect(codeOf(b, 0)).toBe(actionCodes[type])
        expect(entry).toMatchObject({ lsn: at, version: 1, origin, sequence })
        expect(plain(entry.action)).toEqual(plain(action))
      }),
    )
  })

  it('is read from the middle of a batch as when it is alone', () => {
    fc.assert(
      fc.property(fc.array(anyAction, { minLength: 1, maxLength: 12 }), (actions) => {
        const b = encodeAll(actions)
        const read: Action[] = []
        for (let o = 0; o < b.length; o += padded(lengthOf(b, o))) {
          expect(isWellFormed(b, o, b.length)).toBe(true)
          read.push(plain(decodeEntry(b, o).action))
        }
        expect(read).toEqual(actions.map(plain))
      }),
    )
  })

  it('carries its flags beside those that follow from it', () => {
    fc.assert(
      fc.property(anyAction, (action) => {
        const batch = new EntryBatch(1)
        encodeAction(batch, action, 1, 1)
        expect(flagsOf(batch.take(), 0) & 1).toBe(1)
      }),
    )
  })
})

const anyFields: fc.Arbitrary<EntryFields> = fc.record({
  code: fc.constantFrom(...Object.values(actionCodes)),
  flags: uint16,
  reference: fc.maxSafeNat(),
  token: fc.maxSafeNat(),
  hash: uint32,
  key: fc.string({ unit: 'grapheme', maxLength: 60 }),
  eventCount: uint16,
  revision: fc.maxSafeNat(),
  wallMs: fc.double({ noNaN: true }),
  name: fc.string({ unit: 'grapheme', maxLength: 60 }),
  variant: uint16,
  envelope: fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
  payload: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
})

describe('the header of an entry', () => {
  it('gives back every field that was written', () => {
    fc.assert(
      fc.property(anyFields, uint32, uint32, fc.integer({ min: 1, max: 255 }), (fields, origin, sequence, version) => {
        const batch = new EntryBatch(origin, 16)
        batch.add(fields, sequence, version)
        const b = batch.take()
        const end = lengthOf(b, 0)
        expect({
          code: codeOf(b, 0),
          flags: flagsOf(b, 0),
          reference: referenceOf(b, 0),
          token: tokenOf(b, 0),
          hash: hashOf(b, 0),
          key: keyOf(b, 0),
          eventCount: eventCountOf(b, 0),
          revision: revisionOf(b, 0),
          wallMs: wallMsOf(b, 0),
          name: nameOf(b, 0),
          variant: variantOf(b, 0),
          envelope: b.subarray(envelopeStart(b, 0), payloadStart(b, 0)),
          payload: b.subarray(payloadStart(b, 0), end),
        }).toEqual(fields)
        expect([lsnOf(b, 0), originOf(b, 0), sequenceOf(b, 0), versionOf(b, 0)]).toEqual([0, origin, sequence, version])
        expect([keyBytesOf(b, 0), nameBytesOf(b, 0), envelopeBytesOf(b, 0)]).toEqual([
          Buffer.byteLength(fields.key),
          Buffer.byteLength(fields.name),
          fields.envelope.length,
        ])
        expect(b.length).toBe(padded(end))
        expect(b.subarray(end).every((byte) => byte === 0)).toBe(true)
      }),
    )
  })

  it('is kept, but for origin, sequence, time and variant, when a command is copied into another batch', () => {
    fc.assert(
      fc.property(
        anyActionByType['command/received'],
        uint32,
        uint32,
        fc.maxSafeNat(),
        fc.integer({ min: 1, max: 0xffff }),
        (action, origin, sequence, wallMs, variant) => {
          const source = encode(action, 1, 2)
          source.writeUInt16LE(3, entryOffsets.variant)
          const batch = new EntryBatch(origin, 16)
          batch.addReceived(source, 0, lengthOf(source, 0), sequence, wallMs, variant)
          const b = batch.take()
          expect([originOf(b, 0), sequenceOf(b, 0), wallMsOf(b, 0), variantOf(b, 0)]).toEqual([
            origin,
            sequence,
            wallMs,
            variant,
          ])
          const copied = { ...action, receivedAtMs: wallMs, definitionVersion: variant }
          expect(plain(decodeEntry(b, 0).action)).toEqual(plain(copied as Action))
        },
      ),
    )
  })
})

/** Walks a buffer as every reader of foreign bytes does; the number of entries before the first bad one. */
function walk(b: Buffer): number {
  let entries = 0
  for (let o = 0; o < b.length && isWellFormed(b, o, b.length); o += padded(lengthOf(b, o))) {
    entries++
    if (entries > b.length) throw new Error('the walk does not come to an end')
  }
  return entries
}

/** What may be read of an entry that passed the check. Anything but an operating error is a crash. */
function readAll(b: Buffer, o: number): void {
  for (const read of [keyOf, nameOf, envelopeStart, payloadStart, lsnOf, revisionOf, wallMsOf]) read(b, o)
  try {
    decodeEntry(b, o)
  } catch (error) {
    if (!isCommanderError(error) && !(error instanceof Error)) throw error
  }
}

describe('what is not an entry', () => {
  it('is refused at every truncation', () => {
    fc.assert(
      fc.property(anyAction, (action) => {
        const b = encode(action)
        for (let end = 0; end < b.length; end++) {
          expect(isWellFormed(b.subarray(0, end), 0, end)).toBe(false)
          expect(isWellFormed(b, 0, end)).toBe(false)
        }
      }),
      { numRuns: 50 },
    )
  })

  it('is refused with any length but one that its parts fit into and that is there', () => {
    const lengths = fc.oneof(
      uint32,
      fc.integer({ min: 0, max: 400 }),
      fc.constantFrom(0x7fffffff, 0x80000000, 0xfffffff8, 0xfffffff9, 0xffffffff),
    )
    fc.assert(
      fc.property(anyAction, lengths, (action, length) => {
        const b = encode(action)
        const parts = payloadStart(b, 0)
        b.writeUInt32LE(length, entryOffsets.length)
        const fits = length >= parts && Math.ceil(length / 8) * 8 <= b.length
        expect(isWellFormed(b, 0, b.length)).toBe(fits)
      }),
      { numRuns: 500 },
    )
  })

  it('is refused when key, name or envelope reach beyond its end', () => {
    fc.assert(
      fc.property(
        anyAction,
        fc.constantFrom('keyBytes', 'nameBytes', 'envelopeBytes'),
        uint32,
        (action, field, value) => {
          const b = encode(action)
          const room = lengthOf(b, 0) - entryHeaderBytes
          if (field === 'envelopeBytes') b.writeUInt32LE(value, entryOffsets.envelopeBytes)
          else b.writeUInt16LE(value & 0xffff, entryOffsets[field as 'keyBytes' | 'nameBytes'])
          const sum = keyBytesOf(b, 0) + nameBytesOf(b, 0) + envelopeBytesOf(b, 0)
          expect(isWellFormed(b, 0, b.length)).toBe(sum <= room)
        },
      ),
    )
  })

  it('neither crashes nor holds up whoever walks random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
        const b = Buffer.from(bytes)
        walk(b)
        if (isWellFormed(b, 0, b.length)) readAll(b, 0)
      }),
      { numRuns: 2000 },
    )
  })

  it('neither crashes nor holds up whoever walks entries with some bytes changed', () => {
    const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }))
    fc.assert(
      fc.property(
        fc.array(anyAction, { minLength: 1, maxLength: 3 }),
        fc.array(change, { maxLength: 6 }),
        (actions, changes) => {
          const b = encodeAll(actions)
          for (const [at, byte] of changes) b[at % b.length] = byte
          walk(b)
          if (isWellFormed(b, 0, b.length)) readAll(b, 0)
        },
      ),
      { numRuns: 1000 },
    )
  })
})
