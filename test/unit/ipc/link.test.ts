import { describe, expect, it } from 'vitest'
import type { BytePipe } from '../../../src/ipc/byte-pipe.ts'
import type { ChannelHandlers } from '../../../src/ipc/channel.ts'
import { Link, type LinkBounds } from '../../../src/ipc/link.ts'
import { encodeGoodbye, encodeHello, headerBytes, writeHeader } from '../../../src/ipc/wire-format.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { ManualScheduler } from './manual-scheduler.ts'
import { RecordingLog } from './recording-log.ts'

class FakePipe implements BytePipe {
  readonly writes: (readonly Buffer[])[] = []
  isEnded = false
  isDestroyed = false

  write(buffers: readonly Buffer[]): void {
    this.writes.push(buffers)
  }

  end(): void {
    this.isEnded = true
  }

  destroy(): void {
    this.isDestroyed = true
  }

  /** The frames of everything written, as [kind, body bytes]. */
  get frames(): [kind: number, bodyBytes: number][] {
    const bytes = Buffer.concat(this.writes.flat())
    const frames: [number, number][] = []
    for (let at = 0; at < bytes.length; at += 4 + bytes.readUInt32LE(at))
      frames.push([bytes.readUInt16LE(at + 4), bytes.readUInt32LE(at) - 4])
    return frames
  }
}

const frameOf = (kind: number, body: Buffer): Buffer => {
  const frame = Buffer.alloc(headerBytes + body.length)
  body.copy(frame, writeHeader(frame, 0, kind, body.length))
  return frame
}

const creditOf = (bytes: number): Buffer => {
  const body = Buffer.alloc(4)
  body.writeUInt32LE(bytes)
  return frameOf(0, body)
}

interface Setup {
  readonly bounds?: LinkBounds
  readonly handlers?: Partial<ChannelHandlers>
  readonly role?: 'connects' | 'accepts'
}

const setUp = ({ bounds = {}, handlers = {}, role = 'connects' }: Setup = {}) => {
  const scheduler = new ManualScheduler()
  const log = new RecordingLog()
  const pipe = new FakePipe()
  const told: string[] = []
  const open = (): ChannelHandlers => {
    told.push('open')
    return {
      frame: (kind, body) => told.push(`frame ${kind} of ${body.length}`),
      opened: () => told.push('opened'),
      writable: () => told.push('writable'),
      closed: (error) => told.push(`closed: ${error?.code ?? 'null'}`),
      ...handlers,
    }
  }
  const link = new Link({ peer: 'the peer', pipe, environment: { scheduler, log }, bounds, open, role })
  return { scheduler, log, pipe, told, link }
}

/** Connected and greeted, with what was written until then forgotten. */
const setUpOpen = (setup: Setup = {}) => {
  const parts = setUp(setup)
  parts.link.connected()
  parts.link.receive(encodeHello(setup.bounds?.windowBytes ?? 1 << 20))
  parts.scheduler.settle()
  parts.pipe.writes.length = 0
  parts.told.length = 0
  return parts
}

describe('the greeting', () => {
  it('comes first, and nothing else is written before the peer has greeted', () => {
    const { link, pipe, scheduler, told } = setUp()
    link.send(5, Buffer.from('early'))
    link.connected()
    scheduler.settle()
    expect(pipe.frames).toEqual([[65535, 12]])
    link.receive(encodeHello(1000))
    scheduler.settle()
    expect(told).toEqual(['open', 'opened'])
    expect(pipe.frames).toEqual([
      [65535, 12],
      [5, 5],
    ])
  })

  it('is awaited before an accepted channel is shown to anybody', () => {
    const { link, told } = setUp({ role: 'accepts' })
    link.connected()
    expect(told).toEqual([])
    link.receive(encodeHello(1000))
    expect(told).toEqual(['open', 'opened'])
  })

  it.each([
    ['another version', encodeHello(1000, 2), 'unsupported_version', 'version 2'],
    ['another magic', frameOf(65535, Buffer.from('elasticsearch')), 'protocol_violation', '0x656c6173746963'],
    ['a window of nothing', encodeHello(0), 'protocol_violation', 'window of 0'],
    [
      'too long a greeting',
      frameOf(65535, Buffer.concat([encodeHello(9).subarray(8), Buffer.alloc(1)])),
      'protocol_violation',
      '13 bytes',
    ],
    ['another frame', frameOf(7, Buffer.alloc(3)), 'protocol_violation', 'kind 7'],
    ['a frame too long for a greeting', frameOf(65535, Buffer.alloc(300)), 'protocol_violation', '304'],
  ])('is refused with %s', (_name, bytes, code, shown) => {
    const { link, told, log, pipe, scheduler } = setUp()
    link.connected()
    link.receive(bytes)
    scheduler.settle()
    expect(told).toEqual(['open', `closed: ${code}`])
    expect(log.codes).toEqual([code])
    expect(log.lines[0]?.message).toContain(shown)
    expect(pipe.isEnded).toBe(true)
    expect(pipe.frames.map(([kind]) => kind)).toEqual([65535, 65534])
  })

  it('is not waited for longer than ten seconds', () => {
    const { link, told, scheduler } = setUp()
    link.connected()
    scheduler.advance(9_999)
    expect(told).toEqual(['open'])
    scheduler.advance(1)
    expect(told).toEqual(['open', 'closed: connection_lost'])
  })

  it('leaves no timer behind once it came', () => {
    const { link, told, scheduler } = setUpOpen()
    scheduler.advance(60_000)
    expect(told).toEqual([])
    expect(link.writable).toBe(true)
  })
})

describe('sending', () => {
  it('gathers all frames of a turn in one write, small parts in one buffer and large ones by reference', () => {
    const { link, pipe, scheduler } = setUpOpen()
    const large = Buffer.alloc(2048, 1)
    const snapshot = Buffer.from(large)
    link.send(1, Buffer.from('a'))
    link.send(2, Buffer.from('b'), large, Buffer.from('c'))
    link.send(3)
    expect(pipe.writes).toHaveLength(0)
    expect(scheduler.pendingTurns).toBe(1)
    scheduler.settle()
    expect(pipe.writes).toHaveLength(1)
    expect(pipe.writes[0]).toHaveLength(3)
    expect(pipe.writes[0]?.[1]).toBe(large)
    expect(large.equals(snapshot)).toBe(true)
    expect(pipe.frames).toEqual([
      [1, 1],
      [2, 2050],
      [3, 0],
    ])
  })

  it('writes at once when it is told to, and not again at the end of the turn', () => {
    const { link, pipe, scheduler } = setUpOpen()
    link.send(1, Buffer.from('now'))
    link.flush()
    expect(pipe.frames).toEqual([[1, 3]])
    scheduler.settle()
    expect(pipe.writes).toHaveLength(1)
  })

  it('counts 8 bytes a frame and its body until the peer releases them', () => {
    const { link, scheduler } = setUpOpen()
    link.send(1, Buffer.alloc(92))
    expect(link.outstandingBytes).toBe(100)
    scheduler.settle()
    expect(link.outstandingBytes).toBe(100)
    link.receive(creditOf(60))
    expect(link.outstandingBytes).toBe(40)
  })

  it('writes nothing more once the credit is used up, and goes on when some returns', () => {
    const { link, pipe, scheduler, told } = setUpOpen({ bounds: { windowBytes: 200 } })
    for (let i = 1; i <= 4; i++) link.send(i, Buffer.alloc(92))
    expect(link.writable).toBe(false)
    scheduler.settle()
    expect(pipe.frames.map(([kind]) => kind)).toEqual([1, 2])
    link.receive(creditOf(100))
    scheduler.settle()
    expect(pipe.frames.map(([kind]) => kind)).toEqual([1, 2, 3])
    expect(told).toEqual([])
    link.receive(creditOf(200))
    scheduler.settle()
    expect(pipe.frames.map(([kind]) => kind)).toEqual([1, 2, 3, 4])
    expect(told).toEqual(['writable'])
    expect(link.writable).toBe(true)
    link.receive(creditOf(50))
    expect(told).toEqual(['writable'])
  })

  it('lets a frame that is larger than the window go when there is any credit', () => {
    const { link, pipe, scheduler } = setUpOpen({ bounds: { windowBytes: 100 } })
    link.send(1, Buffer.alloc(5000))
    scheduler.settle()
    expect(pipe.frames).toEqual([[1, 5000]])
    expect(link.writable).toBe(false)
  })

  it('goes by the window that the peer has greeted with', () => {
    const { link, scheduler, pipe } = setUp({ bounds: { windowBytes: 1_000_000 } })
    link.connected()
    link.receive(encodeHello(50))
    link.send(1, Buffer.alloc(92))
    link.send(1, Buffer.alloc(92))
    scheduler.settle()
    expect(pipe.frames).toEqual([
      [65535, 12],
      [1, 92],
    ])
    expect(link.writable).toBe(false)
  })

  it('closes with overloaded when the sender goes on beyond four windows', () => {
    const { link, pipe, scheduler, told } = setUpOpen({ bounds: { windowBytes: 1000 } })
    let sent = 0
    while (link.outstandingBytes <= 4000) {
      link.send(1, Buffer.alloc(92))
      sent++
    }
    scheduler.settle()
    expect(told).toEqual([])
    link.send(1, Buffer.alloc(92))
    link.send(1, Buffer.alloc(92))
    expect(told).toEqual([])
    scheduler.settle()
    expect(sent).toBe(41)
    expect(told).toEqual(['closed: overloaded'])
    expect(pipe.frames.at(-1)?.[0]).toBe(65534)
    expect(link.outstandingBytes).toBeLessThanOrEqual(1000)
  })

  it('bounds what is sent before the connection is up', () => {
    const { link, scheduler, told, pipe } = setUp({ bounds: { windowBytes: 1000 } })
    for (let i = 0; i < 50; i++) link.send(1, Buffer.alloc(92))
    scheduler.settle()
    expect(told).toEqual(['open', 'closed: overloaded'])
    expect(pipe.isDestroyed).toBe(true)
    expect(pipe.writes).toHaveLength(0)
  })

  it('refuses a frame over the limit and goes on', () => {
    const { link, pipe, scheduler } = setUpOpen({ bounds: { frameBytesMax: 100 } })
    expect(() => link.send(9, Buffer.alloc(60), Buffer.alloc(37))).toThrow(
      expect.objectContaining({ code: 'payload_too_large', message: expect.stringMatching(/kind 9 .*97 .*100/) }),
    )
    link.send(9, Buffer.alloc(60), Buffer.alloc(36))
    scheduler.settle()
    expect(pipe.frames).toEqual([[9, 96]])
  })

  it.each([0, 65280, 65534, 65535, -1])('is a mistake of the program with the reserved kind %d', (kind) => {
    expect(() => setUpOpen().link.send(kind)).toThrow('frame kind')
  })
})

describe('receiving', () => {
  it('grants credit a quarter of the window at a time', () => {
    const { link, pipe, scheduler } = setUpOpen({ bounds: { windowBytes: 1000 } })
    for (let i = 0; i < 5; i++) {
      link.receive(frameOf(1, Buffer.alloc(42)))
      link.release(42)
      scheduler.settle()
      expect(pipe.frames).toEqual(i < 4 ? [] : [[0, 4]])
    }
    expect(pipe.writes.flat().at(-1)?.readUInt32LE(8)).toBe(250)
  })

  it('sends the credit in the same write as the frames that wait', () => {
    const { link, pipe, scheduler } = setUpOpen({ bounds: { windowBytes: 1000 } })
    link.receive(frameOf(1, Buffer.alloc(300)))
    link.send(4, Buffer.alloc(3000))
    link.release(300)
    scheduler.settle()
    expect(pipe.writes).toHaveLength(1)
    expect(pipe.frames).toEqual([
      [0, 4],
      [4, 3000],
    ])
  })

  it('grants the credit of empty frames without any release', () => {
    const { link, pipe, scheduler } = setUpOpen({ bounds: { windowBytes: 80 } })
    for (let i = 0; i < 30; i++) {
      link.receive(frameOf(1, Buffer.alloc(0)))
      scheduler.settle()
    }
    expect(pipe.frames.length).toBe(10)
  })

  it('grants credit although it has none itself', () => {
    const { link, pipe, scheduler } = setUpOpen({ bounds: { windowBytes: 100 } })
    link.send(1, Buffer.alloc(92))
    link.send(1, Buffer.alloc(92))
    scheduler.settle()
    pipe.writes.length = 0
    link.receive(frameOf(1, Buffer.alloc(92)))
    link.release(92)
    scheduler.settle()
    expect(pipe.frames).toEqual([[0, 4]])
  })

  it('is a mistake of the program when more is released than was received', () => {
    const { link } = setUpOpen()
    link.receive(frameOf(1, Buffer.alloc(10)))
    expect(() => link.release(11)).toThrow('more bytes are released than are held')
  })

  it.each([
    [
      'sends beyond the window',
      [frameOf(1, Buffer.alloc(150)), frameOf(1, Buffer.alloc(1))],
      ['frame 1 of 150'],
      'window of 100',
    ],
    ['releases more than it was sent', [creditOf(1)], [], 'released 1 bytes and holds 0'],
    ['sends a malformed credit', [frameOf(0, Buffer.alloc(3))], [], '3 bytes instead of 4'],
    ['greets twice', [encodeHello(5)], [], 'reserved kind 65535'],
    ['uses an unknown reserved kind', [frameOf(65300, Buffer.alloc(0))], [], 'reserved kind 65300'],
    [
      'gives a malformed reason',
      [frameOf(65534, Buffer.from('{"code":"toString","message":"","retryable":true}'))],
      [],
      'malformed reason',
    ],
    ['gives a reason that is no JSON', [frameOf(65534, Buffer.from('bye'))], [], 'malformed reason'],
    ['sends an over-long frame', [Buffer.of(0, 0, 0, 2, 1, 0, 0, 0)], [], '33554432'],
  ])('ends the connection when the peer %s', (_name, chunks, before, shown) => {
    const { link, told, log, scheduler, pipe } = setUpOpen({ bounds: { windowBytes: 100 } })
    for (const chunk of chunks) link.receive(chunk)
    link.receive(frameOf(1, Buffer.alloc(1)))
    scheduler.settle()
    expect(told).toEqual([...before, 'closed: protocol_violation'])
    expect(log.codes).toEqual(['protocol_violation'])
    expect(log.lines[0]?.message).toContain(shown)
    expect(pipe.isEnded).toBe(true)
  })

  it('ends the connection when its owner throws, says so in the log, and hands up nothing more', () => {
    const seen: number[] = []
    const { link, told, log, scheduler } = setUpOpen({
      handlers: {
        frame(kind) {
          seen.push(kind)
          if (kind === 2) throw new RangeError('out of cheese')
        },
      },
    })
    link.receive(Buffer.concat([1, 2, 3].map((kind) => frameOf(kind, Buffer.alloc(1)))))
    link.receive(frameOf(4, Buffer.alloc(1)))
    scheduler.settle()
    expect(seen).toEqual([1, 2])
    expect(told).toEqual(['closed: internal'])
    expect(log.lines).toMatchObject([{ level: 'error', message: expect.stringContaining('out of cheese') }])
  })
})

describe('the end', () => {
  it('writes what the credit allows and a farewell, and tells the owner in a later turn', () => {
    const { link, pipe, scheduler, told } = setUpOpen({ bounds: { windowBytes: 100 } })
    link.send(1, Buffer.alloc(92))
    link.send(2, Buffer.alloc(92))
    link.close()
    expect(pipe.frames).toEqual([
      [1, 92],
      [65534, 0],
    ])
    expect(pipe.isEnded).toBe(true)
    expect(told).toEqual([])
    link.receive(frameOf(1, Buffer.alloc(1)))
    link.close(new CommanderError('internal', 'too late'))
    link.send(3)
    link.release(1_000_000)
    link.ended(null)
    scheduler.settle()
    expect(told).toEqual(['closed: null'])
    expect(link.writable).toBe(false)
  })

  it('destroys the pipe when the peer does not end its side', () => {
    const { link, pipe, scheduler } = setUpOpen()
    link.close()
    scheduler.advance(1999)
    expect(pipe.isDestroyed).toBe(false)
    scheduler.advance(1)
    expect(pipe.isDestroyed).toBe(true)
  })

  it('gives the peer’s reason', () => {
    const { link, scheduler, told, log, pipe } = setUpOpen()
    link.receive(encodeGoodbye(new CommanderError('not_ready', 'stopping')))
    link.ended(null)
    scheduler.settle()
    expect(told).toEqual(['closed: not_ready'])
    expect(log.lines).toEqual([])
    expect(pipe.isEnded).toBe(true)
  })

  it.each(['connects', 'accepts'] as const)('may come while the owner opens the channel that it %s', (role) => {
    const told: string[] = []
    const scheduler = new ManualScheduler()
    const pipe = new FakePipe()
    const link = new Link({
      peer: 'the peer',
      pipe,
      environment: { scheduler, log: new RecordingLog() },
      bounds: {},
      role,
      open: (channel) => {
        channel.close()
        return {
          frame: () => told.push('frame'),
          opened: () => told.push('opened'),
          closed: (error) => told.push(`closed: ${error?.code ?? 'null'}`),
        }
      },
    })
    link.connected()
    link.receive(encodeHello(1000))
    link.receive(frameOf(1, Buffer.alloc(1)))
    scheduler.settle()
    expect(told).toEqual(['closed: null'])
  })

  it('is a lost connection when the peer leaves without a farewell', () => {
    const { link, scheduler, told, pipe } = setUpOpen()
    link.ended(null)
    scheduler.settle()
    expect(told).toEqual(['closed: connection_lost'])
    expect(pipe.writes).toEqual([])
    expect(pipe.isDestroyed).toBe(true)
  })

  it('is a violation when the peer leaves in the middle of a frame', () => {
    const { link, scheduler, told, log } = setUpOpen()
    link.receive(frameOf(1, Buffer.alloc(10)).subarray(0, 11))
    link.ended(null)
    scheduler.settle()
    expect(told).toEqual(['closed: protocol_violation'])
    expect(log.lines[0]?.message).toContain('11 bytes into a frame')
  })

  it('is told once more to nobody when the closed handler throws', () => {
    const { link, scheduler, log } = setUpOpen({
      handlers: {
        closed() {
          throw new Error('in closed')
        },
      },
    })
    link.close()
    expect(() => scheduler.settle()).not.toThrow()
    expect(log.lines).toMatchObject([{ level: 'error', message: expect.stringContaining('closed handler') }])
  })

  it('stops in the middle of a chunk when the owner closes, even before the peer’s own farewell', () => {
    const seen: number[] = []
    const { link, scheduler, told } = setUpOpen({
      handlers: {
        frame(kind) {
          seen.push(kind)
          if (kind === 2) link.close()
        },
      },
    })
    link.receive(Buffer.concat([...[1, 2, 3].map((kind) => frameOf(kind, Buffer.alloc(1))), encodeGoodbye(null)]))
    scheduler.settle()
    expect(seen).toEqual([1, 2])
    expect(told).toEqual(['closed: null'])
  })
})
