import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Deframer } from '../../src/ipc/deframer.ts'
import { SendQueue } from '../../src/ipc/send-queue.ts'

const frameBytesMax = 5000
const bodyPart = fc.oneof(
  { weight: 4, arbitrary: fc.uint8Array({ maxLength: 20 }) },
  { weight: 1, arbitrary: fc.integer({ min: 2040, max: 2056 }).map((bytes) => new Uint8Array(bytes).fill(bytes)) },
)
const frame = fc.record({
  kind: fc.integer({ min: 1, max: 65279 }),
  parts: fc.array(
    bodyPart.map((bytes) => Buffer.from(bytes)),
    { maxLength: 2 },
  ),
})
const cuts = fc.array(fc.integer({ min: 1, max: 3000 }), { maxLength: 60 })

/** Headers around every bound, most of them followed by something, among plain noise. */
const hostileChunk = fc
  .oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc
      .tuple(
        fc.oneof(
          fc.integer({ min: 3, max: 60 }),
          fc.constantFrom(0, 3, 4, frameBytesMax, frameBytesMax + 1, 0xffffffff),
        ),
        fc.integer({ min: 0, max: 0xffff }),
        fc.oneof(
          { weight: 9, arbitrary: fc.constant(0) },
          { weight: 1, arbitrary: fc.integer({ min: 1, max: 0xffff }) },
        ),
      )
      .map(([length, kind, flags]) => {
        const header = Buffer.alloc(8 + Math.max(0, Math.min(length - 4, 56)))
        header.writeUInt32LE(length, 0)
        header.writeUInt16LE(kind, 4)
        header.writeUInt16LE(flags, 6)
        return header
      }),
  )
  .chain((bytes) => fc.integer({ min: 0, max: 300 }).map((cutAt) => bytes.subarray(0, cutAt)))

describe('framing', () => {
  it('gives the frames that were sent, however the bytes are cut into chunks', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 12 }), cuts, fc.boolean(), (frames, lengths, oneByOne) => {
        const received: { kind: number; body: string }[] = []
        const deframer = new Deframer(frameBytesMax, (kind, body) =>
          received.push({ kind, body: body.toString('hex') }),
        )
        for (const chunk of cut(encode(frames), oneByOne ? [] : lengths, oneByOne ? 1 : 4096))
          expect(deframer.push(chunk)).toBeNull()
        expect(received).toEqual(
          frames.map(({ kind, parts }) => ({ kind, body: Buffer.concat(parts).toString('hex') })),
        )
        expect(deframer.pendingBytes).toBe(0)
      }),
      { numRuns: 300 },
    )
  })

  it('takes the same frames in the same order from the queue, whatever credit comes when', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 12 }),
        fc.array(fc.integer({ min: -5, max: 4000 }), { maxLength: 20 }),
        (frames, allowances) => {
          const queue = queueOf(frames)
          const total = queue.queuedBytes
          const written: Buffer[] = []
          let taken = 0
          for (const allowance of [...allowances, Number.MAX_SAFE_INTEGER]) {
            const before = taken
            taken += queue.take(allowance, 0, written)
            const beyond = taken - before - Math.max(0, allowance)
            expect(beyond).toBeLessThan(frameBytesMax)
            expect(queue.queuedBytes).toBe(total - taken)
          }
          expect(queue.isEmpty).toBe(true)
          expect(Buffer.concat(written)).toEqual(encode(frames))
        },
      ),
      { numRuns: 300 },
    )
  })

  it('survives any bytes: frames within the limit, or one refusal and then silence', () => {
    fc.assert(
      fc.property(fc.array(hostileChunk, { maxLength: 40 }), (chunks) => {
        let handedUpBytes = 0
        let pushedBytes = 0
        let refused = false
        const deframer = new Deframer(frameBytesMax, (_kind, body) => {
          expect(refused).toBe(false)
          handedUpBytes += 8 + body.length
        })
        for (const chunk of chunks) {
          const error = deframer.push(chunk)
          expect(error === null || !refused).toBe(true)
          refused ||= error !== null
          pushedBytes += chunk.length
          expect(deframer.pendingBytes).toBeLessThan(frameBytesMax + 4)
          if (!refused) expect(handedUpBytes + deframer.pendingBytes).toBe(pushedBytes)
        }
      }),
      { numRuns: 1000 },
    )
  })
})

function queueOf(frames: readonly { kind: number; parts: readonly Buffer[] }[]): SendQueue {
  const queue = new SendQueue()
  for (const { kind, parts } of frames)
    queue.push(
      kind,
      parts,
      parts.reduce((sum, part) => sum + part.length, 0),
    )
  return queue
}

/** The reference: written out plainly, without the queue. */
function encode(frames: readonly { kind: number; parts: readonly Buffer[] }[]): Buffer {
  return Buffer.concat(
    frames.map(({ kind, parts }) => {
      const body = Buffer.concat(parts)
      const header = Buffer.alloc(8)
      header.writeUInt32LE(body.length + 4, 0)
      header.writeUInt16LE(kind, 4)
      return Buffer.concat([header, body])
    }),
  )
}

function cut(bytes: Buffer, lengths: readonly number[], rest: number): Buffer[] {
  const chunks: Buffer[] = []
  let offset = 0
  for (let i = 0; offset < bytes.length; i++) {
    const length = lengths[i] ?? rest
    chunks.push(bytes.subarray(offset, offset + length))
    offset += length
  }
  return chunks
}
