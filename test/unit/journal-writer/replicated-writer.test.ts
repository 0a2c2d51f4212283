import { beforeEach, describe, expect, it } from 'vitest'
import { ReplicatedJournal } from '../../../src/replication/replicated-journal.ts'
import { ScriptedLeader } from '../replication/scripted-leader.ts'
import { received } from '../role-world.ts'
import { type TestFollower, upTo, WriterWorld } from './writer-world.ts'

let db: WriterWorld
let leader: ScriptedLeader
let one: TestFollower

/** The writer of a node that leads a stream, whose servers do what the test says. */
beforeEach(async () => {
  db = await WriterWorld.start({
    over: (segments, environment) => {
      const journal = new ReplicatedJournal(segments, environment, (error) => db.writer.fail(error))
      leader = new ScriptedLeader(segments.writtenLsn, environment.scheduler)
      leader.isPrompt = false
      journal.lead(leader)
      return journal
    },
  })
  one = db.follow('one')
  db.run(1)
})

const flushedMark = (): number => Math.max(0, ...one.marks.map(({ flushed }) => flushed))

describe('the writer of a node that leads', () => {
  it('fans out what is written, and says that it is flushed once it is committed', () => {
    one.draft(received('a'), received('b'))
    db.run(1000)
    expect([one.lsns, flushedMark()]).toEqual([upTo(2), 0])
    leader.commit(2)
    db.run(1)
    expect(flushedMark()).toBe(2)
  })

  it('has one flush under way, and tells of all that is committed meanwhile', () => {
    one.draft(received('a'))
    db.run(1)
    one.draft(received('b'))
    db.run(1)
    leader.commit(1)
    db.run(1)
    expect(flushedMark()).toBe(1)
    leader.commit(2)
    db.run(1)
    expect(flushedMark()).toBe(2)
  })

  it('holds drafts back while the servers are behind, and goes on as soon as they are not', () => {
    one.draft(received('a'))
    db.run(1)
    leader.hasRoom = false
    one.draft(received('b'))
    db.run(500)
    expect([one.lsns, one.refusals]).toEqual([[1], []])
    leader.hasRoom = true
    leader.commit(1)
    db.run(1)
    expect(one.lsns).toEqual(upTo(2))
  })

  it('refuses them where that takes too long: nothing was taken', () => {
    one.draft(received('a'))
    db.run(1)
    leader.hasRoom = false
    const [sequence] = one.draft(received('b'))
    db.run(5000)
    expect(one.refusals).toMatchObject([{ sequence, error: { code: 'journal_full', retryable: true } }])
    leader.hasRoom = true
    leader.commit(1)
    one.draft(received('c'))
    db.run(1)
    expect(one.entries.map(({ action }) => action)).toMatchObject([
      { aggregate: { id: 'a' } },
      { aggregate: { id: 'c' } },
    ])
    expect(db.failures).toEqual([])
  })

  it('fails when it is deposed, whether somebody waits or not', () => {
    leader.depose()
    db.run(1)
    expect(db.failures.map(({ code }) => code)).toEqual(['fenced'])
    one.draft(received('a'))
    db.run(1000)
    expect(one.lsns).toEqual([])
  })
})
