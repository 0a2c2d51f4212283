import { describe, expect, it } from 'vitest'
import { journalFrames, type Switched } from '../../../src/ipc/journal-protocol.ts'
import { segmentsOf } from '../../../src/journal/segment-name.ts'
import { received } from '../role-world.ts'
import { RawPeer, TestFollower, WriterWorld } from './writer-world.ts'

/** A follower that keeps the answers to its wishes for a new segment. */
class Archiving extends TestFollower {
  readonly answers: Switched[] = []

  switched(switched: Switched): void {
    this.answers.push(switched)
  }
}

const basesOf = ({ storage }: WriterWorld): number[] => segmentsOf(storage.list()).map(({ baseLsn }) => baseLsn)

describe('a follower that wants the current segment sealed', () => {
  it('is told up to where it is, with all that was sent before', async () => {
    const db = await WriterWorld.start()
    const applier = new Archiving(db, 'projection-applier', {})
    const other = db.follow('other')
    db.run()
    other.draft(received('a'), received('b'))
    for (let turn = 0; turn < 20; turn++) db.world.scheduler.settle()
    applier.draft(received('c'))
    expect(applier.follower.switchSegment()).toBe(true)
    db.run(1000)
    expect(applier.answers).toEqual([{ sealed: 3 }])
    expect(basesOf(db)).toEqual([1, 4])
    other.draft(received('d'))
    db.run(1000)
    expect(db.journal.flushedLsn).toBe(4)
    expect(applier.lsns).toEqual([1, 2, 3, 4])
  })

  it('is told the same again while nothing was written since', async () => {
    const db = await WriterWorld.start()
    const applier = new Archiving(db, 'projection-applier', {})
    db.run()
    applier.draft(received('a'))
    db.run(1000)
    applier.follower.switchSegment()
    applier.follower.switchSegment()
    db.run(1000)
    expect(applier.answers).toEqual([{ sealed: 1 }, { sealed: 1 }])
    expect(basesOf(db)).toEqual([1, 2])
  })

  it('is told at once when the journal writer is not there', async () => {
    const db = await WriterWorld.start()
    const applier = new Archiving(db, 'projection-applier', {})
    db.run()
    db.crashWriter()
    db.run(1000)
    expect(applier.follower.switchSegment()).toBe(false)
  })

  it('must have subscribed', async () => {
    const db = await WriterWorld.start()
    const peer = new RawPeer(db)
    db.run()
    peer.send(journalFrames.switchSegment, Buffer.alloc(0))
    db.run(1000)
    expect(peer.closedWith?.code).toBe('protocol_violation')
    expect(basesOf(db)).toEqual([1])
  })
})
