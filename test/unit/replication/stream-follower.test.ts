import { describe, expect, it } from 'vitest'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { epoch, lsn, noLsn } from '../../../src/kernel/identifiers.ts'
import { type Digest, emptyDigest, lastLsnOf, makeBatch, type ReplicatedBatch } from '../../../src/replication/batch.ts'
import type { ReadRequest, ServerAnswer, ServerId, ServerRequest } from '../../../src/replication/messages.ts'
import type { StreamArchive } from '../../../src/replication/stream-archive.ts'
import { StreamFollower, type StreamFollowerOptions } from '../../../src/replication/stream-follower.ts'
import type { SegmentMeta, StreamMeta } from '../../../src/replication/stream-meta.ts'
import { ManualScheduler } from '../ipc/manual-scheduler.ts'

const policy = { replicas: 3, ackQuorum: 2, topology: 'fanout' } as const
const group = ['a', 'b', 'c']

const chainOf = (counts: readonly number[], from: readonly ReplicatedBatch[] = []): ReplicatedBatch[] => {
  const chain = [...from]
  for (const count of counts) {
    const last = chain.at(-1)
    const first = last === undefined ? 1 : lastLsnOf(last) + 1
    chain.push(makeBatch(last?.digest ?? emptyDigest, lsn(first), count, Buffer.alloc(8, first)))
  }
  return chain
}

const metaOf = (segments: readonly SegmentMeta[], trimLsn = 0): StreamMeta => ({
  stream: 's',
  epoch: segments.at(-1)?.epoch ?? epoch(1),
  leader: null,
  nonce: 'n',
  trimLsn: lsn(trimLsn),
  segments,
})
const openAt = (at: number, base: number): SegmentMeta => ({
  epoch: epoch(at),
  base: lsn(base),
  baseDigest: '',
  group,
  policy,
  state: 'open',
})
const sealedAt = (at: number, base: number, tail: number): SegmentMeta => ({
  ...openAt(at, base),
  state: 'sealed',
  tail: lsn(tail),
  tailDigest: '',
})

/** Journal servers that answer when they are told to. */
function worldOf(after = 0, digest: Digest | null = emptyDigest, more: Partial<StreamFollowerOptions> = {}) {
  const scheduler = new ManualScheduler()
  const asked: { readonly server: ServerId; readonly request: ReadRequest }[] = []
  const got: number[] = []
  const failures: string[] = []
  const follower = new StreamFollower({
    environment: { scheduler },
    stream: 's',
    after: { lsn: lsn(after), digest },
    nextId: () => asked.length + 1,
    send: (server, request: ServerRequest) => {
      asked.push({ server, request: request as ReadRequest })
      return true
    },
    batches: (batches) => {
      for (const batch of batches) got.push(lastLsnOf(batch))
    },
    failed: (error) => failures.push(error.code),
    ...more,
  })
  const answer = (batches: readonly ReplicatedBatch[], committed = 0): void => {
    const { server, request } = asked.at(-1) as (typeof asked)[number]
    const { id, stream, segmentEpoch } = request
    follower.answered({
      kind: 'batches',
      id,
      stream,
      server,
      identity: server,
      segmentEpoch,
      batches,
      committed: lsn(committed),
    } satisfies ServerAnswer)
  }
  return { scheduler, asked, got, failures, follower, answer }
}

describe('following a stream', () => {
  it('hands on what is committed, in order, once, and asks for what comes next', () => {
    const { follower, asked, answer, got } = worldOf()
    const chain = chainOf([2, 1, 3])
    follower.setMeta(metaOf([openAt(1, 1)]))
    expect(asked.at(-1)?.request).toMatchObject({ from: 1, segmentEpoch: 1, purpose: 'known', epoch: 0 })
    answer(chain.slice(0, 2))
    expect(asked.at(-1)?.request.from).toBe(4)
    answer(chain)
    expect(got).toEqual([2, 3, 6])
    expect(follower.end).toEqual({ lsn: 6, digest: chain[2]?.digest })
  })

  it('takes nothing beyond the tail of a sealed segment from it, and goes on in the next one', () => {
    const { follower, asked, answer, got } = worldOf()
    const common = chainOf([2, 1])
    follower.setMeta(metaOf([sealedAt(1, 1, 3), openAt(2, 4)]))
    answer(chainOf([9], common).slice(0, 3))
    expect(got).toEqual([2, 3])
    expect(asked.at(-1)?.request).toMatchObject({ segmentEpoch: 2, from: 4 })
    answer(chainOf([4], common).slice(2))
    expect(got).toEqual([2, 3, 7])
  })

  it('asks another server when one does not answer, knows less than is sealed, or sends what is damaged', () => {
    const { follower, asked, answer, scheduler, got } = worldOf()
    follower.setMeta(metaOf([sealedAt(1, 1, 2)]))
    scheduler.advance(2000)
    answer([])
    scheduler.advance(10)
    const [batch] = chainOf([2]) as [ReplicatedBatch]
    answer([{ ...batch, payload: Buffer.alloc(8, 0xff) }])
    scheduler.advance(10)
    expect(asked.map(({ server }) => server)).toEqual(['a', 'b', 'c', 'a'])
    answer([batch])
    expect(got).toEqual([2])
  })

  it('does nothing with an answer to an older question', () => {
    const { follower, asked, answer, scheduler, got } = worldOf()
    follower.setMeta(metaOf([openAt(1, 1)]))
    const [first] = asked
    scheduler.advance(2000)
    follower.answered({
      kind: 'batches',
      id: first?.request.id ?? 0,
      stream: 's',
      server: 'a',
      identity: 'a',
      segmentEpoch: epoch(1),
      batches: chainOf([1]),
      committed: noLsn,
    })
    expect(got).toEqual([])
    answer(chainOf([1]))
    expect(got).toEqual([1])
  })

  it('fails when what it wants was trimmed, or is of another history', () => {
    const trimmed = worldOf(3, chainOf([3])[0]?.digest)
    trimmed.follower.setMeta(metaOf([openAt(2, 10)], 9))
    expect(trimmed.failures).toEqual(['log_trimmed'])
    const other = worldOf(3, Buffer.alloc(16, 7))
    other.follower.setMeta(metaOf([openAt(1, 1)]))
    other.answer(chainOf([3, 2]).slice(1))
    expect(other.failures).toEqual(['journal_corrupt'])
    expect(other.got).toEqual([])
  })

  describe('that was trimmed', () => {
    const chain = chainOf([2, 1, 3, 1])
    const turn = () => new Promise((resolve) => setImmediate(resolve))
    const archiveOf = (read: StreamArchive['read']) => ({ read }) as unknown as StreamArchive

    it('reads from the archive what the servers gave up, and then from them', async () => {
      const asked: number[] = []
      const archive = archiveOf(async function* (after) {
        asked.push(after)
        yield chain.slice(0, 1)
        yield chain.slice(1, 3)
      })
      const { follower, got, answer, asked: ofServers, failures } = worldOf(0, emptyDigest, { archive })
      follower.setMeta(metaOf([openAt(2, 7)], 6))
      await turn()
      expect(got).toEqual([2, 3, 6])
      expect(asked).toEqual([0])
      expect(ofServers.at(-1)?.request).toMatchObject({ from: 7, segmentEpoch: 2 })
      answer(chain.slice(3))
      expect(got).toEqual([2, 3, 6, 7])
      expect(failures).toEqual([])
    })

    it('asks the archive again when it fails, from where it stopped', async () => {
      const asked: number[] = []
      const archive = archiveOf(async function* (after) {
        asked.push(after)
        if (asked.length === 1) yield chain.slice(0, 1)
        if (asked.length === 1) throw new CommanderError('archive_unavailable', 'it is down')
        yield chain.slice(1, 3)
      })
      const { follower, got, failures, scheduler } = worldOf(0, emptyDigest, { archive })
      follower.setMeta(metaOf([openAt(2, 7)], 6))
      await turn()
      expect(got).toEqual([2])
      scheduler.advance(1000)
      await turn()
      expect(asked).toEqual([0, 2])
      expect(got).toEqual([2, 3, 6])
      expect(failures).toEqual([])
    })

    it('takes nothing from the archive that does not follow on what it has', async () => {
      const archive = archiveOf(async function* () {
        yield chainOf([2, 1, 3])
      })
      const { follower, got, failures } = worldOf(0, Buffer.alloc(16, 1), { archive })
      follower.setMeta(metaOf([openAt(2, 7)], 6))
      await turn()
      expect(got).toEqual([])
      expect(failures).toEqual(['journal_corrupt'])
    })

    it('ends where the archive does not have it either', async () => {
      const archive = archiveOf(async function* () {
        yield* []
        throw new CommanderError('log_trimmed', 'it was begun later')
      })
      const { follower, failures } = worldOf(0, emptyDigest, { archive })
      follower.setMeta(metaOf([openAt(2, 7)], 6))
      await turn()
      expect(failures).toEqual(['log_trimmed'])
    })
  })

  it('says of an open segment what is known of that one alone: of another, who missed the seal may hold other entries (I11)', () => {
    const committed = (segmentEpoch: number) => (segmentEpoch === 3 ? lsn(9) : noLsn)
    const { follower, asked, answer } = worldOf(0, emptyDigest, { committed })
    follower.setMeta(metaOf([openAt(2, 1)]))
    expect(asked.at(-1)?.request).toMatchObject({ segmentEpoch: 2, committed: 0 })
    follower.setMeta(metaOf([sealedAt(2, 1, 2), openAt(3, 3)]))
    answer(chainOf([2]))
    expect(asked.at(-1)?.request).toMatchObject({ segmentEpoch: 3, committed: 9 })
  })

  it('leaves a server of an open segment that knows of less than another one has said, though nobody leads who would tell it', () => {
    const { follower, asked, answer, scheduler, got } = worldOf(0, emptyDigest, { known: () => lsn(2) })
    follower.setMeta(metaOf([openAt(1, 1)]))
    const first = asked.at(-1)?.server
    answer([])
    scheduler.advance(1000)
    const other = asked.at(-1)?.server
    expect(other).not.toBe(first)
    answer(chainOf([2]))
    expect(got).toEqual([2])
    // It has all that is known: who has it is asked for more.
    answer([])
    scheduler.advance(1000)
    expect(asked.at(-1)?.server).toBe(other)
  })

  it('may begin within a batch, once, and hands it on as a whole', () => {
    const chain = chainOf([3, 2])
    const strict = worldOf(1, null)
    strict.follower.setMeta(metaOf([openAt(1, 1)]))
    strict.answer(chain)
    expect([strict.got, strict.failures]).toEqual([[], ['journal_corrupt']])
    const { follower, got, answer, failures } = worldOf(1, null, { mayBeginWithin: true })
    follower.setMeta(metaOf([openAt(1, 1)]))
    answer(chain.slice(0, 1))
    expect(got).toEqual([3])
    answer(chainOf([1, 1, 1, 3]).slice(3))
    expect([got, failures]).toEqual([[3], ['journal_corrupt']])
  })
})
