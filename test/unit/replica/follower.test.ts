import { describe, expect, it } from 'vitest'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { address, type TestFollower, upTo, WriterWorld } from '../journal-writer/writer-world.ts'
import { received } from '../role-world.ts'

/** Commands of about `bytes` each, one batch each. */
function write(db: WriterWorld, by: TestFollower, count: number, bytes = 100): void {
  for (let i = 0; i < count; i++) {
    by.draft(received(`${i}`, 'add', 'x'.repeat(bytes)))
    db.run()
  }
}

describe('a follower', () => {
  it('gets everything from the first entry on, live or from the segments, each once and in order', async () => {
    const db = await WriterWorld.start()
    const writer = db.follow('writer')
    db.run()
    write(db, writer, 50)
    const late = db.follow('late')
    db.run()
    write(db, writer, 50)
    expect(late.lsns).toEqual(upTo(100))
    expect(late.entries).toEqual(db.entries())
  })

  it('begins after the entry that its state holds', async () => {
    const db = await WriterWorld.start()
    const writer = db.follow('writer')
    db.run()
    write(db, writer, 20)
    const late = db.follow('late', { after: lsn(15) })
    db.run()
    expect(late.lsns).toEqual([16, 17, 18, 19, 20])
  })

  it('reads what is no longer in the writer’s memory from the segments, across all of them', async () => {
    const db = await WriterWorld.start({ windowBytes: 1 << 20 })
    const writer = db.follow('writer')
    db.run()
    write(db, writer, 200, 100_000)
    const late = db.follow('late')
    db.run()
    expect(late.lsns).toEqual(upTo(200))
    expect(late.connections).toBe(1)
    write(db, writer, 3)
    expect(late.lsns).toEqual(upTo(203))
  })

  it('is told that it is connected once it has applied all that was written when it came', async () => {
    const db = await WriterWorld.start({ windowBytes: 1 << 20 })
    const writer = db.follow('writer')
    db.run()
    write(db, writer, 200, 100_000)
    const late = db.follow('late')
    for (let turn = 0; turn < 10_000 && late.connections === 0; turn++) {
      expect(late.follower.isConnected).toBe(false)
      db.run()
    }
    expect(late.appliedAtConnection[0]).toBeGreaterThanOrEqual(200)
  })

  it('that is too slow falls back to the segments and comes back, without a gap', async () => {
    const db = await WriterWorld.start({ windowBytes: 32_768 })
    const [writer, slow] = [db.follow('writer'), db.follow('slow')]
    db.run()
    slow.isBusy = true
    write(db, writer, 400, 100_000)
    expect(slow.lsns.length).toBeLessThan(10)
    slow.isBusy = false
    slow.follower.resume()
    db.run()
    expect(slow.lsns).toEqual(upTo(400))
    write(db, writer, 20)
    expect(slow.lsns).toEqual(upTo(420))
    expect(slow.disconnections).toBe(0)
    expect(db.writer.followers().find(({ name }) => name === 'slow')?.live).toBe(true)
  })

  it('that is slow again and again misses nothing', async () => {
    const db = await WriterWorld.start({ windowBytes: 16_384 })
    const [writer, slow] = [db.follow('writer'), db.follow('slow')]
    db.run()
    for (let round = 0; round < 30; round++) {
      slow.isBusy = round % 3 !== 2
      if (!slow.isBusy) slow.follower.resume()
      write(db, writer, 10, (round % 7) * 3000)
    }
    slow.isBusy = false
    slow.follower.resume()
    db.run()
    expect(slow.lsns).toEqual(upTo(300))
  })

  it('says at once what it has applied, and not behind what else it does in that turn', async () => {
    const db = await WriterWorld.start()
    const writer = db.follow('writer')
    db.run()
    write(db, writer, 2)
    writer.follower.sendApplied({ applied: lsn(2), checkpoint: lsn(0), archived: null, atOnce: false })
    db.world.scheduler.turn()
    expect(db.writer.applied).toBe(2)
  })

  it('drafts go through while it reads from the segments', async () => {
    const db = await WriterWorld.start({ windowBytes: 16_384 })
    const [writer, slow] = [db.follow('writer'), db.follow('slow')]
    db.run()
    slow.isBusy = true
    write(db, writer, 100, 5000)
    slow.isBusy = false
    slow.follower.resume()
    for (let i = 0; i < 5; i++) {
      slow.draft(received(`own ${i}`))
      db.world.scheduler.settle()
    }
    db.run()
    expect(slow.disconnections).toBe(0)
    expect(db.entries().filter(({ origin }) => origin === slow.origin)).toHaveLength(5)
    expect(slow.lsns).toEqual(upTo(105))
  })
})

describe('a follower whose writer crashes', () => {
  it('goes on where it was when the writer is back', async () => {
    const db = await WriterWorld.start()
    const [writer, other] = [db.follow('writer'), db.follow('other')]
    db.run()
    for (let life = 1; life <= 4; life++) {
      write(db, writer, 10)
      db.crashWriter()
      db.run(500)
      await db.startWriter()
      db.run(500)
      expect(other.connections).toBe(life + 1)
    }
    expect(other.lsns).toEqual(upTo(40))
    expect(other.disconnections).toBe(4)
    expect(other.resets).toEqual([])
  })

  it('sees its drafts once: those that have not come back by the connection never will', async () => {
    const db = await WriterWorld.start()
    const [a, b] = [db.follow('a'), db.follow('bb')]
    db.run()
    for (let i = 0; i < 5; i++) a.draft(received(`${i}`))
    db.crashWriter()
    db.run(100)
    await db.startWriter()
    db.run(100)
    const seen = a.lsns.length
    db.run(1000)
    expect(a.lsns.length).toBe(seen)
    expect(b.lsns).toEqual(a.lsns)
    a.draft(received('again'))
    db.run()
    expect(a.entries.at(-1)?.sequence).toBe(5)
  })

  it('is reset when it has applied what the disk has lost, and applies nothing more', async () => {
    const db = await WriterWorld.start()
    const [writer, other] = [db.follow('writer'), db.follow('other')]
    db.run()
    write(db, writer, 10)
    db.run(10)
    db.fault = ({ kind }) => (kind === 'flush' ? 'lost' : null)
    for (let i = 0; i < 3; i++) {
      writer.draft(received(`${i}`))
      for (let turn = 0; turn < 5; turn++) db.world.scheduler.settle()
    }
    const applied = other.lsns.length
    expect(applied).toBeGreaterThan(10)
    db.crashWriter(true)
    db.fault = () => null
    await db.startWriter()
    expect(db.journal.writtenLsn).toBeLessThan(applied)
    db.run(500)
    expect(other.resets).toMatchObject([{ code: 'stale_state' }])
    expect(other.lsns).toEqual(upTo(applied))
  })

  it('is reset when other entries stand now where it had applied some', async () => {
    const db = await WriterWorld.start()
    const [writer, other] = [db.follow('writer'), db.follow('other')]
    db.run()
    write(db, writer, 10)
    db.run(10)
    writer.draft(received('will be lost'))
    for (let turn = 0; turn < 5; turn++) db.world.scheduler.settle()
    expect(other.lsns).toHaveLength(11)
    db.crashWriter(true)
    await db.startWriter()
    const next = db.follow('next', { origin: 999 })
    db.run()
    write(db, next, 5)
    expect(db.journal.writtenLsn).toBe(15)
    db.run(500)
    expect(other.resets).toMatchObject([{ code: 'stale_state' }])
    expect(other.lsns).toEqual(upTo(11))
  })

  it.each(['live', 'from the segments'])(
    'is reset by an entry that comes %s and that the store has gone on without, and applies nothing more',
    async (way) => {
      const db = await WriterWorld.start({ windowBytes: 1 << 20 })
      const writer = db.follow('writer')
      db.run()
      const early = way === 'live' ? db.follow('other') : null
      db.run()
      if (early === null) write(db, writer, 40, 30_000)
      const other = early ?? db.follow('other')
      const apply = other.apply.bind(other)
      other.apply = (payload, offset, firstLsn, lastLsn) => {
        if (lastLsn >= 20) throw new CommanderError('stale_state', 'cannot tell')
        apply(payload, offset, firstLsn, lastLsn)
      }
      if (early !== null) write(db, writer, 40, 100)
      db.run(500)
      expect(other.lsns).toEqual(upTo(19))
      expect(other.resets).toMatchObject([{ code: 'stale_state' }])
      expect(other.follower.isConnected).toBe(false)
    },
  )

  it('tries again and again until the writer is there', async () => {
    const db = await WriterWorld.start()
    db.crashWriter()
    const early = db.follow('early')
    db.run(5000)
    expect(early.connections).toBe(0)
    await db.startWriter()
    db.run(500)
    expect(early.connections).toBe(1)
  })
})

describe('a follower that was cut off by the network', () => {
  it('connects again and misses nothing', async () => {
    const db = await WriterWorld.start()
    const [writer, other] = [db.follow('writer'), db.follow('other')]
    db.run()
    for (let round = 0; round < 10; round++) {
      writer.draft(received('before'), received('before'))
      db.world.scheduler.settle()
      db.transport.severAll(address)
      db.run(500)
      write(db, writer, 3)
    }
    expect(other.lsns).toEqual(upTo(db.journal.writtenLsn))
    expect(writer.lsns).toEqual(other.lsns)
    expect(other.resets).toEqual([])
  })
})

describe('a follower that was stopped', () => {
  it('hears of nothing any more', async () => {
    const db = await WriterWorld.start()
    const [writer, other] = [db.follow('writer'), db.follow('other')]
    db.run()
    write(db, writer, 5)
    other.follower.stop()
    write(db, writer, 5)
    db.run(1000)
    expect(other.lsns).toEqual(upTo(5))
    expect(db.writer.followers().map(({ name }) => name)).toEqual(['writer'])
  })
})
