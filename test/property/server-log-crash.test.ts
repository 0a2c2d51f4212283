import fc from 'fast-check'
import { expect, test } from 'vitest'
import { defaultJournalOptions } from '../../src/journal/options.ts'
import { PowerLoss } from '../../src/journal/storage-faults.ts'
import { type Scheduler, silentLog } from '../../src/kernel/environment.ts'
import { epoch, lsn } from '../../src/kernel/identifiers.ts'
import { type Digest, emptyDigest, lastLsnOf, makeBatch, type ReplicatedBatch } from '../../src/replication/batch.ts'
import { openServerLog } from '../../src/replication/journal-server-log.ts'
import { MemoryServerDisk } from '../../src/replication/memory-server-disk.ts'
import type { SegmentSummary, ServerLog } from '../../src/replication/server-log.ts'
import { ManualScheduler, seededRandom } from '../unit/journal/journal-world.ts'

type Step =
  | { readonly kind: 'append'; readonly late: boolean; readonly count: number; readonly words: number }
  | { readonly kind: 'startFlush'; readonly late: boolean }
  | { readonly kind: 'endFlush' | 'promise' | 'create' | 'close' | 'powerLoss' | 'kill' }
  | { readonly kind: 'truncate' | 'finish' | 'drop'; readonly late: boolean; readonly part: number }
  /** The power fails at this many storage operations from now. */
  | { readonly kind: 'powerLossAt'; readonly operations: number; readonly after: boolean }

const of = <Kind extends Step['kind']>(...kinds: Kind[]) => fc.record({ kind: fc.constantFrom(...kinds) })
const late = fc.boolean()
const step = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      late,
      count: fc.integer({ min: 1, max: 4 }),
      words: fc.oneof(fc.integer({ min: 1, max: 600 }), fc.integer({ min: 1, max: 40_000 })),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('startFlush' as const), late }) },
  { weight: 4, arbitrary: of('endFlush') },
  { weight: 2, arbitrary: of('promise', 'create', 'close', 'powerLoss', 'kill') },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('truncate' as const, 'finish' as const, 'drop' as const),
      late,
      part: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('powerLossAt' as const),
      operations: fc.integer({ min: 0, max: 12 }),
      after: fc.boolean(),
    }),
  },
)

/** What the test knows of a segment. */
interface Known {
  readonly epoch: number
  readonly base: number
  readonly baseDigest: Digest
  /** Written, or on their way. */
  batches: ReplicatedBatch[]
  /** So many of them were acknowledged. */
  acknowledged: number
  flushing: boolean
  /** It was created before the power failed, for sure. */
  isThere: boolean
  finished: number | null
  finishing: number | null
}

const stream = 's'

/** One history; after every crash all that was acknowledged is there: promises, segments, flushed batches. */
class History {
  /** What was due dies with its process. */
  private time = new ManualScheduler()
  private readonly scheduler: Scheduler = {
    after: (delayMs, run) => this.time.after(delayMs, run),
    soon: (run) => this.time.soon(run),
  }
  private readonly random
  private fault: 'crash' | 'crashAfter' | null = null
  private faultIn = -1
  private readonly disk = new MemoryServerDisk({
    scheduler: this.scheduler,
    fault: () => (this.faultIn >= 0 && this.faultIn-- === 0 ? this.fault : null),
  })
  private log: ServerLog | null = null
  private promised = 0
  private promising = 0
  private segments: Known[] = []
  private droppedBelow = 0
  private nextEpoch = 1

  constructor(seed: number) {
    this.random = seededRandom(seed)
  }

  async run(steps: readonly Step[]): Promise<void> {
    await this.reopen('kill')
    for (const step of steps) {
      try {
        await this.take(step)
      } catch (error) {
        if (!(error instanceof PowerLoss)) throw error
        await this.reopen('powerLoss')
      }
    }
    await this.reopen('powerLoss')
  }

  private async take(step: Step): Promise<void> {
    const { log } = this
    if (log === null) return
    const segment = this.segments.at('late' in step && step.late ? -2 : -1)
    switch (step.kind) {
      case 'promise':
        this.promising = this.promised + 1 + (this.random.uint32() % 3)
        log.promise(stream, epoch(this.promising))
        this.promised = this.promising
        return
      case 'create':
        return this.create(log)
      case 'append':
        return segment && this.append(log, segment, step.count, step.words * 8)
      case 'startFlush':
        return segment && this.flush(log, segment)
      case 'endFlush':
        return this.time.runDue()
      case 'truncate':
      case 'finish':
        return segment && this.cut(log, segment, step.kind, step.part)
      case 'drop':
        return this.drop(log, segment, step.part)
      case 'close':
        return this.close(log)
      case 'powerLossAt':
        this.fault = step.after ? 'crashAfter' : 'crash'
        this.faultIn = step.operations
        return
      default:
        return this.reopen(step.kind)
    }
  }

  private async close(log: ServerLog): Promise<void> {
    if (this.segments.some(({ flushing }) => flushing)) this.time.runDue()
    await this.drive(
      new Promise<void>((resolve, reject) => log.close((error) => (error === null ? resolve() : reject(error)))),
    )
    for (const segment of this.segments) segment.acknowledged = segment.batches.length
    await this.reopen('kill')
  }

  private create(log: ServerLog): void {
    const last = this.segments.at(-1)
    const tail = last === undefined ? 0 : endOf(last).tail
    const base = tail + 1
    const baseDigest = last === undefined ? emptyDigest : endOf(last).digest
    const segment: Known = {
      epoch: this.nextEpoch++,
      base,
      baseDigest,
      batches: [],
      acknowledged: 0,
      flushing: false,
      isThere: false,
      finished: null,
      finishing: null,
    }
    this.segments.push(segment)
    log.createSegment(stream, { epoch: epoch(segment.epoch), base: lsn(base), baseDigest })
    segment.isThere = true
  }

  private append(log: ServerLog, segment: Known, count: number, bytes: number): void {
    // nobody appends to what was finished, nor below what was dropped
    if (segment.finished !== null) return
    for (let i = 0; i < count; i++) {
      const { tail, digest } = endOf(segment)
      const fill = Buffer.alloc(255)
      for (let at = 0; at < 255; at++) fill[at] = ((tail * 31 + at * 7 + segment.epoch) % 255) + 1
      const batch = makeBatch(digest, lsn(tail + 1), 1 + (tail % 3), Buffer.alloc(bytes, fill))
      segment.batches.push(batch)
      log.append(stream, epoch(segment.epoch), [batch], lsn(tail))
    }
  }

  private flush(log: ServerLog, segment: Known): void {
    if (segment.flushing) return
    segment.flushing = true
    log.flush(stream, epoch(segment.epoch), (flushed, error) => {
      expect(error).toBeNull()
      segment.flushing = false
      segment.acknowledged = segment.batches.filter((batch) => lastLsnOf(batch) <= flushed).length
    })
  }

  private cut(log: ServerLog, segment: Known, how: 'truncate' | 'finish', part: number): void {
    if (segment.finished !== null) return
    const from = log.segments(stream).find(({ epoch: e }) => e === segment.epoch)?.from ?? lsn(0)
    const least = segment.batches.filter(({ firstLsn }) => firstLsn < from).length
    const kept = least + Math.floor(part * (segment.batches.length - least))
    const end = kept === 0 ? segment.base - 1 : lastLsnOf(segment.batches[kept - 1] as ReplicatedBatch)
    segment.acknowledged = Math.min(segment.acknowledged, kept)
    if (how === 'finish') segment.finishing = end
    if (how === 'truncate') log.truncate(stream, epoch(segment.epoch), lsn(end))
    else log.finish(stream, epoch(segment.epoch), lsn(end))
    // what is left of what was cut is durable
    if (kept < segment.batches.length) segment.acknowledged = kept
    segment.batches = segment.batches.slice(0, kept)
    segment.finished = segment.finishing
  }

  private drop(log: ServerLog, segment: Known | undefined, part: number): void {
    if (segment === undefined) return
    const { tail } = endOf(segment)
    const before = segment.base + Math.floor(part * (tail - segment.base + 1))
    this.droppedBelow = Math.max(this.droppedBelow, before)
    log.dropSegments(stream, lsn(before))
    const left = log.segments(stream).map(({ epoch: e }) => e as number)
    for (const { epoch: e } of this.segments.slice(-1)) expect(left).toContain(e)
    this.segments = this.segments.filter((one) => left.includes(one.epoch) || endOf(one).tail >= before)
  }

  private async reopen(how: 'powerLoss' | 'kill'): Promise<void> {
    this.faultIn = -1
    this.time = new ManualScheduler()
    if (how === 'kill') this.disk.kill()
    else this.disk.crash(this.random)
    for (const segment of this.segments) segment.flushing = false
    for (let attempt = 0; ; attempt++) {
      // recovery itself is cut short a few times
      if (attempt < 3 && this.random.uint32() % 3 === 0) {
        this.fault = attempt % 2 === 0 ? 'crashAfter' : 'crash'
        this.faultIn = this.random.uint32() % 10
      }
      try {
        this.log = await this.drive(this.open())
        break
      } catch (error) {
        if (!(error instanceof PowerLoss)) throw error
        this.faultIn = -1
        this.time = new ManualScheduler()
        this.disk.crash(this.random)
      }
    }
    this.faultIn = -1
    this.check(this.log)
  }

  private open(): Promise<ServerLog> {
    const { disk, scheduler, random } = this
    return openServerLog({
      disk,
      environment: {
        clock: { wallMs: () => 1e12, monotonicMs: () => 0 },
        scheduler,
        random,
        log: silentLog,
      },
      options: { ...defaultJournalOptions, segmentBytes: 1 << 20, maxBytes: Number.POSITIVE_INFINITY },
      serverId: 's1',
      clusterId: 'c1',
    })
  }

  private async drive<T>(promise: Promise<T>): Promise<T> {
    let over = false
    const note = (): void => {
      over = true
    }
    promise.then(note, note)
    while (!over) {
      this.time.runDue()
      await Promise.resolve()
    }
    return promise
  }

  private check(log: ServerLog): void {
    const promised = log.promised(stream)
    expect([this.promised, this.promising]).toContain(promised)
    this.promised = promised
    this.promising = promised
    const found = log.segments(stream)
    this.segments = this.segments.filter((segment, index) => {
      const there = found.find(({ epoch: e }) => e === segment.epoch)
      if (there !== undefined) this.checkSegment(log, segment, there)
      else if (segment.isThere) {
        expect(index).toBeLessThan(this.segments.length - 1)
        expect(endOf(segment).tail).toBeLessThan(this.droppedBelow)
      }
      return there !== undefined
    })
    expect(found.map(({ epoch: e }) => e)).toEqual(this.segments.map(({ epoch: e }) => e))
  }

  private checkSegment(log: ServerLog, segment: Known, there: SegmentSummary): void {
    segment.isThere = true
    const { base, baseDigest, damaged, atLeast, flushed, tail, from, finished } = there
    expect({ base, damaged, atLeast }).toEqual({ base: segment.base, damaged: [], atLeast: false })
    expect(baseDigest.equals(segment.baseDigest)).toBe(true)
    expect(flushed).toBe(tail)
    expect(from).toBeLessThanOrEqual(Math.max(segment.base, this.droppedBelow))
    expect([segment.finished, segment.finishing]).toContain(finished)
    segment.finished = finished as number | null
    segment.finishing = segment.finished
    const kept = segment.batches.filter((batch) => lastLsnOf(batch) <= tail)
    expect(kept.length).toBeGreaterThanOrEqual(segment.acknowledged)
    segment.batches = kept
    segment.acknowledged = kept.length
    expect(endOf(segment).tail).toBe(tail)
    expect(endOf(segment).digest.equals(there.tailDigest ?? Buffer.alloc(0))).toBe(true)
    const wanted = kept.filter(({ firstLsn }) => firstLsn >= from)
    const read = wanted.length === 0 ? [] : log.read(stream, epoch(segment.epoch), from, tail, Number.POSITIVE_INFINITY)
    expect(read.length).toBe(wanted.length)
    for (const [index, batch] of read.entries())
      expect(batch.payload.equals(wanted[index]?.payload ?? Buffer.alloc(0))).toBe(true)
  }
}

function endOf({ base, baseDigest, batches }: Known): { tail: number; digest: Digest } {
  const last = batches.at(-1)
  return last === undefined ? { tail: base - 1, digest: baseDigest } : { tail: lastLsnOf(last), digest: last.digest }
}

// long enough for a machine that does other work too
const timeout = 120_000

test('after any crash the promises, the segments and the flushed batches of a journal server are there, and nothing that was cut off', {
  timeout,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1 }), fc.array(step, { maxLength: 60, size: 'max' }), async (seed, steps) => {
      await new History(seed).run(steps)
    }),
    { numRuns: 400 },
  )
})
