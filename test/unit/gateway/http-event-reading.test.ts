import { describe, expect, it } from 'vitest'
import { EventReading } from '../../../src/gateway/http-event-reading.ts'
import { LineSink, MessageSink, PageSink } from '../../../src/gateway/http-event-sinks.ts'
import type { EventPortion, EventSource } from '../../../src/gateway/http-event-sources.ts'
import { ArchivedStreams } from '../../../src/tables/archived-streams.ts'
import { manualEnvironment, SlowStream } from './http-fakes.ts'

const archived = new ArchivedStreams(null)

/** Events 1, 2, 3… up to `last`, in portions of two. */
class Counting implements EventSource {
  next = 0
  last: number
  readonly bytes: number
  reads = 0

  constructor(last: number, bytes = 100) {
    this.last = last
    this.bytes = bytes
  }

  read(most: number): EventPortion | null {
    this.reads++
    if (this.next >= this.last) return null
    const texts = [1, 2].map((i) => this.next + i).filter((position) => position <= this.last)
    const taken = texts.slice(0, most).map((position) => ({ position, type: 'counted', json: `{"n":${position}}` }))
    this.next = taken.at(-1)?.position as number
    return { texts: taken, bytes: this.bytes }
  }
}

const setUp = (last: number, takes = 1000, bytes = 100) => {
  const { environment, scheduler } = manualEnvironment()
  return { environment, scheduler, source: new Counting(last, bytes), stream: new SlowStream(takes) }
}

describe('reading events', () => {
  it('gives a page of JSON that says where to go on', () => {
    const { environment, scheduler, source, stream } = setUp(5)
    new EventReading(environment, { source, sink: new PageSink(stream, 'next'), limit: 3, follows: false, archived })
    scheduler.settle()
    expect(JSON.parse(stream.texts.join(''))).toEqual({ events: [{ n: 1 }, { n: 2 }, { n: 3 }], next: 3 })
    expect(stream.isEnded).toBe(true)
  })

  it('gives an empty page where there is nothing', () => {
    const { environment, scheduler, source, stream } = setUp(0)
    new EventReading(environment, {
      source,
      sink: new PageSink(stream, 'nextRevision'),
      limit: 3,
      follows: false,
      archived,
    })
    scheduler.settle()
    expect(stream.texts.join('')).toBe('{"events":[],"nextRevision":0}')
  })

  it('gives lines', () => {
    const { environment, scheduler, source, stream } = setUp(3)
    new EventReading(environment, { source, sink: new LineSink(stream), limit: 1000, follows: false, archived })
    scheduler.settle()
    expect(stream.texts.join('')).toBe('{"n":1}\n{"n":2}\n{"n":3}\n')
    expect(stream.isEnded).toBe(true)
  })

  it('gives messages whose ids are the positions', () => {
    const { environment, scheduler, source, stream } = setUp(1)
    new EventReading(environment, { source, sink: new MessageSink(stream), limit: 1000, follows: true, archived })
    scheduler.settle()
    expect(stream.texts.join('')).toBe('retry: 1000\n\nid: 1\ndata: {"n":1}\n\n')
    expect(stream.isEnded).toBe(false)
  })

  it('goes on with what comes when it follows', () => {
    const { environment, scheduler, source, stream } = setUp(2)
    const reading = new EventReading(environment, {
      source,
      sink: new LineSink(stream),
      limit: 1000,
      follows: true,
      archived,
    })
    scheduler.settle()
    source.last = 3
    scheduler.settle()
    expect(stream.texts).toHaveLength(1)
    reading.wake()
    scheduler.settle()
    expect(stream.texts.join('')).toBe('{"n":1}\n{"n":2}\n{"n":3}\n')
  })

  it('reads nothing for a client that takes nothing, however much comes, and all of it once it does', () => {
    const { environment, scheduler, source, stream } = setUp(100, 3)
    const reading = new EventReading(environment, {
      source,
      sink: new LineSink(stream),
      limit: 1000,
      follows: true,
      archived,
    })
    scheduler.settle()
    source.last = 200
    for (let i = 0; i < 10; i++) {
      reading.wake()
      scheduler.settle()
    }
    expect({ texts: stream.texts.length, reads: source.reads }).toEqual({ texts: 3, reads: 3 })
    for (let i = 0; i < 40; i++) {
      stream.drain()
      scheduler.settle()
    }
    expect(stream.texts.join('').split('\n').length - 1).toBe(200)
  })

  it('lets others have their turn after every 128 KiB', () => {
    const { environment, scheduler, source, stream } = setUp(8, 1000, 100_000)
    new EventReading(environment, { source, sink: new LineSink(stream), limit: 1000, follows: false, archived })
    const turns: number[] = []
    const watch = () => {
      turns.push(stream.texts.length)
      if (!stream.isEnded) scheduler.soon(watch)
    }
    scheduler.soon(watch)
    scheduler.settle()
    expect(turns).toEqual([2, 4, 4])
  })

  it('stops when its client is gone', () => {
    const { environment, scheduler, source, stream } = setUp(2)
    const reading = new EventReading(environment, {
      source,
      sink: new LineSink(stream),
      limit: 1000,
      follows: true,
      archived,
    })
    reading.abandon()
    scheduler.settle()
    reading.wake()
    scheduler.settle()
    expect({ texts: stream.texts, isEnded: stream.isEnded }).toEqual({ texts: [], isEnded: false })
  })

  it('cuts the answer off when the store fails', () => {
    const { environment, scheduler, stream } = setUp(0)
    const failure = new Error('the store is gone')
    const source = {
      next: 0,
      read: () => {
        throw failure
      },
    }
    new EventReading(environment, { source, sink: new LineSink(stream), limit: 10, follows: true, archived })
    scheduler.settle()
    expect({ failure: stream.failure, isEnded: stream.isEnded }).toEqual({ failure, isEnded: false })
  })

  it('keeps a quiet client alive and tells it where it is, but sends nothing to one that takes nothing', () => {
    const { stream } = setUp(0, 2)
    const sink = new MessageSink(stream)
    sink.begin(() => {})
    sink.keepAlive(17)
    sink.keepAlive(18)
    expect(stream.texts).toEqual(['retry: 1000\n\n', ': keep-alive\nid: 17\n\n'])
  })
})
