import { beforeEach, describe, expect, it } from 'vitest'
import type { Environment } from '../../../src/kernel/environment.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { epoch, lsn } from '../../../src/kernel/identifiers.ts'
import { trimWish } from '../../../src/replication/housekeeping.ts'
import type { Wish } from '../../../src/replication/leader-state.ts'
import type { StreamArchive } from '../../../src/replication/stream-archive.ts'
import { StreamArchiver } from '../../../src/replication/stream-archiver.ts'
import { archived, type SealedSegment, type StreamMeta } from '../../../src/replication/stream-meta.ts'
import { ManualScheduler } from '../ipc/manual-scheduler.ts'

const policy = { replicas: 1, ackQuorum: 1, topology: 'fanout' } as const
const digest = '0'.repeat(32)
const sealed = (at: number): SealedSegment => ({
  epoch: epoch(at),
  base: lsn(10 * at - 9),
  baseDigest: digest,
  group: ['a'],
  policy,
  state: 'sealed',
  tail: lsn(10 * at),
  tailDigest: digest,
})
const streamOf = (count: number): StreamMeta => ({
  stream: 's',
  epoch: epoch(count + 1),
  leader: null,
  nonce: '',
  trimLsn: lsn(0),
  segments: [
    ...Array.from({ length: count }, (_, index) => sealed(index + 1)),
    { ...sealed(count + 1), state: 'open' } as unknown as SealedSegment,
  ],
})

/** A leader whose record changes at once, and an archive that does as the test says. */
class World {
  readonly scheduler = new ManualScheduler()
  readonly warnings: string[] = []
  readonly stored: number[] = []
  readonly held = new Set<string>()
  fault: CommanderError | null = null
  meta = streamOf(3)
  failed: CommanderError | null = null
  archiver = this.another()

  another(): StreamArchiver {
    const log = { info: () => {}, error: () => {}, warn: (_: object, what: string) => this.warnings.push(what) }
    const archive: Pick<StreamArchive, 'location' | 'store' | 'holds'> = {
      location: 'somewhere',
      holds: async (object) => this.held.has(object),
      store: async (segment) => {
        if (this.fault !== null) throw this.fault
        this.stored.push(segment.epoch)
        this.held.add(`s/${segment.epoch}`)
        return `s/${segment.epoch}`
      },
    }
    return new StreamArchiver({
      environment: {
        clock: { monotonicMs: () => this.scheduler.nowMs, wallMs: () => 0 },
        scheduler: this.scheduler,
        random: { uint32: () => 0 },
        log,
      } as unknown as Environment,
      archive: archive as StreamArchive,
      read: async function* () {},
      segmentBytes: 1000,
    })
  }

  wish(wish: Wish): void {
    if (wish.kind === 'archived') this.meta = archived(this.meta, 'n', wish.segmentEpoch, wish.archive)
  }

  async look(times = 1): Promise<void> {
    for (let i = 0; i < times; i++) {
      this.archiver.look(this)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

describe('the archiver of a stream', () => {
  let world: World
  beforeEach(() => {
    world = new World()
  })

  it('brings sealed segments in order, marks each, and says how far it is', async () => {
    expect(world.archiver.status(world.meta)).toMatchObject({ archivedLsn: 0, waitingSegments: 3, waitingBytes: 3000 })
    await world.look()
    expect(world.archiver.status(world.meta)).toMatchObject({ archivedLsn: 10, waitingSegments: 2, failures: 0 })
    await world.look(5)
    expect(world.stored).toEqual([1, 2, 3])
    expect(world.archiver.status(world.meta)).toMatchObject({ archivedLsn: 30, waitingSegments: 0, error: null })
  })

  it('goes on where another leader stopped', async () => {
    await world.look(2)
    world.archiver = world.another()
    await world.look(5)
    expect(world.stored).toEqual([1, 2, 3])
  })

  it('tries again later and later while the archive fails, says it once, and marks nothing', async () => {
    world.fault = new CommanderError('archive_unavailable', 'it is down')
    await world.look(3)
    expect(world.archiver.status(world.meta)).toMatchObject({ failures: 1, error: { code: 'archive_unavailable' } })
    for (const [waitMs, failures] of [
      [500, 2],
      [999, 2],
      [1, 3],
    ] as const) {
      world.scheduler.advance(waitMs)
      await world.look()
      expect(world.archiver.status(world.meta)).toMatchObject({ failures, archivedLsn: 0 })
    }
    expect(world.warnings).toHaveLength(1)
    world.fault = null
    world.scheduler.advance(60_000)
    await world.look(3)
    expect(world.archiver.status(world.meta)).toMatchObject({ failures: 0, error: null, archivedLsn: 30 })
  })

  it('does nothing in a place that lacks what others have archived, and lets nothing be trimmed', async () => {
    await world.look(2)
    world.held.clear()
    world.archiver = world.another()
    await world.look(2)
    expect(world.archiver.status(world.meta).error).toMatchObject({ code: 'archive_conflict' })
    expect(world.stored).toEqual([1, 2])
    expect(trimWish(world.meta, { own: 30, nodes: [], archiver: world.archiver })).toBeNull()
  })

  it('stops with the lead', async () => {
    world.failed = new CommanderError('fenced', 'another one leads')
    await world.look(3)
    expect(world.stored).toEqual([])
  })
})

describe('what a leader gives up', () => {
  const record = (keepAfter: number, archive?: string) => ({
    id: 'b',
    incarnation: 'b1',
    address: 'b',
    host: 'h',
    socket: 's',
    url: null,
    end: 0,
    keepAfter,
    mayShareDevice: true,
    ...(archive === undefined ? {} : { archive }),
  })
  const archiver = { mayTrim: true }

  it('is what no node needs any more, by whole segments', () => {
    const meta = streamOf(3)
    const none = { archiver: null, nodes: [record(25)] }
    expect(trimWish(meta, { own: 22, ...none })).toEqual({ kind: 'trim', trimLsn: 22, isArchiving: false })
    expect(trimWish(meta, { own: 9, ...none })).toBeNull()
    expect(trimWish(meta, { own: 22, archiver: null, nodes: [record(3)] })).toBeNull()
  })

  it('lies in the archive, where anybody archives', () => {
    const meta = streamOf(3)
    expect(trimWish(meta, { own: 22, nodes: [], archiver })).toBeNull()
    const marked = archived(meta, 'n', epoch(1), 's/1')
    expect(trimWish(marked, { own: 22, nodes: [], archiver })).toMatchObject({ isArchiving: true })
    // This node was started without the archive that others have, or had.
    expect(trimWish(meta, { own: 22, nodes: [record(22, 'somewhere')], archiver: null })).toBeNull()
    expect(trimWish(marked, { own: 22, nodes: [], archiver: null })).toMatchObject({ isArchiving: true })
    expect(trimWish(marked, { own: 22, nodes: [], archiver: { mayTrim: false } })).toBeNull()
  })
})
