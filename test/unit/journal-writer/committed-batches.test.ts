import { describe, expect, it } from 'vitest'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { received } from '../role-world.ts'
import { CommittedFeed, type TestFeed } from './committed-feed.ts'
import { QueuedFeed } from './queued-feed.ts'
import { WriterWorld } from './writer-world.ts'

/** Three batches: entries 1 and 2, entry 3, entry 4. */
async function fedBy(Feed: typeof CommittedFeed | typeof QueuedFeed): Promise<TestFeed> {
  const leading = await WriterWorld.start()
  const drafter = leading.follow('a')
  leading.run()
  for (const actions of [[received('a'), received('b')], [received('c')], [received('d')]]) {
    drafter.draft(...actions)
    leading.run(1)
  }
  return new Feed(leading.storage)
}

/** What a journal writer that stands by relies on, of the feed of real nodes and of that of other tests. */
describe.each([
  ['out of segments', CommittedFeed],
  ['out of a queue', QueuedFeed],
])('committed batches %s', (_name, Feed) => {
  const firstOf = (feed: TestFeed, after: number): number | null => feed.next(lsn(after))?.firstLsn ?? null

  it('are there once they are committed, one behind the other', async () => {
    const feed = await fedBy(Feed)
    expect(firstOf(feed, 0)).toBeNull()
    feed.commit(3)
    expect([firstOf(feed, 0), firstOf(feed, 2), firstOf(feed, 3)]).toEqual([1, 3, null])
    feed.commit(4)
    expect([firstOf(feed, 3), firstOf(feed, 4)]).toEqual([4, null])
  })

  it('are there again for whoever had no room for them, until what is behind them is asked for', async () => {
    const feed = await fedBy(Feed)
    feed.commit(4)
    expect([firstOf(feed, 0), firstOf(feed, 0), firstOf(feed, 2), firstOf(feed, 2)]).toEqual([1, 1, 3, 3])
    expect(firstOf(feed, 3)).toBe(4)
  })

  it('say that there is more', async () => {
    const feed = await fedBy(Feed)
    let more = 0
    feed.onMore(() => more++)
    feed.commit(2)
    feed.commit(4)
    expect(more).toBe(2)
  })
})
