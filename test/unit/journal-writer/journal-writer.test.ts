import { describe, expect, it } from 'vitest'
import type { Action } from '../../../src/actions/action.ts'
import { encodeAction } from '../../../src/actions/encode.ts'
import { EntryBatch } from '../../../src/actions/entry-batch.ts'
import { entryOffsets, lengthOf, padded } from '../../../src/actions/entry-layout.ts'
import { encodeSubscribe, journalFrames, type Subscribe } from '../../../src/ipc/journal-protocol.ts'
import { lsn, revision, token } from '../../../src/kernel/identifiers.ts'
import { limits } from '../../../src/kernel/limits.ts'
import { received } from '../role-world.ts'
import { RawPeer, type TestFollower, upTo, WriterWorld } from './writer-world.ts'

const started = (instance: string, ...commands: number[]): Action => ({
  type: 'command/started',
  instance,
  commands: commands.map(lsn),
})

const completed = (command: number, release: number): Action => ({
  type: 'command/completed',
  command: lsn(command),
  aggregate: { type: 'counter', id: 'a' },
  release: token(release),
  atMs: 0,
  baseRevision: revision(0),
  eventsVersion: 1,
  events: [],
  latestEvent: null,
  idempotencyKey: 'none',
  snapshot: null,
})

describe('drafts', () => {
  it('become entries in the order in which they were sent, and everybody gets the same', async () => {
    const db = await WriterWorld.start()
    const [a, b] = [db.follow('a'), db.follow('bb')]
    db.run()
    for (let i = 0; i < 20; i++) {
      a.draft(received(`a${i}`), received(`a${i}`))
      b.draft(received(`b${i}`))
      if (i % 5 === 0) db.run()
    }
    db.run()
    expect(a.lsns).toEqual(upTo(60))
    expect(b.lsns).toEqual(upTo(60))
    expect(a.entries).toEqual(db.entries())
    for (const peer of [a, b]) {
      const own = db.entries().filter(({ origin }) => origin === peer.origin)
      expect(own.map(({ sequence }) => sequence)).toEqual(own.map((_, i) => i))
    }
  })

  it('are fanned out when they are written, and said to be flushed when they are', async () => {
    const db = await WriterWorld.start()
    const a = db.follow('a')
    db.run()
    a.draft(received('a'))
    for (let turn = 0; turn < 20; turn++) db.world.scheduler.settle()
    expect(a.lsns).toEqual([1])
    expect(Math.max(...a.marks.map(({ flushed }) => flushed))).toBe(0)
    db.run(1)
    expect(a.marks.at(-1)).toMatchObject({ written: 1, flushed: 1 })
  })

  it('that gathered while the writer was busy are one frame of the journal', async () => {
    const db = await WriterWorld.start()
    const [a, b] = [db.follow('a'), db.follow('bb')]
    db.run()
    const before = db.journal.writtenBytes
    a.draft(received('a'))
    b.draft(received('b'))
    db.run()
    const gathered = db.journal.writtenBytes - before
    a.draft(received('a'))
    db.run()
    b.draft(received('b'))
    db.run()
    expect(db.journal.writtenBytes - before - gathered).toBeGreaterThan(gathered)
  })

  it('of more bytes than one frame holds become several frames', async () => {
    const db = await WriterWorld.start({ batchBytesMax: 4096 })
    const a = db.follow('a')
    db.run()
    a.draft(...upTo(100).map((i) => received(`${i}`, 'add', 'x'.repeat(300))))
    db.run()
    expect(a.lsns).toEqual(upTo(100))
    expect(db.failures).toEqual([])
  })

  it('that fit into no frame cost their sender its connection, and harm nobody else', async () => {
    const db = await WriterWorld.start({ batchBytesMax: 4096 })
    const [a, b] = [db.follow('a'), db.follow('bb')]
    db.run()
    a.draft(received('a'), received('b', 'add', 'x'.repeat(5000)), received('c'))
    db.run()
    expect(a.disconnections).toBe(1)
    b.draft(received('d'))
    db.run()
    expect(b.lsns).toEqual(upTo(db.journal.writtenLsn))
    expect(db.entries().some(({ origin }) => origin === b.origin)).toBe(true)
    expect(db.failures).toEqual([])
    db.run(1000)
    expect(a.connections).toBe(2)
  })
})

describe('a draft under an assignment that is over', () => {
  it('is refused alone when it is of a process whose drafts stand for themselves', async () => {
    const db = await WriterWorld.start()
    const a = db.follow('a')
    db.run()
    a.draft(received('a'), started('x', 1))
    const [stale, good] = a.draft(completed(1, 1), completed(1, 2))
    db.run()
    expect(a.refusals).toMatchObject([{ sequence: stale, error: { code: 'stale_token' } }])
    expect(db.entries().map(({ sequence }) => sequence)).toEqual([0, 1, good])
  })

  it('takes all later drafts along when they build on each other, until the process has dropped them', async () => {
    const db = await WriterWorld.start()
    const a = db.follow('a', { ordered: true })
    db.run()
    const sequences = a.draft(received('a'), completed(1, 9), received('b'), received('c'))
    a.draft(received('d'))
    db.run()
    expect(a.refusals.map(({ sequence }) => sequence)).toEqual([sequences[1]])
    expect(db.journal.writtenLsn).toBe(1)
    a.follower.resumeDrafts()
    const [next] = a.draft(received('e'))
    db.run()
    expect(db.entries().map(({ sequence }) => sequence)).toEqual([0, next])
    expect(a.disconnections).toBe(0)
  })

  it('drops those that were sent before the process dropped them, even when all arrive together', async () => {
    const db = await WriterWorld.start()
    const a = db.follow('a', { ordered: true })
    db.run()
    a.draft(completed(1, 9))
    a.draft(received('late'))
    a.follower.resumeDrafts()
    const [next] = a.draft(received('e'))
    db.run()
    expect(db.entries().map(({ sequence }) => sequence)).toEqual([next])
    expect(a.disconnections).toBe(0)
  })
})

describe('what the store holds', () => {
  const applied = (at: number) => ({ applied: lsn(at), checkpoint: lsn(0), archived: null, atOnce: false })

  it('counts as compared once the applier has said it to this writer, and not to the one before', async () => {
    const db = await WriterWorld.start()
    const [a, applier] = [db.follow('a'), db.follow('projection-applier')]
    db.run()
    a.draft(received('a'))
    db.run(1000)
    expect(a.follower.mark.storeAgrees).toBe(false)
    applier.follower.sendApplied(applied(1))
    db.run()
    expect(a.follower.mark).toMatchObject({ applied: 1, storeAgrees: true })
    db.crashWriter()
    await db.startWriter()
    db.run(1000)
    expect([a.connections, a.follower.mark.storeAgrees]).toEqual([2, false])
    applier.follower.sendApplied(applied(1))
    db.run()
    expect(a.follower.mark.storeAgrees).toBe(true)
  })

  it('ends the writer when it is more than the journal has', async () => {
    const db = await WriterWorld.start()
    const [a, applier] = [db.follow('a'), db.follow('projection-applier')]
    db.run()
    a.draft(received('a'))
    db.run(1000)
    applier.follower.sendApplied(applied(2))
    db.run()
    expect(db.failures).toMatchObject([{ code: 'journal_corrupt', details: { rule: 'R7', lsn: 2, floorLsn: 2 } }])
  })
})

describe('who asks who is there', () => {
  it('is told of those who follow and have answered, and of nobody who is silent or gone', async () => {
    const db = await WriterWorld.start()
    const [asks, alive, leaves] = [db.follow('asks'), db.follow('alive'), db.follow('leaves')]
    // Says nothing by itself, as a process that is stopped.
    const stopped = new RawPeer(db)
    stopped.send(journalFrames.subscribe, hello({ name: 'stopped' }))
    db.run()
    asks.follower.callRoll()
    db.run()
    asks.follower.callRoll()
    leaves.follower.stop()
    db.run()
    asks.follower.callRoll()
    db.run()
    expect(asks.rolls.map((names) => [...names].sort())).toEqual([
      ['alive', 'leaves', 'stopped'],
      ['alive', 'leaves'],
      ['alive'],
    ])
    expect(alive.rolls).toEqual([])
    expect(stopped.frames.filter(({ kind }) => kind === journalFrames.areYouThere)).toHaveLength(1)
  })
})

describe('a full disk', () => {
  const isAppend = ({ kind, bytes = 0 }: { kind: string; bytes?: number }): boolean => kind === 'write' && bytes > 0

  it('refuses the drafts and keeps everything else going, and takes drafts again when there is room', async () => {
    const db = await WriterWorld.start()
    const [a, b] = [db.follow('a'), db.follow('bb', { ordered: true })]
    db.run()
    a.draft(received('a'), started('x', 1))
    db.run()
    db.fault = (operation) => (isAppend(operation) ? 'enospc' : null)
    const refused = a.draft(received('b'), completed(1, 2))
    const [first] = b.draft(received('c'), received('d'))
    db.run()
    expect(a.refusals.map(({ sequence, error }) => [sequence, error.code])).toEqual(
      refused.map((sequence) => [sequence, 'journal_full']),
    )
    expect(b.refusals).toMatchObject([{ sequence: first, error: { code: 'journal_full' } }])
    expect(db.failures).toEqual([])
    db.fault = () => null
    b.follower.resumeDrafts()
    a.draft(completed(1, 2))
    b.draft(received('e'))
    db.run()
    expect(db.journal.writtenLsn).toBe(4)
    expect(a.lsns).toEqual(upTo(4))
  })

  it('cuts off a process that was told of a later draft of the same run already', async () => {
    const db = await WriterWorld.start()
    const a = db.follow('a', { ordered: true })
    db.run()
    db.fault = (operation) => (isAppend(operation) ? 'enospc' : null)
    a.draft(received('a'), completed(1, 9), received('b'))
    db.run()
    expect(a.disconnections).toBe(1)
    db.fault = () => null
    db.run(1000)
    a.draft(received('c'))
    db.run()
    expect(a.connections).toBe(2)
    expect(db.entries()).toHaveLength(1)
  })

  it('refuses no draft twice', async () => {
    const db = await WriterWorld.start()
    const a = db.follow('a')
    db.run()
    db.fault = (operation) => (isAppend(operation) ? 'enospc' : null)
    const sequences = a.draft(received('a'), completed(1, 9), received('b'))
    db.run()
    expect(a.refusals.map(({ sequence }) => sequence).sort()).toEqual(sequences)
  })

  it('keeps those that draft anew from doing so until somebody finds room, and tells them', async () => {
    const db = await WriterWorld.start()
    const [a, b] = [db.follow('a'), db.follow('bb', { ordered: true })]
    b.waitsForRoom = true
    db.run()
    db.fault = (operation) => (isAppend(operation) ? 'enospc' : null)
    b.draft(received('a'))
    db.run()
    b.follower.resumeDrafts()
    expect([b.follower.isWritable, b.resumptions]).toEqual([false, 0])
    db.fault = () => null
    a.draft(received('b'))
    db.run()
    expect([b.follower.isWritable, b.resumptions]).toEqual([true, 1])
  })

  it('has those that draft anew try after a while that doubles up to five seconds, when nobody finds room', async () => {
    const db = await WriterWorld.start()
    const a = db.follow('a')
    a.waitsForRoom = true
    const tries: number[] = []
    db.run()
    db.fault = (operation) => (isAppend(operation) ? 'enospc' : null)
    const tryAgain = (): void => {
      tries.push(db.world.scheduler.nowMs)
      a.draft(received('a'))
    }
    Object.assign(a, { writable: tryAgain })
    tryAgain()
    db.run(20_000)
    const pauses = tries.slice(1).map((atMs, i) => atMs - (tries[i] ?? 0))
    expect(pauses).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000])
    expect(db.world.log.codes).toEqual(['journal_full', 'journal_full'])
  })

  it('is said once when drafts are refused and once when they no longer are', async () => {
    const db = await WriterWorld.start()
    const a = db.follow('a')
    db.run()
    db.fault = (operation) => (isAppend(operation) ? 'enospc' : null)
    for (let i = 0; i < 100; i++) a.draft(received('a'), received('b'))
    db.run()
    a.draft(received('a'))
    db.run()
    expect(a.refusals).toHaveLength(201)
    db.fault = () => null
    a.draft(received('a'))
    db.run()
    const said = db.world.log.lines.filter(({ message }) => /refused|room/.test(message))
    expect(said).toMatchObject([
      { level: 'warn', fields: { code: 'journal_full' } },
      { level: 'info', fields: { refusedBatches: 2 } },
    ])
  })
})

describe('the limit of the journal', () => {
  const maxBytes = 2 << 20

  /** Full, but for less than what the next draft takes. */
  async function full(): Promise<{ db: WriterWorld; a: TestFollower; b: TestFollower; makeRoom: () => void }> {
    const db = await WriterWorld.start({ maxBytes })
    const [a, b] = [db.follow('a'), db.follow('bb', { ordered: true })]
    const applier = db.follow('projection-applier')
    db.run()
    while (db.journal.hasRoomFor(60_000)) {
      a.draft({ ...received('a'), data: 'x'.repeat(50_000) })
      db.run(1)
    }
    db.run(1000)
    const makeRoom = (): void => {
      const upTo = db.journal.flushedLsn
      applier.follower.sendApplied({ applied: upTo, checkpoint: upTo, archived: null, atOnce: true })
      db.run()
    }
    return { db, a, b, makeRoom }
  }
  const large = { ...received('b'), data: 'x'.repeat(60_000) }

  it('lets drafts wait for a checkpoint to make room', async () => {
    const { db, a, makeRoom } = await full()
    const before = db.journal.writtenLsn
    const [sequence] = a.draft(large)
    db.run(1900)
    expect([db.journal.writtenLsn, a.refusals]).toEqual([before, []])
    expect(a.marks.at(-1)?.checkpointWanted).toBe(db.journal.sealedLsn)
    makeRoom()
    expect(db.journal.writtenLsn).toBe(before + 1)
    expect(a.entries.at(-1)).toMatchObject({ sequence })
  })

  it('has them refused when none comes', async () => {
    const { db, a } = await full()
    const [sequence] = a.draft(large)
    db.run(2001)
    expect(a.refusals).toMatchObject([{ sequence, error: { code: 'journal_full', retryable: true } }])
  })

  it('tells those that draft anew as soon as a checkpoint has made room', async () => {
    const { db, a, makeRoom } = await full()
    a.waitsForRoom = true
    a.draft(large)
    db.run(2001)
    expect([a.follower.isWritable, a.resumptions]).toEqual([false, 0])
    makeRoom()
    expect([a.follower.isWritable, a.resumptions]).toEqual([true, 1])
  })

  it('drops what a process sent before it dropped a refused draft, although it waited', async () => {
    const { db, a, b, makeRoom } = await full()
    makeRoom()
    b.draft(completed(1, 9))
    db.run()
    expect(b.refusals).toHaveLength(1)
    while (db.journal.hasRoomFor(60_000)) {
      a.draft({ ...received('a'), data: 'x'.repeat(50_000) })
      db.run(1)
    }
    b.draft(large)
    db.run()
    b.follower.resumeDrafts()
    const [next] = b.draft(large)
    db.run()
    makeRoom()
    expect(b.entries.filter(({ origin }) => origin === b.origin)).toMatchObject([{ sequence: next }])
    expect(b.disconnections).toBe(0)
  })
})

describe('a disk that fails', () => {
  it('ends the writer, with nothing said to be flushed that is not', async () => {
    const db = await WriterWorld.start()
    const a = db.follow('a')
    db.run()
    db.fault = ({ kind }) => (kind === 'flush' ? 'eio' : null)
    a.draft(received('a'))
    db.run(1)
    expect(db.failures).toMatchObject([{ code: 'journal_failed' }])
    a.draft(received('b'))
    db.run(1000)
    expect(db.journal.writtenLsn).toBe(1)
    expect(a.marks.every(({ flushed }) => flushed === 0)).toBe(true)
  })
})

const hello = (more: Partial<Subscribe> = {}): Buffer =>
  encodeSubscribe({
    name: 'raw',
    origin: 7,
    from: 1,
    nextSequence: 0,
    ordered: false,
    followsFlush: true,
    last: null,
    ...more,
  })

function draft(action: Action, origin = 7, sequence = 0): Buffer {
  const batch = new EntryBatch(origin, 256)
  encodeAction(batch, action, sequence)
  return batch.take()
}

describe('a peer that does not keep to the protocol', () => {
  const good = draft(received('a'))
  const long = Buffer.from(good)
  long.writeUInt32LE(0xffffffff, entryOffsets.length)
  const unknown = Buffer.from(good)
  unknown[entryOffsets.code] = 250
  const cases: [string, Buffer][] = [
    ['a draft that is cut short', good.subarray(0, 40)],
    ['a draft with an impossible length', long],
    ['an action that nobody knows', unknown],
    ['a draft in the name of another process', draft(received('a'), 8)],
    ['a draft out of sequence', draft(received('a'), 7, 5)],
    ['a good draft with garbage behind it', Buffer.concat([good, Buffer.alloc(80, 0xab)])],
  ]

  it.each(cases)('loses its connection for %s, and nobody else does', async (_what, body) => {
    const db = await WriterWorld.start()
    const a = db.follow('a')
    const peer = new RawPeer(db)
    peer.send(journalFrames.subscribe, hello())
    db.run()
    peer.send(journalFrames.drafts, body)
    db.run()
    expect(peer.closedWith).toMatchObject({ code: 'protocol_violation' })
    a.draft(received('b'))
    db.run()
    expect(a.entries.at(-1)?.origin).toBe(a.origin)
    expect(db.failures).toEqual([])
    expect(a.lsns).toEqual(upTo(db.journal.writtenLsn))
  })

  it.each([journalFrames.drafts, journalFrames.resume, 99])(
    'loses its connection when it sends a frame of kind %d before it subscribed',
    async (kind) => {
      const db = await WriterWorld.start()
      const peer = new RawPeer(db)
      peer.send(kind, Buffer.alloc(8))
      db.run()
      expect(peer.closedWith).toMatchObject({ code: 'protocol_violation' })
      expect(db.journal.writtenLsn).toBe(0)
    },
  )

  it('loses its connection for a subscription that is none', async () => {
    const db = await WriterWorld.start()
    const peer = new RawPeer(db)
    peer.send(journalFrames.subscribe, Buffer.from([0xc1, 0xff, 0x00]))
    db.run()
    expect(peer.closedWith).toBeInstanceOf(Error)
    const a = db.follow('a')
    db.run()
    expect(a.connections).toBe(1)
  })
})

describe('a process that takes the place of another', () => {
  it('sees none of its predecessor’s drafts appended after it subscribed', async () => {
    const db = await WriterWorld.start()
    const peer = new RawPeer(db)
    peer.send(journalFrames.subscribe, hello({ name: 'same', origin: 7 }))
    db.run()
    const batches = upTo(10).map((i) => draft(received(`${i}`), 7, i - 1))
    for (const batch of batches.slice(0, 5)) peer.send(journalFrames.drafts, batch)
    const next = db.follow('same', { origin: 8 })
    for (const batch of batches.slice(5)) peer.send(journalFrames.drafts, batch)
    db.run()
    expect(next.connections).toBe(1)
    const atConnection = next.appliedAtConnection[0] as number
    expect(db.entries().filter(({ origin, lsn: at }) => origin === 7 && at > atConnection)).toEqual([])
    expect(peer.closedWith).toMatchObject({ code: 'connection_lost' })
  })
})

describe('a follower that takes nothing', () => {
  it('holds no more in the writer than its window, however much is written', async () => {
    const windowBytes = 16_384
    const db = await WriterWorld.start({ windowBytes })
    const stuck = new RawPeer(db, false)
    stuck.send(journalFrames.subscribe, hello({ name: 'stuck' }))
    const a = db.follow('a')
    db.run()
    for (let i = 0; i < 500; i++) {
      a.draft(received(`${i}`, 'add', 'x'.repeat(1000)))
      db.run()
    }
    expect(a.lsns).toEqual(upTo(500))
    const held = stuck.frames.reduce((sum, { body }) => sum + body.length, 0)
    expect(held).toBeLessThan(windowBytes + 2 * limits.payloadBytesDefault)
    expect(held).toBeLessThan(3 * windowBytes)
    expect(db.writer.followers().find(({ name }) => name === 'stuck')?.live).toBe(false)
  })
})

describe('lengths', () => {
  it('of drafts are padded to 8 bytes in the journal as on the wire', async () => {
    const db = await WriterWorld.start()
    const a = db.follow('a')
    db.run()
    a.draft(...upTo(9).map((i) => received('x'.repeat(i))))
    db.run()
    expect(db.entries()).toHaveLength(9)
    expect(padded(lengthOf(draft(received('a')), 0)) % 8).toBe(0)
  })
})
