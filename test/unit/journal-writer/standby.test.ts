import { describe, expect, it } from 'vitest'
import type { Action } from '../../../src/actions/action.ts'
import type { JournalStorage } from '../../../src/journal/storage.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { type Lsn, lsn, revision, token } from '../../../src/kernel/identifiers.ts'
import { ledBy, received, registered } from '../role-world.ts'
import { CommittedFeed, type TestFeed } from './committed-feed.ts'
import { QueuedFeed } from './queued-feed.ts'
import { upTo, type WriterOptions, WriterWorld } from './writer-world.ts'

const leader = { id: 'b', address: 'b:7500' }
const started = (...commands: number[]): Action => ({
  type: 'command/started',
  instance: 'test-1',
  commands: commands.map(lsn),
})
const completed = (command: number, release: number): Action => ({
  type: 'command/completed',
  ...{ command: lsn(command), aggregate: { type: 'counter', id: 'a' }, release: token(release), atMs: 0 },
  ...{ baseRevision: revision(0), eventsVersion: 1, events: [], latestEvent: null },
  ...{ idempotencyKey: 'none', snapshot: null },
})

/** The writer of the node that leads with one process that drafts, and one that is fed with what the test calls committed. */
async function twoNodes<Feed extends TestFeed = CommittedFeed>(
  options: WriterOptions = {},
  feedFrom: (storage: JournalStorage) => TestFeed = (storage) => new CommittedFeed(storage),
) {
  const leading = await WriterWorld.start()
  const drafter = leading.follow('a')
  leading.run()
  const feed = feedFrom(leading.storage) as Feed
  const asked: { readonly resolve: (lsn: Lsn) => void; readonly reject: (error: CommanderError) => void }[] = []
  let refusal: CommanderError | null = null
  const standby = await WriterWorld.start({
    ...options,
    standby: {
      batches: feed,
      leadership: ledBy('a'),
      readPoint: () => new Promise((resolve, reject) => asked.push({ resolve, reject })),
      replicationRefusal: () => refusal,
    },
  })
  /** One batch at the leader. */
  const write = (...actions: Action[]): void => {
    drafter.draft(...actions)
    leading.run(1)
  }
  const refuse = (error: CommanderError | null): void => {
    refusal = error
  }
  return { leading, standby, feed, write, asked, refuse }
}

describe('a writer that stands by', () => {
  it('appends what the leader has committed, batch by batch, and nothing more', async () => {
    const { leading, standby, feed, write } = await twoNodes()
    write(received('a'), received('b'))
    write(received('c'))
    write(received('d'))
    feed.commit(3)
    standby.run()
    expect(standby.entries()).toEqual(leading.entries().slice(0, 3))
    feed.commit(4)
    standby.run()
    expect(standby.entries()).toEqual(leading.entries())
  })

  it('asks elsewhere how far a linearizable read has to wait, and passes on what it hears', async () => {
    const { standby, asked } = await twoNodes()
    const one = standby.follow('one')
    standby.run(1)
    expect([one.follower.askReadPoint(1), one.follower.askReadPoint(2)]).toEqual([true, true])
    standby.run(1)
    expect([asked.length, one.readPoints]).toEqual([2, {}])
    asked[0]?.resolve(lsn(7))
    asked[1]?.reject(new CommanderError('not_ready', 'nobody leads'))
    await Promise.resolve()
    standby.run(1)
    expect(one.readPoints).toEqual({ 1: 7, 2: 'not_ready' })
    standby.writer.lead(2, leader)
    standby.run(1)
    one.follower.askReadPoint(3)
    standby.run(1)
    expect([asked.length, Object.keys(one.readPoints)]).toEqual([3, ['1', '2']])
  })

  it('says whether what is flushed is replicated, to who comes, and to all when that is another answer', async () => {
    const { standby, refuse } = await twoNodes()
    const one = standby.follow('one')
    standby.run(1)
    expect(one.promises).toEqual([null])
    standby.writer.groupChanged()
    refuse(new CommanderError('policy_unsatisfiable', 's1, s2 share a device'))
    for (let i = 0; i < 3; i++) standby.writer.groupChanged()
    const other = standby.follow('other')
    standby.run(1)
    expect([one.promises.at(-1), other.promises]).toEqual(['policy_unsatisfiable', ['policy_unsatisfiable']])
    refuse(null)
    for (let i = 0; i < 3; i++) standby.writer.groupChanged()
    standby.run(1)
    expect([one.promises.slice(1), other.promises.slice(1)]).toEqual([[null, 'policy_unsatisfiable', null], [null]])
  })

  it('hands it to those that follow, live and from the segments, and says who leads when they have it all', async () => {
    const { standby, feed, write } = await twoNodes()
    write(received('a'))
    feed.commit(1)
    standby.run(1)
    const early = standby.follow('early')
    standby.run(1)
    expect(early.followed).toEqual([{ applied: 1, leadership: ledBy('a') }])
    write(received('b'), received('c'))
    feed.commit(3)
    standby.run(1)
    const late = standby.follow('late')
    standby.run(1)
    expect([early.lsns, late.lsns]).toEqual([upTo(3), upTo(3)])
    expect(late.followed).toEqual([{ applied: 3, leadership: ledBy('a') }])
    expect(early.marks.at(-1)).toMatchObject({ written: 3, flushed: 3 })
    expect([early.connections, late.connections]).toEqual([0, 0])
    expect([early.follower.isConnected, early.follower.isWritable]).toEqual([false, false])
    expect(early.follower.standing).toMatchObject({ isCaughtUp: true, isStandingBy: true })
  })

  it('takes no drafts, whoever sends some', async () => {
    const { standby, feed, write } = await twoNodes()
    const one = standby.follow('one')
    standby.run()
    one.draft(received('mine'))
    standby.run(1000)
    write(received('theirs'))
    feed.commit(1)
    standby.run(1)
    expect(one.entries.map(({ action }) => action)).toMatchObject([{ aggregate: { id: 'theirs' } }])
  })

  it('says when another node leads', async () => {
    const { standby } = await twoNodes()
    const one = standby.follow('one')
    standby.run()
    standby.writer.heardOf(7, { id: 'c', address: 'c:7500' })
    standby.run()
    standby.writer.heardOf(7, null)
    standby.run()
    expect(one.followed.map(({ leadership }) => [leadership.epoch, leadership.leader?.id ?? null])).toEqual([
      [1, 'a'],
      [7, 'c'],
      [7, null],
    ])
  })

  it.each([
    [
      'waits at the limit of its journal for room, says that a checkpoint is wanted, and goes on when there is some',
      CommittedFeed,
    ],
    ['does so where it is fed by a queue', QueuedFeed],
  ])('%s', async (_name, Feed) => {
    const small = { segmentBytes: 1 << 20, maxBytes: 3 << 20 }
    const { standby, feed, write } = await twoNodes<TestFeed>(small, (storage) => new Feed(storage))
    const one = standby.follow('projection-applier')
    for (let i = 0; i < 12; i++) write(received('a', 'add', { text: 'x'.repeat(400_000) }))
    feed.commit(12)
    standby.run(5000)
    const reached = standby.journal.writtenLsn
    expect(reached).toBeLessThan(12)
    expect(standby.failures).toEqual([])
    expect(one.marks.at(-1)?.checkpointWanted).toBeGreaterThan(0)
    for (let i = 0; i < 8 && standby.journal.writtenLsn < 12; i++) {
      const { writtenLsn: applied } = standby.journal
      one.follower.sendApplied({ applied, checkpoint: applied, archived: null, atOnce: true })
      standby.run(5000)
    }
    expect(standby.journal.writtenLsn).toBe(12)
    expect(one.lsns).toEqual(upTo(12))
  })

  it('goes on where it was when it starts again', async () => {
    const { leading, standby, feed, write } = await twoNodes()
    write(received('a'))
    feed.commit(1)
    standby.run(500)
    standby.crashWriter()
    write(received('b'))
    await standby.startWriter()
    feed.commit(2)
    standby.run(1)
    expect(standby.entries()).toEqual(leading.entries())
  })
})

describe('a writer that comes to lead', () => {
  it('says so in the journal first, and to those that follow once that is flushed', async () => {
    const { standby, feed, write } = await twoNodes()
    const one = standby.follow('one')
    write(received('a'))
    feed.commit(1)
    standby.run(1)
    standby.writer.lead(2, leader)
    for (let turn = 0; turn < 20; turn++) standby.world.scheduler.settle()
    expect(one.lsns).toEqual([1, 2])
    expect(one.connections).toBe(0)
    expect(standby.writer.leadership.leads).toBe(false)
    standby.run(100)
    expect(standby.entries()[1]?.action).toMatchObject({ type: 'journal/epoch-started', epoch: 2, leader: 'b' })
    expect(one.appliedAtConnection).toEqual([2])
    expect(standby.writer.leadership).toEqual({ leads: true, epoch: 2, leader })
    expect(feed.isClosed).toBe(true)
  })

  it('takes drafts from then on, of processes that stayed connected and of new ones', async () => {
    const { standby, feed, write } = await twoNodes()
    const one = standby.follow('one')
    write(received('a'))
    feed.commit(1)
    standby.run(1)
    one.draft(received('too early'))
    standby.run(1)
    standby.writer.lead(2, leader)
    standby.run(1)
    one.draft(received('b'))
    const two = standby.follow('two')
    standby.run(1)
    two.draft(received('c'))
    standby.run(1)
    expect(one.entries.slice(2).map(({ action }) => action)).toMatchObject([
      { aggregate: { id: 'b' } },
      { aggregate: { id: 'c' } },
    ])
    expect([one.disconnections, one.resets, one.lsns]).toEqual([0, [], upTo(4)])
    expect(two.appliedAtConnection).toHaveLength(1)
  })

  it('takes nothing that the leader commits any more', async () => {
    const { standby, feed, write } = await twoNodes()
    write(received('a'))
    feed.commit(1)
    standby.run(1)
    standby.writer.lead(2, leader)
    write(received('late'))
    feed.commit(2)
    standby.run(1)
    expect(standby.entries().map(({ action }) => action.type)).toEqual(['command/received', 'journal/epoch-started'])
  })

  it('refuses what was decided under the former leader, and lets a command end once', async () => {
    const { standby, feed, write } = await twoNodes()
    const one = standby.follow('one')
    write(registered('test-1'), received('a'), received('b'))
    write(started(2, 3))
    write(completed(2, 4))
    feed.commit(5)
    standby.run(1)
    standby.writer.lead(2, leader)
    standby.run(1)
    const [stale, twice] = one.draft(completed(3, 4), completed(2, 4))
    standby.run(1)
    expect(one.refusals.map(({ sequence, error }) => [sequence, error.code])).toEqual([
      [stale, 'stale_token'],
      [twice, 'stale_token'],
    ])
    one.draft(registered('test-1', 2), started(3), completed(3, 8))
    standby.run(1)
    expect(
      standby
        .entries()
        .map(({ action }) => action.type)
        .slice(6),
    ).toEqual(['application/registered', 'command/started', 'command/completed'])
  })

  it('knows which workflows of the former leader are at work: they go on here, under a new assignment', async () => {
    const { standby, feed, write } = await twoNodes()
    const one = standby.follow('one')
    const aggregate = { type: 'workflow:w', id: 'a' }
    write(registered('test-1'), received('a', 'start', {}, { aggregate }))
    write(started(2))
    write({ ...completed(2, 3), aggregate, workflow: { activates: true } } as Action)
    feed.commit(4)
    standby.run(1)
    standby.writer.lead(2, leader)
    standby.run(1)
    const step = (under: number): Action => ({
      type: 'workflow/advanced',
      ...{ aggregate, activation: lsn(2), token: token(under), atMs: 0, baseRevision: revision(0) },
      ...{ events: [], messages: [], snapshot: null },
    })
    const [stale] = one.draft(step(3))
    one.draft(registered('test-1', 2), { type: 'workflow/resumed', instance: 'test-1', activations: [lsn(2)] }, step(7))
    standby.run(1)
    expect(one.refusals.map(({ sequence }) => sequence)).toEqual([stale])
    expect(standby.entries().at(-1)?.action).toMatchObject({ type: 'workflow/advanced', token: 7 })
  })

  it('fails as it would with its disk when it is deposed, and its processes begin anew where they had acted on what is lost', async () => {
    const { standby, feed, write } = await twoNodes()
    const one = standby.follow('one')
    write(received('a'))
    feed.commit(1)
    standby.run(1)
    standby.writer.lead(2, leader)
    standby.run(1)
    one.draft(received('lost'))
    for (let turn = 0; turn < 20; turn++) standby.world.scheduler.settle()
    expect(one.lsns).toEqual(upTo(3))
    standby.writer.fail(new CommanderError('fenced', 'deposed'))
    expect(standby.failures.map(({ code }) => code)).toEqual(['fenced'])
    standby.crashWriter(true)
    await standby.startWriter()
    standby.run(100)
    expect(one.resets.map(({ code }) => code)).toEqual(['stale_state'])
  })
})
