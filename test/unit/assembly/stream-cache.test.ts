import { beforeEach, describe, expect, it } from 'vitest'
import type { Action } from '../../../src/actions/action.ts'
import { type OpenCache, openStreamCache } from '../../../src/assembly/stream-cache.ts'
import type { Surroundings } from '../../../src/assembly/surroundings.ts'
import type { Journal } from '../../../src/journal/journal.ts'
import { segmentsOf } from '../../../src/journal/segment-name.ts'
import type { CommittedBatch, CommittedBatches } from '../../../src/journal-writer/committed-batches.ts'
import { crc32 } from '../../../src/kernel/checksum.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { type Lsn, lsn } from '../../../src/kernel/identifiers.ts'
import { emptyRoot, type RootState, reduce } from '../../../src/state/root.ts'
import type { AppliedFrame } from '../../../src/tables/applied-frame.ts'
import { flush, JournalWorld, journalId, smallSegments } from '../journal/journal-world.ts'
import { received, StubJournal } from '../role-world.ts'

/** A stream of one entry a batch, and the local segments of a node that had led it. */
class CacheWorld {
  readonly disk = new JournalWorld()
  readonly stream: CommittedBatch[] = []
  /** What the stream no longer has. */
  trimmed: Lsn = lsn(0)
  root: RootState = emptyRoot({ lookup: () => undefined, keepsPayloads: false })
  applied: Lsn = lsn(0)
  appliedFrame: AppliedFrame | null = null
  readonly #entries = new StubJournal()

  /** Batches that are committed, and others that only this node has. */
  async make(committed: number, more = 0): Promise<void> {
    const { journal } = await this.disk.open({ serverId: journalId })
    for (let i = 0; i < committed + more; i++) {
      const batch = this.entry(i < committed ? `c${i}` : `own${i}`)
      if (i < committed) this.stream.push(batch)
      journal.append(batch.payload, batch.firstLsn, 1, journal.flushedLsn)
      if (i % 3 === 0) flush(this.disk, journal)
    }
    flush(this.disk, journal)
    await this.disk.close(journal)
  }

  entry(id: string, more: Partial<Action> = {}): CommittedBatch {
    const payload = this.#entries.append([{ ...received(id), ...more } as Action])
    return { firstLsn: this.#entries.written, entryCount: 1, payload }
  }

  /** The store has applied so much, and its root is of there. */
  store(applied: number, rootAt = applied): void {
    for (const { payload } of this.stream.slice(0, rootAt)) reduce(this.root, payload, 0)
    this.applied = lsn(applied)
    const { payload } = this.stream[applied - 1] as CommittedBatch
    this.appliedFrame = { firstLsn: applied, lastLsn: applied, crc: crc32(payload) }
  }

  open(): Promise<OpenCache> {
    const { environment, storage } = this.disk
    const surroundings = { environment, journalId } as unknown as Surroundings
    const feed = { tail: async () => lsn(this.stream.length), open: (after: Lsn) => this.#feed(after) }
    const { root, applied, appliedFrame } = this
    const request = { surroundings, storage, options: smallSegments, root, applied, appliedFrame, feed }
    return this.disk.drive(openStreamCache(request))
  }

  #feed(from: Lsn): CommittedBatches {
    if (from < this.trimmed) throw new CommanderError('log_trimmed', 'gone', { details: { trimLsn: this.trimmed } })
    return { next: (after) => this.stream[after] ?? null, onMore: () => {}, close: () => {} }
  }
}

let world: CacheWorld
beforeEach(() => {
  world = new CacheWorld()
})

const span = ({ journal }: { readonly journal: Journal }): [number, number] => [journal.firstLsn, journal.writtenLsn]

describe('the local segments of a replicated journal', () => {
  it('are kept as they are where they say what the stream does', async () => {
    await world.make(8)
    world.store(5)
    const cache = await world.open()
    expect([span(cache), cache.guard.size]).toEqual([[1, 8], 0])
  })

  it('lose what is not known to be committed, and what another leader has put something else in place of', async () => {
    await world.make(6, 3)
    world.store(4)
    expect(span(await world.open())).toEqual([1, 6])
    world = new CacheWorld()
    await world.make(6, 3)
    for (let i = 6; i < 12; i++) world.stream.push({ ...world.entry(`other${i}`), firstLsn: lsn(i + 1) })
    world.store(6)
    expect(span(await world.open())).toEqual([1, 6])
  })

  it('end behind the store where the host lost what the system had not written, and go on from there', async () => {
    await world.make(3)
    for (let i = 3; i < 9; i++) world.stream.push(world.entry(`c${i}`))
    world.store(8, 2)
    expect(span(await world.open())).toEqual([1, 3])
  })

  it('begin anew behind the root where they end before it', async () => {
    await world.make(3)
    for (let i = 3; i < 9; i++) world.stream.push(world.entry(`c${i}`))
    world.store(8)
    const { journal } = await world.open()
    expect(span({ journal })).toEqual([9, 8])
    const next = world.stream[8] as CommittedBatch
    journal.append(next.payload, next.firstLsn, 1, lsn(8))
    expect(span({ journal })).toEqual([9, 9])
  })

  it('begin anew behind the root where they are damaged', async () => {
    await world.make(8)
    world.store(5)
    const name = segmentsOf(world.disk.storage.list())[0]?.name ?? ''
    const bytes = world.disk.storage.readWhole(name) as Buffer
    bytes.fill(0x55, 4200, 4300)
    world.disk.storage.replace(name, bytes)
    expect(span(await world.open())).toEqual([6, 5])
  })

  it('are of no use to a store that has applied what is not in the stream', async () => {
    await world.make(6)
    world.store(6)
    world.stream[5] = { ...world.entry('other'), firstLsn: lsn(6) }
    world.applied = lsn(5)
    await expect(world.open()).rejects.toMatchObject({ code: 'journal_corrupt', details: { rule: 'R9', lsn: 6 } })
  })

  it('of a node that was away for too long cannot be compared: it says so', async () => {
    await world.make(6)
    world.store(3)
    world.trimmed = lsn(5)
    await expect(world.open()).rejects.toMatchObject({ code: 'log_trimmed' })
  })

  it('are compared from what the store has applied on where what is older was trimmed', async () => {
    await world.make(6)
    world.store(3)
    world.trimmed = lsn(3)
    expect(span(await world.open())).toEqual([1, 6])
  })
})
