import { describe, expect, it } from 'vitest'
import { Deframer } from '../../../src/ipc/deframer.ts'
import { writeHeader } from '../../../src/ipc/wire-format.ts'

const frameOf = (kind: number, body: Buffer): Buffer => {
  const frame = Buffer.alloc(8 + body.length)
  body.copy(frame, writeHeader(frame, 0, kind, body.length))
  return frame
}

const collect = (frameBytesMax = 1000) => {
  const frames: { kind: number; body: Buffer }[] = []
  return { frames, deframer: new Deframer(frameBytesMax, (kind, body) => frames.push({ kind, body })) }
}

describe('the deframer', () => {
  it('hands up bodies that lie within a chunk as views into it', () => {
    const { frames, deframer } = collect()
    const chunk = Buffer.concat([frameOf(1, Buffer.from('one')), frameOf(2, Buffer.from('two'))])
    expect(deframer.push(chunk)).toBeNull()
    expect(frames.map(({ kind, body }) => [kind, body.toString()])).toEqual([
      [1, 'one'],
      [2, 'two'],
    ])
    expect(frames.every(({ body }) => body.buffer === chunk.buffer)).toBe(true)
  })

  it('hands up a body that fills a chunk of its own as a view into it', () => {
    const { frames, deframer } = collect()
    const frame = frameOf(7, Buffer.from('body'))
    const body = Buffer.from('body')
    deframer.push(frame.subarray(0, 8))
    deframer.push(body)
    expect(frames).toHaveLength(1)
    expect(frames[0]?.body.buffer).toBe(body.buffer)
  })

  it('puts together a frame that comes one byte at a time', () => {
    const { frames, deframer } = collect()
    for (const byte of frameOf(0x1234, Buffer.from('slowly'))) {
      expect(frames).toHaveLength(0)
      expect(deframer.push(Buffer.of(byte))).toBeNull()
    }
    expect(frames).toEqual([{ kind: 0x1234, body: Buffer.from('slowly') }])
    expect(deframer.pendingBytes).toBe(0)
  })

  it('hands up an empty body', () => {
    const { frames, deframer } = collect()
    deframer.push(frameOf(3, Buffer.alloc(0)))
    expect(frames).toEqual([{ kind: 3, body: Buffer.alloc(0) }])
  })

  it('says how much of a frame it waits with', () => {
    const { deframer } = collect()
    const frame = frameOf(1, Buffer.alloc(20))
    deframer.push(frame.subarray(0, 5))
    expect(deframer.pendingBytes).toBe(5)
    deframer.push(frame.subarray(5, 8))
    expect(deframer.pendingBytes).toBe(8)
    deframer.push(frame.subarray(8, 10))
    expect(deframer.pendingBytes).toBe(10)
  })

  it('accepts a frame of exactly the limit and refuses one byte more', () => {
    const { frames, deframer } = collect(104)
    expect(deframer.push(frameOf(1, Buffer.alloc(100)))).toBeNull()
    const error = deframer.push(frameOf(1, Buffer.alloc(101)))
    expect(error?.code).toBe('protocol_violation')
    expect(error?.message).toContain('a frame of 105 bytes is over the limit of 104')
    expect(frames).toHaveLength(1)
  })

  it('refuses a frame beyond the limit by its header alone, whole or in pieces, and makes no room for it', () => {
    const beyond = Buffer.alloc(8)
    writeHeader(beyond, 0, 1, 1_000_000_000)
    for (const cut of [0, 1, 4, 7]) {
      const { frames, deframer } = collect(104)
      const errors = [deframer.push(beyond.subarray(0, cut)), deframer.push(beyond.subarray(cut))]
      expect(errors.map((error) => error?.message ?? '').join()).toContain('is over the limit of 104')
      expect(deframer.pendingBytes).toBe(0)
      expect(frames).toHaveLength(0)
    }
  })

  it.each([
    ['a length of zero', Buffer.of(0, 0, 0, 0, 1, 0, 0, 0), 'a frame of 0 bytes is too short'],
    ['a length without room for a kind', Buffer.of(3, 0, 0, 0, 1, 0, 0, 0), 'a frame of 3 bytes is too short'],
    ['unknown flags', Buffer.of(4, 0, 0, 0, 1, 0, 2, 0), 'unknown flags 2'],
  ])('refuses %s, whole or in pieces, and everything after it', (_name, bytes, message) => {
    for (const cut of [0, 1, 4, 7]) {
      const { frames, deframer } = collect()
      const errors = [deframer.push(bytes.subarray(0, cut)), deframer.push(bytes.subarray(cut))]
      expect(errors.map((error) => error?.message ?? '').join()).toContain(message)
      expect(deframer.push(frameOf(1, Buffer.from('late')))).toBeNull()
      expect(frames).toHaveLength(0)
    }
  })

  it('stops in the middle of a chunk when it is told to', () => {
    const kinds: number[] = []
    const deframer = new Deframer(1000, (kind) => {
      kinds.push(kind)
      if (kind === 2) deframer.stop()
    })
    deframer.push(Buffer.concat([1, 2, 3].map((kind) => frameOf(kind, Buffer.alloc(1)))))
    expect(kinds).toEqual([1, 2])
  })

  it('lets what the owner throws pass through', () => {
    const deframer = new Deframer(1000, () => {
      throw new RangeError('mine')
    })
    expect(() => deframer.push(frameOf(1, Buffer.alloc(0)))).toThrow('mine')
  })
})
