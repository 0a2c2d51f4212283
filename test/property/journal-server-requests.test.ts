import fc from 'fast-check'
import { expect, test } from 'vitest'
import { defaultJournalOptions } from '../../src/journal/options.ts'
import { silentLog } from '../../src/kernel/environment.ts'
import { type Epoch, epoch, lsn } from '../../src/kernel/identifiers.ts'
import { emptyDigest, type ReplicatedBatch } from '../../src/replication/batch.ts'
import { HostedStream } from '../../src/replication/hosted-stream.ts'
import { openServerLog } from '../../src/replication/journal-server-log.ts'
import { writtenDigestOf, writtenOf } from '../../src/replication/journal-server-state.ts'
import { MemoryServerDisk } from '../../src/replication/memory-server-disk.ts'
import type { ServerAnswer, ServerRequest } from '../../src/replication/messages.ts'
import { BatchChain } from '../fixtures/scripted-leader.ts'
import { ManualScheduler, seededRandom } from '../unit/journal/journal-world.ts'

/** What leaders of epochs 1 to 4 may have written: each epoch goes on from somewhere in the one before. */
const chains: ReplicatedBatch[][] = []
for (const kept of [0, 3, 2, 5]) {
  const common = (chains.at(-1) ?? []).slice(0, kept)
  const end = common.at(-1)
  const chain = end === undefined ? new BatchChain() : new BatchChain(end.firstLsn + end.entryCount - 1, end.digest)
  // other bytes than in the epoch before
  chains.push([...common, ...chain.next(8, 64 + 8 * chains.length)])
}
const ends = chains.flat().map(({ firstLsn, entryCount }) => firstLsn + entryCount - 1)
const digests = [emptyDigest, Buffer.alloc(16, 3), ...chains.flat().map(({ digest }) => digest)]

const anyEpoch = fc.integer({ min: 0, max: 5 }).map(epoch)
const anyLsn = fc.oneof(fc.constantFrom(0, ...ends), fc.integer({ min: 0, max: 25 })).map(lsn)
const anyDigest = fc.constantFrom(...digests)
const base = { id: fc.nat(1000), stream: fc.constant('s'), epoch: anyEpoch }
const about = { ...base, segmentEpoch: fc.integer({ min: 0, max: 4 }).map(epoch) }
const batches = fc
  .tuple(fc.constantFrom(...chains), fc.nat(12), fc.integer({ min: 0, max: 5 }))
  .map(([chain, at, count]) => chain.slice(at, at + count))

type Event = ServerRequest | { readonly kind: 'outside'; readonly what: 'time' | 'restart' | 'damage' }

const anyEvent: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ kind: fc.constant('openSegment' as const), ...about, base: anyLsn, baseDigest: anyDigest }),
  fc.record({
    kind: fc.constant('openSegment' as const),
    ...about,
    base: fc.constant(lsn(1)),
    baseDigest: fc.constant(emptyDigest),
  }),
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      ...about,
      batches,
      committed: anyLsn,
      next: fc.constant([]),
    }),
  },
  fc.record({ kind: fc.constant('seal' as const), ...about }),
  {
    weight: 2,
    arbitrary: fc.record({ ...about, batch: fc.constantFrom(...chains.flat()) }).map(({ batch, ...rest }) => ({
      kind: 'finish' as const,
      ...rest,
      tail: lsn(batch.firstLsn + batch.entryCount - 1),
      tailDigest: batch.digest,
    })),
  },
  fc.record({ kind: fc.constant('finish' as const), ...about, tail: anyLsn, tailDigest: anyDigest }),
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('rewind' as const), ...about, after: anyLsn }) },
  fc.record({ kind: fc.constant('commit' as const), ...about, committed: anyLsn }),
  fc.record({
    kind: fc.constant('read' as const),
    ...about,
    from: anyLsn,
    until: anyLsn,
    bytesMax: fc.nat(200),
    purpose: fc.constantFrom('known' as const, 'repair' as const),
    committed: anyLsn,
  }),
  fc.record({ kind: fc.constant('digest' as const), ...about, lsn: anyLsn }),
  fc.record({ kind: fc.constant('trim' as const), ...base, trimLsn: anyLsn }),
  fc.record({
    kind: fc.constantFrom(...(['confirm', 'status', 'confirm', 'status', 'deleteStream'] as const)),
    ...base,
  }),
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('outside' as const),
      what: fc.constantFrom(...(['time', 'time', 'time', 'restart', 'restart', 'damage', 'damage'] as const)),
    }),
  },
)

/** Answers by kind, so that a history in which nothing happens is noticed. */
const seen = new Map<string, number>()

/** One stream on a server, whatever it is asked. */
class World {
  private time = new ManualScheduler()
  private readonly random
  private readonly disk = new MemoryServerDisk({
    scheduler: { after: (ms, run) => this.time.after(ms, run), soon: (run) => this.time.soon(run) },
  })
  private hosted: HostedStream | null = null
  private answers: ServerAnswer[] = []

  constructor(seed: number) {
    this.random = seededRandom(seed)
  }

  async run(events: readonly Event[]): Promise<void> {
    await this.restart()
    const about = { id: 1, stream: 's', epoch: epoch(1), segmentEpoch: epoch(1) }
    this.request({ kind: 'openSegment', ...about, base: lsn(1), baseDigest: emptyDigest })
    for (const event of events) {
      if (event.kind !== 'outside') this.request(this.likely(event))
      else if (event.what === 'time') this.time.runDue()
      else if (event.what === 'restart') await this.restart()
      else this.damage()
      this.agree()
    }
    await this.restart()
  }

  /** Mostly of an epoch that is not fenced, of a segment that is there, and with batches that follow. */
  private likely(request: ServerRequest): ServerRequest {
    const state = this.hosted?.state
    if (state === undefined || this.random.uint32() % 5 === 0) return request
    const ofEpoch = epoch(Math.max(1, state.promised + (request.epoch === 5 ? 1 : 0)))
    const known = [...state.segments.values()]
    const segment = known[this.random.uint32() % Math.max(1, known.length)]
    if (!('segmentEpoch' in request)) return { ...request, epoch: ofEpoch }
    if (request.kind === 'openSegment') return { ...request, epoch: ofEpoch, segmentEpoch: ofEpoch }
    const likely = { ...request, epoch: ofEpoch, segmentEpoch: segment?.segmentEpoch ?? request.segmentEpoch }
    if (likely.kind !== 'append' || segment === undefined || this.random.uint32() % 3 === 0) return likely
    const digest = writtenDigestOf(segment)
    if (digest === null) return likely
    const written = writtenOf(segment)
    const following = chains.find((chain) => chain.some(({ prevDigest }) => prevDigest.equals(digest)))
    const rest = following?.filter(({ firstLsn }) => firstLsn > written)
    return {
      ...likely,
      batches: (rest ?? new BatchChain(written, digest).next(3)).slice(0, 1 + (this.random.uint32() % 3)),
    }
  }

  private request(request: ServerRequest): void {
    const before = this.hosted?.state.promised ?? 0
    this.answers = []
    this.hosted?.request('peer', request)
    // I4, I5: nobody below the promise gets anything done
    if (request.epoch < before)
      for (const answer of this.answers)
        if (answer.kind !== 'refused' && answer.kind !== 'appended')
          expect(['status', 'digest', 'read']).toContain(request.kind)
    if (this.hosted?.isStored === false && request.kind === 'deleteStream') this.hosted = this.host()
  }

  private host(): HostedStream {
    const { log } = this
    if (log === null) throw new Error('no log')
    return new HostedStream('s', {
      log,
      answer: (_to, answer) => {
        this.answers.push(answer)
        const what = answer.kind === 'refused' ? answer.refusal.reason : answer.kind
        seen.set(what, (seen.get(what) ?? 0) + 1)
      },
      forward: () => undefined,
      read: ({ segmentEpoch, from, until, bytesMax }) => {
        try {
          if (until >= from) log.read('s', segmentEpoch, from, until, bytesMax)
        } catch (error) {
          expect(['journal_corrupt', 'log_trimmed']).toContain((error as { code?: string }).code)
        }
      },
      alarm: () => undefined,
      flushed: () => undefined,
      failed: (error) => {
        throw error
      },
    })
  }

  private log: Awaited<ReturnType<typeof openServerLog>> | null = null

  private async restart(): Promise<void> {
    this.time = new ManualScheduler()
    this.disk.crash(this.random)
    const opening = openServerLog({
      disk: this.disk,
      environment: {
        clock: { wallMs: () => 1e12, monotonicMs: () => 0 },
        scheduler: this.time,
        random: this.random,
        log: silentLog,
      },
      options: { ...defaultJournalOptions, segmentBytes: 1 << 20, maxBytes: Number.MAX_SAFE_INTEGER },
      serverId: 's1',
      clusterId: 'c1',
    })
    let over = false
    const note = (): void => {
      over = true
    }
    opening.then(note, note)
    while (!over) {
      this.time.runDue()
      await Promise.resolve()
    }
    this.log = await opening
    this.hosted = this.host()
  }

  private damage(): void {
    for (const [directory, storage] of this.disk.storages) {
      const [name] = storage.list().filter((file) => file.endsWith('.segment') && file !== 'spare.segment')
      if (name === undefined || !directory.includes('/')) continue
      const pages = storage.usedPages(name).filter((page) => page > 0)
      const page = pages[this.random.uint32() % Math.max(1, pages.length)]
      if (page !== undefined) storage.flipBit(name, 8 * (page * 4096 + (this.random.uint32() % 200)))
      return
    }
  }

  /** What the machine thinks is on the disk is there. */
  private agree(): void {
    const { log, hosted } = this
    if (log === null || hosted === null) return
    expect(log.promised('s')).toBe(hosted.state.promised)
    const stored = new Map<Epoch, { tail: number; flushed: number }>(
      log.segments('s').map(({ epoch: of, tail, flushed }) => [of, { tail, flushed }]),
    )
    for (const segment of hosted.state.segments.values()) {
      const there = stored.get(segment.segmentEpoch)
      expect(there).toBeDefined()
      if (segment.damaged.length > 0 || segment.atLeast) continue
      expect(there?.tail).toBe(segment.unflushed.at(-1)?.lsn ?? segment.flushed)
      expect(there?.flushed).toBeGreaterThanOrEqual(segment.flushed)
    }
  }
}

// long enough for a machine that does other work too
const timeout = 120_000

test('no request takes a journal server down, or makes it think that it has what it has not', { timeout }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1 }),
      fc.array(anyEvent, { maxLength: 60, size: 'max' }),
      async (seed, events) => {
        await new World(seed).run(events)
      },
    ),
    { numRuns: 200 },
  )
  for (const what of [
    'appended',
    'sealed',
    'segmentState',
    'fenced',
    'gap',
    'conflict',
    'sealed',
    'damaged',
    'trimmed',
  ])
    expect(seen.get(what), what).toBeGreaterThan(0)
})
