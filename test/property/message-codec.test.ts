import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { referenceBytesMin } from '../../src/ipc/send-queue.ts'
import { epoch, lsn } from '../../src/kernel/identifiers.ts'
import { makeBatch } from '../../src/replication/batch.ts'
import { decodeMessage, encodeMessage, type ReplicationMessage } from '../../src/replication/message-codec.ts'
import { anyMessageByKind, messageKinds } from '../unit/replication/any-message.ts'

const codeOf = (run: () => unknown): unknown => {
  try {
    run()
  } catch (error) {
    return (error as { code?: string }).code ?? error
  }
  return null
}

describe('a replication message', () => {
  it.each(messageKinds)('comes out as it went in: %s', (kind) => {
    fc.assert(
      fc.property(anyMessageByKind[kind] as fc.Arbitrary<ReplicationMessage>, (message) => {
        const encoded = encodeMessage(message)
        expect(decodeMessage(encoded.kind, Buffer.concat(encoded.body))).toEqual(message)
      }),
      { numRuns: 50 },
    )
  })

  it('has a number of its own for each kind', () => {
    const numbers = messageKinds.map((kind) => {
      const [message] = fc.sample(anyMessageByKind[kind] as fc.Arbitrary<ReplicationMessage>, 1)
      return encodeMessage(message as ReplicationMessage).kind
    })
    expect(new Set(numbers).size).toBe(messageKinds.length)
  })

  it('carries payloads as they are, in the very buffers that it was given, and hands up views', () => {
    const payload = Buffer.alloc(referenceBytesMin, 7)
    const first = makeBatch(Buffer.alloc(16), lsn(1), 3, payload)
    const second = makeBatch(first.digest, lsn(4), 1, payload)
    const about = { id: 1, stream: 's', epoch: epoch(1), segmentEpoch: epoch(1) }
    const batches = [first, second]
    const { kind, body } = encodeMessage({ kind: 'append', ...about, committed: lsn(0), next: [], batches })
    expect(body.slice(1)).toEqual([payload, payload])
    expect(body.slice(1).every((part) => part === payload)).toBe(true)
    const whole = Buffer.concat(body)
    const decoded = decodeMessage(kind, whole)
    if (decoded.kind !== 'append') throw new Error(decoded.kind)
    expect(decoded.batches.every((batch) => batch.payload.buffer === whole.buffer)).toBe(true)
  })

  it('is refused when it is cut off anywhere, or has more behind it', () => {
    for (const kind of messageKinds) {
      const [message] = fc.sample(anyMessageByKind[kind] as fc.Arbitrary<ReplicationMessage>, { seed: 7, numRuns: 1 })
      const encoded = encodeMessage(message as ReplicationMessage)
      const whole = Buffer.concat(encoded.body)
      for (let length = 0; length < whole.length; length += 1 + (length >> 3))
        expect(codeOf(() => decodeMessage(encoded.kind, whole.subarray(0, length)))).toBe('protocol_violation')
      const longer = Buffer.concat([whole, Buffer.alloc(1)])
      expect(codeOf(() => decodeMessage(encoded.kind, longer))).toBe('protocol_violation')
    }
  })

  it('is refused when there is no such kind', () => {
    for (const kind of [0, 13, 32, 64, 65_279])
      expect(codeOf(() => decodeMessage(kind, Buffer.alloc(40)))).toBe('protocol_violation')
  })

  it('is not made over its bounds', () => {
    const about = { id: 1, epoch: epoch(1), segmentEpoch: epoch(1) }
    expect(codeOf(() => encodeMessage({ kind: 'seal', ...about, stream: 'é'.repeat(65) }))).toBe('protocol_violation')
  })
})
