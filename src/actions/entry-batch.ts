import type { Lsn } from '../kernel/identifiers.ts'
import { writeUint64 } from '../kernel/integers.ts'
import type { ActionCode } from './action-codes.ts'
import { entryHeaderBytes, padded } from './entry-layout.ts'

const nothing = Buffer.alloc(0)

/** What goes into an entry's header and body; one object is reused for many entries. */
export interface EntryFields {
  code: ActionCode
  flags: number
  reference: number
  token: number
  hash: number
  key: string
  eventCount: number
  revision: number
  wallMs: number
  name: string
  variant: number
  envelope: Buffer
  payload: Buffer
}

export const emptyFields = (): EntryFields => ({
  code: 1,
  flags: 0,
  reference: 0,
  token: 0,
  hash: 0,
  key: '',
  eventCount: 0,
  revision: 0,
  wallMs: 0,
  name: '',
  variant: 0,
  envelope: nothing,
  payload: nothing,
})

/** Entries one behind the other in one buffer, ready to be sent as drafts or appended. */
export class EntryBatch {
  /** Of the process incarnation; every entry of the batch carries it. */
  readonly origin: number
  count = 0
  #buffer: Buffer
  #length = 0
  readonly #initialBytes: number

  constructor(origin: number, initialBytes: number = 16_384) {
    this.origin = origin
    this.#initialBytes = initialBytes
    this.#buffer = Buffer.allocUnsafeSlow(initialBytes)
  }

  get byteLength(): number {
    return this.#length
  }

  add(fields: EntryFields, sequence: number, version = 1): void {
    const { key, name, envelope, payload } = fields
    const most = entryHeaderBytes + key.length * 3 + name.length * 3 + envelope.length + payload.length + 8
    if (this.#length + most > this.#buffer.length) this.#grow(most)
    const b = this.#buffer
    const o = this.#length
    let at = o + entryHeaderBytes
    const keyBytes = key.length === 0 ? 0 : b.write(key, at, 'utf8')
    at += keyBytes
    const nameBytes = name.length === 0 ? 0 : b.write(name, at, 'utf8')
    at += nameBytes
    if (envelope.length > 0) at += envelope.copy(b, at)
    if (payload.length > 0) at += payload.copy(b, at)
    const length = at - o
    b.writeUInt32LE(length, o)
    b[o + 4] = fields.code
    b[o + 5] = version
    b.writeUInt16LE(fields.flags, o + 6)
    writeUint64(b, 0, o + 8)
    writeUint64(b, fields.reference, o + 16)
    writeUint64(b, fields.token, o + 24)
    b.writeUInt32LE(this.origin, o + 32)
    b.writeUInt32LE(sequence, o + 36)
    b.writeUInt32LE(fields.hash, o + 40)
    b.writeUInt16LE(keyBytes, o + 44)
    b.writeUInt16LE(fields.eventCount, o + 46)
    writeUint64(b, fields.revision, o + 48)
    b.writeDoubleLE(fields.wallMs, o + 56)
    b.writeUInt16LE(nameBytes, o + 64)
    b.writeUInt16LE(fields.variant, o + 66)
    b.writeUInt32LE(envelope.length, o + 68)
    this.#finish(o, length)
  }

  /**
   * Copies a command that is already encoded and well formed, under this batch's origin and a new sequence.
   * @param variant version of the definition that it was admitted under; 0 for what is no command
   */
  addReceived(source: Buffer, start: number, length: number, sequence: number, wallMs: number, variant = 0): void {
    const room = padded(length)
    if (this.#length + room > this.#buffer.length) this.#grow(room)
    const b = this.#buffer
    const o = this.#length
    source.copy(b, o, start, start + length)
    b.writeUInt32LE(this.origin, o + 32)
    b.writeUInt32LE(sequence, o + 36)
    b.writeDoubleLE(wallMs, o + 56)
    b.writeUInt16LE(variant, o + 66)
    this.#finish(o, length)
  }

  /** The entries as one buffer, which the batch then no longer touches. */
  take(): Buffer {
    const taken = this.#buffer.subarray(0, this.#length)
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(this.#initialBytes, Math.min(padded(this.#length * 2), 1 << 18)))
    this.#length = 0
    this.count = 0
    return taken
  }

  #finish(start: number, length: number): void {
    const end = start + padded(length)
    this.#buffer.fill(0, start + length, end)
    this.#length = end
    this.count++
  }

  #grow(room: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, padded(this.#length + room)))
    this.#buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
  }
}

/** LSNs of `command/started`: u64 each, so that the journal writer's guard reads them without decoding. */
export function packLsns(values: readonly Lsn[]): Buffer {
  const packed = Buffer.allocUnsafe(values.length * 8)
  for (let i = 0; i < values.length; i++) writeUint64(packed, values[i] as number, i * 8)
  return packed
}
