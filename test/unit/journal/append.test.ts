import { describe, expect, test } from 'vitest'
import { inspectJournal } from '../../../src/journal/inspect.ts'
import { frameOverheadBytes, framePayloadBytesMax, segmentHeaderBytes } from '../../../src/journal/options.ts'
import { JournalReader } from '../../../src/journal/reader.ts'
import { segmentsOf } from '../../../src/journal/segment-name.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { append, codeOf, flush, JournalWorld, payloadOf, smallSegments } from './journal-world.ts'

function framesOf(world: JournalWorld): { offset: number; flags: number }[] {
  return [...inspectJournal(world.storage)].flatMap((row) =>
    row.kind === 'frame' ? [{ offset: row.offset, flags: row.header.flags }] : [],
  )
}

describe('an empty journal', () => {
  test('opens with a first segment and nothing written', async () => {
    const world = new JournalWorld()
    const { journal, report } = await world.open()
    expect(journal).toMatchObject({
      firstLsn: 1,
      writtenLsn: 0,
      flushedLsn: 0,
      writtenBytes: 0,
      timeline: 1,
      failed: null,
    })
    expect(report).toMatchObject({ rule: 'R8', action: 'open', recoveredLsn: 0 })
    expect(segmentsOf(world.storage.list())).toEqual([
      { name: '0000000001-0000000000000001.segment', segNo: 1, baseLsn: 1 },
    ])
  })

  test('can be closed and opened again', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    expect(await world.close(journal)).toBeNull()
    const { journal: again } = await world.open()
    expect(again.writtenLsn).toBe(0)
    append(again)
    expect(again.writtenLsn).toBe(1)
  })
})

describe('append', () => {
  test('counts entries and bytes, and leaves the flushed LSN alone', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    append(journal, 3, 64)
    append(journal, 2, 8)
    expect(journal).toMatchObject({ writtenLsn: 5, flushedLsn: 0, writtenBytes: 72 + 2 * frameOverheadBytes })
  })

  test('puts frames behind each other until a flush starts, then begins a new block', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    append(journal, 1, 64)
    append(journal, 1, 64)
    journal.flush(() => undefined)
    append(journal, 1, 64)
    expect(framesOf(world).map(({ offset }) => offset)).toEqual([4096, 4096 + 184, 8192])
  })

  test('never writes to a block again once a flush of it has started', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    const frozen = new Set<string>()
    const open = new Set<string>()
    world.fault = (operation) => {
      if (operation.kind === 'write' && segmentsOf([operation.name]).length === 1) {
        const { name, position = 0, bytes = 0 } = operation
        for (let block = Math.floor(position / 4096); block * 4096 < position + bytes; block++) {
          expect(frozen).not.toContain(`${name} ${block}`)
          open.add(`${name} ${block}`)
        }
      }
      return null
    }
    for (let i = 0; i < 500; i++) {
      append(journal, 1, 8 * (1 + ((i * 97) % 900)))
      if (i % 3 !== 0) continue
      for (const block of open) frozen.add(block)
      flush(world, journal)
    }
    expect(segmentsOf(world.storage.list()).length).toBeGreaterThan(1)
  })

  test('is one write for each frame', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    const writes: number[] = []
    world.fault = ({ kind, bytes }) => {
      if (kind === 'write') writes.push(bytes ?? 0)
      return null
    }
    append(journal, 4, 4000)
    expect(writes).toEqual([4000 + frameOverheadBytes])
  })

  test('changes the digest with every frame', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    const digests = new Set([journal.lastDigest.toString('hex')])
    for (let i = 0; i < 10; i++) {
      append(journal)
      digests.add(journal.lastDigest.toString('hex'))
    }
    expect(digests.size).toBe(11)
  })

  test('refuses LSNs that do not follow, odd sizes and empty frames as bugs of the caller', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    const payload = Buffer.alloc(8, 1)
    expect(() => journal.append(payload, lsn(2), 1, lsn(0))).toThrow('LSN 2 does not follow 0')
    expect(() => journal.append(Buffer.alloc(9), lsn(1), 1, lsn(0))).toThrow('a multiple of 8')
    expect(() => journal.append(payload, lsn(1), 0, lsn(0))).toThrow('at least one entry')
    expect(() => journal.append(payload, lsn(1), 1, lsn(1))).toThrow('committed and not yet written')
    expect(journal).toMatchObject({ writtenLsn: 0, failed: null })
  })

  test('takes the largest payload that it names, and no larger one', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    const bytes = framePayloadBytesMax(smallSegments)
    append(journal, 1, bytes)
    append(journal, 1, bytes)
    expect(codeOf(() => append(journal, 1, bytes + 8))).toBe('payload_too_large')
    expect(journal).toMatchObject({ writtenLsn: 2, failed: null })
    flush(world, journal)
    world.storage.kill()
    const { batches } = await world.open()
    expect(batches.map(({ payload }) => payload.length)).toEqual([bytes, bytes])
  })

  test('keeps its clock from falling', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    append(journal)
    const before = world.wallMs
    world.wallMs -= 10_000
    append(journal)
    world.wallMs += 20_000
    append(journal)
    const times = new JournalReader(world.storage, lsn(1)).read(1 << 20, lsn(3)).map(({ wallMs }) => wallMs)
    expect(times).toEqual([before, before, before + 10_000])
  })
})

describe('flush', () => {
  test('covers what was written when it was called, and nothing after', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    append(journal, 3)
    let flushed = -1
    journal.flush((flushedLsn) => {
      flushed = flushedLsn
    })
    append(journal, 2)
    expect(flushed).toBe(-1)
    world.scheduler.runDue()
    expect(flushed).toBe(3)
    expect(journal.flushedLsn).toBe(3)
    expect(flush(world, journal)).toEqual({ flushedLsn: 5, error: null })
  })

  test('answers later even when there is nothing to do', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    let calls = 0
    journal.flush(() => calls++)
    expect(calls).toBe(0)
    world.scheduler.runDue()
    expect(calls).toBe(1)
  })

  test('is one at a time', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    append(journal)
    journal.flush(() => undefined)
    expect(() => journal.flush(() => undefined)).toThrow('one flush at a time')
  })

  test('covers the sealed segment before the new one', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    const order: string[] = []
    world.fault = ({ kind, name }) => {
      if (kind === 'flush') order.push(name)
      return null
    }
    while (segmentsOf(world.storage.list()).length < 2) append(journal, 1, 100_000)
    expect(flush(world, journal).flushedLsn).toBe(journal.writtenLsn)
    expect(order).toEqual(segmentsOf(world.storage.list()).map(({ name }) => name))
  })

  test('covers a segment that was sealed while it was being flushed', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    append(journal, 1, 100_000)
    let flushed = 0
    journal.flush((flushedLsn) => {
      flushed = flushedLsn
    })
    while (segmentsOf(world.storage.list()).length < 2) append(journal, 1, 100_000)
    const last = journal.writtenLsn
    world.scheduler.runDue()
    expect(flushed).toBe(1)
    expect(flush(world, journal).flushedLsn).toBe(last)
    world.storage.crash(world.random)
    const { batches } = await world.open()
    expect(batches.at(-1)?.firstLsn).toBe(last)
  })
})

describe('segments', () => {
  test('follow each other with a seal, a number and a first LSN', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    for (let i = 0; i < 40; i++) append(journal, 2, 100_000)
    flush(world, journal)
    const segments = segmentsOf(world.storage.list())
    expect(segments.length).toBeGreaterThan(3)
    expect(segments.map(({ segNo }) => segNo)).toEqual(segments.map((_, index) => index + 1))
    const rows = [...inspectJournal(world.storage)]
    const seals = rows.filter((row) => row.kind === 'frame' && row.header.flags === 2)
    expect(seals).toHaveLength(segments.length - 1)
    for (const { name, baseLsn } of segments) {
      const first = rows.find((row) => row.kind === 'frame' && row.segment === name)
      expect(first).toMatchObject({ offset: segmentHeaderBytes, header: { firstLsn: baseLsn } })
    }
  })

  test('always have room for their seal', async () => {
    for (const spare of [0, 64, 112, 120, 4096, 8192]) {
      const world = new JournalWorld()
      const { journal } = await world.open()
      append(journal, 1, 500_000)
      append(journal, 1, (1 << 20) - segmentHeaderBytes - 500_000 - 2 * frameOverheadBytes - spare)
      flush(world, journal)
      append(journal, 1, 64)
      flush(world, journal)
      world.storage.kill()
      expect((await world.open()).report).toMatchObject({ rule: 'R8', recoveredLsn: 3 })
    }
  })

  test('are made ahead of time, and one spare stays', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    world.scheduler.runDue()
    expect(world.storage.list()).toContain('spare.segment')
    for (let i = 0; i < 20; i++) append(journal, 1, 100_000)
    world.scheduler.runDue()
    expect(world.storage.list()).toContain('spare.segment')
  })

  test('are made at once when the background is too slow', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    const segmentsBefore = segmentsOf(world.storage.list()).length
    // nothing in the background runs while these are appended
    for (let i = 0; i < 30; i++) append(journal, 1, 100_000)
    expect(segmentsOf(world.storage.list()).length).toBeGreaterThan(segmentsBefore + 1)
    expect(flush(world, journal)).toEqual({ flushedLsn: 30, error: null })
    world.storage.kill()
    expect((await world.open()).batches).toHaveLength(30)
  })

  test('that are stale are removed, one of them to become the spare', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    for (let i = 0; i < 40; i++) append(journal, 1, 100_000)
    flush(world, journal)
    world.scheduler.runDue()
    const segments = segmentsOf(world.storage.list())
    const third = segments[2]
    expect(journal.removeBefore(lsn((third?.baseLsn ?? 0) + 1))).toBe(2)
    world.scheduler.runDue()
    expect(segmentsOf(world.storage.list())).toEqual(segments.slice(2))
    expect(journal.firstLsn).toBe(third?.baseLsn)
    expect(await world.close(journal)).toBeNull()
    const { batches, journal: again } = await world.open({ replayFrom: journal.firstLsn })
    expect(batches[0]?.firstLsn).toBe(third?.baseLsn)
    expect(again.firstLsn).toBe(third?.baseLsn)
  })

  test('that are stale go also when the disk refuses to make the spare out of one', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    for (let i = 0; i < 40; i++) append(journal, 1, 100_000)
    flush(world, journal)
    world.scheduler.runDue()
    world.fault = ({ kind }) => (kind === 'create' ? 'enospc' : null)
    append(journal, 1, 900_000)
    flush(world, journal)
    world.scheduler.runDue()
    const segments = segmentsOf(world.storage.list())
    expect(journal.removeBefore(segments[1]?.baseLsn ?? lsn(0))).toBe(1)
    world.fault = () => null
    world.scheduler.runDue()
    expect(journal.removeBefore(segments[2]?.baseLsn ?? lsn(0))).toBe(1)
    expect(await world.close(journal)).toBeNull()
    expect(segmentsOf(world.storage.list())).toEqual(segments.slice(2))
    expect((await world.open({ replayFrom: journal.firstLsn })).report).toMatchObject({ rule: 'R8', action: 'open' })
  })

  test('that are stale are used again only when a spare is wanted', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    for (let i = 0; i < 30; i++) append(journal, 1, 100_000)
    flush(world, journal)
    const created: string[] = []
    world.fault = ({ kind, name }) => {
      if (kind === 'create' || kind === 'remove') created.push(`${kind} ${name}`)
      return null
    }
    expect(journal.removeBefore(journal.writtenLsn)).toBe(2)
    expect(created).toEqual([
      'remove 0000000001-0000000000000001.segment',
      'remove 0000000002-0000000000000011.segment',
    ])
  })

  test('are never removed before they are flushed, nor the current one', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    for (let i = 0; i < 20; i++) append(journal, 1, 100_000)
    expect(journal.removeBefore(lsn(1000))).toBe(0)
    flush(world, journal)
    const there = segmentsOf(world.storage.list()).length
    expect(journal.removeBefore(lsn(1000))).toBe(there - 1)
    expect(segmentsOf(world.storage.list())).toHaveLength(1)
  })
})

describe('close', () => {
  test('flushes what is written and waits for a flush that is under way', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    append(journal)
    journal.flush(() => undefined)
    append(journal)
    expect(await world.close(journal)).toBeNull()
    world.storage.crash(world.random)
    const { report } = await world.open()
    expect(report).toMatchObject({ recoveredLsn: 2, floorLsn: 2 })
  })

  test('leaves nothing running and no unfinished file', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    for (let i = 0; i < 20; i++) append(journal, 1, 100_000)
    expect(await world.close(journal)).toBeNull()
    world.scheduler.advance(60_000)
    expect(world.storage.list().filter((name) => name.endsWith('.tmp'))).toEqual([])
  })

  test('takes nothing more from the moment that it is asked for', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    append(journal)
    const closing = world.close(journal)
    expect(() => append(journal)).toThrow('closed')
    expect(await closing).toBeNull()
  })

  test('ends the use of the journal', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    await world.close(journal)
    expect(() => append(journal)).toThrow('closed')
    expect(() => journal.close(() => undefined)).toThrow('closed')
  })
})

test('payloads for tests differ from LSN to LSN and hold no zeros', () => {
  expect(payloadOf(lsn(1), 64).equals(payloadOf(lsn(2), 64))).toBe(false)
  expect(payloadOf(lsn(1), 5000).includes(0)).toBe(false)
})
