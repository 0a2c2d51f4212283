import { beforeEach, describe, expect, it } from 'vitest'
import { type Flushable, FlushSchedule } from '../../../src/journal-writer/flush-schedule.ts'
import { defaultFlushOptions, type FlushOptions } from '../../../src/journal-writer/options.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { type Lsn, lsn } from '../../../src/kernel/identifiers.ts'
import { ManualScheduler } from '../ipc/manual-scheduler.ts'

/** A journal whose flushes end when the test says so. */
class StubDisk implements Flushable {
  writtenLsn: Lsn = lsn(0)
  flushedLsn: Lsn = lsn(0)
  writtenBytes = 0
  flushes = 0
  #underWay: { readonly covers: Lsn; readonly done: (flushed: Lsn, error: CommanderError | null) => void } | null = null

  get isFlushing(): boolean {
    return this.#underWay !== null
  }

  write(bytes = 100): void {
    this.writtenLsn = lsn(this.writtenLsn + 1)
    this.writtenBytes += bytes
  }

  flush(done: (flushed: Lsn, error: CommanderError | null) => void): void {
    expect(this.#underWay).toBeNull()
    this.flushes++
    this.#underWay = { covers: this.writtenLsn, done }
  }

  finish(error: CommanderError | null = null): void {
    const flush = this.#underWay
    if (flush === null) throw new Error('no flush is under way')
    this.#underWay = null
    if (error === null) this.flushedLsn = flush.covers
    flush.done(this.flushedLsn, error)
  }
}

let scheduler: ManualScheduler
let disk: StubDisk
let told: Lsn[]
let failures: CommanderError[]

function schedule(options: Partial<FlushOptions> = {}): FlushSchedule {
  return new FlushSchedule({
    journal: disk,
    clock: { wallMs: () => scheduler.nowMs, monotonicMs: () => scheduler.nowMs },
    scheduler,
    options: { ...defaultFlushOptions, ...options },
    flushed: (flushed) => told.push(flushed),
    failed: (error) => failures.push(error),
  })
}

beforeEach(() => {
  scheduler = new ManualScheduler()
  disk = new StubDisk()
  told = []
  failures = []
})

describe('a batch that somebody waits for', () => {
  it('is flushed at once', () => {
    const flushes = schedule()
    disk.write()
    flushes.written(true)
    expect(disk.isFlushing).toBe(true)
    disk.finish()
    expect(told).toEqual([1])
    scheduler.advance(10_000)
    expect(disk.flushes).toBe(1)
  })

  it('shares the next flush with all that is written while one is under way', () => {
    const flushes = schedule()
    for (let i = 0; i < 5; i++) {
      disk.write()
      flushes.written(true)
    }
    expect(disk.flushes).toBe(1)
    disk.finish()
    expect(disk.flushes).toBe(2)
    disk.finish()
    expect(told).toEqual([1, 5])
    expect(disk.isFlushing).toBe(false)
  })

  it('waits commitDelay for others, all of whom share its flush', () => {
    const flushes = schedule({ commitDelayMicros: 5000 })
    disk.write()
    flushes.written(true)
    scheduler.advance(4)
    disk.write()
    flushes.written(true)
    expect(disk.flushes).toBe(0)
    scheduler.advance(1)
    expect(disk.flushes).toBe(1)
    disk.finish()
    expect(told).toEqual([2])
  })

  it('waits no longer than commitDelay when a batch that nobody waits for came first', () => {
    const flushes = schedule({ commitDelayMicros: 5000, writerDelayMs: 200 })
    disk.write()
    flushes.written(false)
    disk.write()
    flushes.written(true)
    scheduler.advance(5)
    expect(disk.flushes).toBe(1)
  })

  it('starts no flush where written is durability enough', () => {
    const flushes = schedule({ durability: 'written', writerDelayMs: 50 })
    disk.write()
    flushes.written(true)
    expect(disk.flushes).toBe(0)
    scheduler.advance(50)
    expect(disk.flushes).toBe(1)
  })
})

describe('batches that nobody waits for', () => {
  it('are flushed together after writerDelay', () => {
    const flushes = schedule({ writerDelayMs: 200 })
    disk.write()
    flushes.written(false)
    scheduler.advance(150)
    disk.write()
    flushes.written(false)
    expect(disk.flushes).toBe(0)
    scheduler.advance(50)
    disk.finish()
    expect(told).toEqual([2])
    scheduler.advance(1000)
    expect(disk.flushes).toBe(1)
  })

  it('are flushed as soon as they are flushAfterBytes', () => {
    const flushes = schedule({ flushAfterBytes: 1000 })
    disk.write(900)
    flushes.written(false)
    expect(disk.flushes).toBe(0)
    disk.write(100)
    flushes.written(false)
    expect(disk.flushes).toBe(1)
    disk.finish()
    disk.write(900)
    flushes.written(false)
    expect(disk.flushes).toBe(1)
  })

  it('are flushed after writerDelay too when they were written during a flush', () => {
    const flushes = schedule({ writerDelayMs: 200 })
    disk.write()
    flushes.written(true)
    disk.write()
    flushes.written(false)
    disk.finish()
    expect(disk.flushes).toBe(1)
    scheduler.advance(200)
    disk.finish()
    expect(told).toEqual([1, 2])
  })
})

describe('a flush that failed', () => {
  it('is never tried again, and nothing is said to be flushed any more', () => {
    const flushes = schedule()
    disk.write()
    flushes.written(true)
    disk.write()
    flushes.written(true)
    disk.finish(new CommanderError('journal_failed', 'EIO'))
    expect(failures).toHaveLength(1)
    disk.write()
    flushes.written(true)
    flushes.written(false)
    scheduler.advance(10_000)
    expect(disk.flushes).toBe(1)
    expect(told).toEqual([])
  })
})

describe('after stop', () => {
  it('no flush begins', () => {
    const flushes = schedule()
    disk.write()
    flushes.written(false)
    flushes.stop()
    disk.write()
    flushes.written(true)
    scheduler.advance(10_000)
    expect(disk.flushes).toBe(0)
  })
})
