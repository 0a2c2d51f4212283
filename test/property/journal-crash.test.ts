import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PowerLoss } from '../../src/journal/storage-faults.ts'
import { lsn } from '../../src/kernel/identifiers.ts'
import { append, JournalWorld, type Opened, smallSegments } from '../unit/journal/journal-world.ts'

type Step =
  | { readonly kind: 'append'; readonly entries: number; readonly words: number }
  | { readonly kind: 'startFlush' | 'endFlush' | 'powerLoss' | 'kill' }
  /** The power fails at this many storage operations from now. */
  | { readonly kind: 'powerLossAt'; readonly operations: number; readonly after: boolean }

const words = fc.oneof(fc.integer({ min: 1, max: 600 }), fc.integer({ min: 1, max: 40_000 }))
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({ kind: fc.constant('append' as const), entries: fc.integer({ min: 1, max: 5 }), words }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('startFlush' as const, 'endFlush' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('powerLoss' as const, 'kill' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('powerLossAt' as const),
      operations: fc.integer({ min: 0, max: 12 }),
      after: fc.boolean(),
    }),
  },
)

interface Frame {
  readonly firstLsn: number
  readonly entryCount: number
  readonly payload: Buffer
}

/** Runs one history and checks after every crash that all that was flushed is there, and nothing that was never appended. */
class History {
  private readonly world: JournalWorld
  private opened: Opened | null = null
  private frames: Frame[] = []
  private acknowledgedLsn = 0
  private flushing = false

  constructor(seed: number) {
    this.world = new JournalWorld(smallSegments, seed)
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
    const journal = this.opened?.journal
    switch (step.kind) {
      case 'append':
        return void (journal && this.append(step.entries, step.words * 8))
      case 'startFlush':
        if (!journal || this.flushing) return
        this.flushing = true
        return journal.flush((flushedLsn, error) => {
          expect(error).toBeNull()
          this.flushing = false
          this.acknowledgedLsn = flushedLsn
        })
      case 'endFlush':
        return this.world.scheduler.runDue()
      case 'powerLossAt':
        return this.armPowerLoss(step.operations, step.after)
      default:
        return this.reopen(step.kind)
    }
  }

  private append(entryCount: number, bytes: number): void {
    const journal = this.opened?.journal
    if (!journal) return
    const firstLsn = journal.writtenLsn + 1
    // noted first: a crash in the middle of it may leave it there, whole
    const frame = { firstLsn, entryCount, payload: Buffer.alloc(0) }
    this.frames.push(frame)
    Object.assign(frame, { payload: append(journal, entryCount, bytes) })
  }

  private armPowerLoss(operations: number, after: boolean): void {
    let left = operations
    this.world.fault = () => (left-- === 0 ? (after ? 'crashAfter' : 'crash') : null)
  }

  private async reopen(how: 'powerLoss' | 'kill'): Promise<void> {
    const { world } = this
    this.world.fault = () => null
    if (how === 'kill') world.storage.kill()
    else world.storage.crash(world.random)
    this.flushing = false
    // recovery itself is cut short a few times
    for (let attempt = 0; attempt < 3; attempt++) {
      if (world.random.uint32() % 3 === 0) this.armPowerLoss(world.random.uint32() % 10, attempt % 2 === 0)
      const opened = await this.tryOpen()
      if (opened === null) continue
      return this.check(opened, how)
    }
    const opened = await this.tryOpen()
    if (opened === null) throw new Error('recovery did not finish')
    this.check(opened, how)
  }

  private async tryOpen(): Promise<Opened | null> {
    const { world } = this
    try {
      return await world.open({ floorLsn: lsn(world.random.uint32() % (this.acknowledgedLsn + 1)) })
    } catch (error) {
      if (!(error instanceof PowerLoss)) throw error
      world.fault = () => null
      world.storage.crash(world.random)
      return null
    }
  }

  private check(opened: Opened, _how: 'powerLoss' | 'kill'): void {
    const { report, batches } = opened
    this.world.fault = () => null
    this.opened = opened
    expect(report.recoveredLsn).toBeGreaterThanOrEqual(this.acknowledgedLsn)
    expect(report.timeline).toBe(1)
    const expected = this.frames.slice(0, batches.length)
    expect(batches.map(({ firstLsn, entryCount }) => [firstLsn, entryCount])).toEqual(
      expected.map(({ firstLsn, entryCount }) => [firstLsn, entryCount]),
    )
    // a frame that was cut short while it was appended was noted without its payload
    for (const [index, { payload }] of batches.entries())
      if (expected[index]?.payload.length) expect(payload.equals(expected[index].payload)).toBe(true)
    this.frames = batches.map(({ firstLsn, entryCount, payload }) => ({ firstLsn, entryCount, payload }))
    this.acknowledgedLsn = report.recoveredLsn
  }
}

// long enough for a machine that does other work too
const timeout = 120_000

test('after any crash everything flushed is there, in order, and nothing else but what was appended', {
  timeout,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1 }), fc.array(step, { maxLength: 60, size: 'max' }), async (seed, steps) => {
      await new History(seed).run(steps)
    }),
    { numRuns: 200 },
  )
})
