import type { JournalBatch } from '../../../src/journal/batch.ts'
import {
  type Journal,
  type OpenJournalRequest,
  openJournal,
  type RecoveryReport,
} from '../../../src/journal/journal.ts'
import { MemoryStorage, type MemoryStorageOptions } from '../../../src/journal/memory-storage.ts'
import { defaultJournalOptions, type JournalOptions } from '../../../src/journal/options.ts'
import type { Environment, Random, Scheduler, Timer } from '../../../src/kernel/environment.ts'
import { silentLog } from '../../../src/kernel/environment.ts'
import type { CommanderError } from '../../../src/kernel/errors.ts'
import { type Lsn, lsn } from '../../../src/kernel/identifiers.ts'

export const journalId: Buffer = Buffer.alloc(16, 0x11)
export const serverId: Buffer = Buffer.alloc(16, 0x22)
export const smallSegments: JournalOptions = { ...defaultJournalOptions, segmentBytes: 1 << 20 }

/** xorshift32: a test that fails fails again with the same seed. */
export function seededRandom(seed: number): Random {
  let state = seed | 0 || 1
  const uint32 = (): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
  return { uint32, uuid: () => `${uint32()}` }
}

/** Time that stands still until a test moves it. */
export class ManualScheduler implements Scheduler {
  nowMs = 0
  private tasks: { dueMs: number; run: () => void }[] = []

  after(delayMs: number, run: () => void): Timer {
    const task = { dueMs: this.nowMs + delayMs, run }
    this.tasks.push(task)
    return {
      cancel: () => {
        this.tasks = this.tasks.filter((other) => other !== task)
      },
    }
  }

  soon(run: () => void): void {
    this.after(0, run)
  }

  /** Runs what is due now, what that makes due too, and nothing later. */
  runDue(): void {
    for (let task = this.takeDue(); task; task = this.takeDue()) task.run()
  }

  advance(ms: number): void {
    this.nowMs += ms
    this.runDue()
  }

  private takeDue(): { run: () => void } | undefined {
    const index = this.tasks.findIndex(({ dueMs }) => dueMs <= this.nowMs)
    return index < 0 ? undefined : this.tasks.splice(index, 1)[0]
  }
}

export interface Opened {
  readonly journal: Journal
  readonly report: RecoveryReport
  readonly batches: JournalBatch[]
}

type OpenChanges = Partial<Omit<OpenJournalRequest, 'storage' | 'environment'>>

/** A journal on a virtual disk, with its time and its faults in the hands of a test. */
export class JournalWorld {
  readonly scheduler = new ManualScheduler()
  readonly random: Random
  readonly environment: Environment
  readonly options: JournalOptions
  storage: MemoryStorage
  wallMs = 1_700_000_000_000
  /** Asked before every operation of the storage. */
  fault: NonNullable<MemoryStorageOptions['fault']> = () => null

  constructor(options: JournalOptions = smallSegments, seed = 1) {
    this.options = options
    this.random = seededRandom(seed)
    this.storage = new MemoryStorage({ scheduler: this.scheduler, fault: (operation) => this.fault(operation) })
    this.environment = {
      clock: { wallMs: () => this.wallMs, monotonicMs: () => this.scheduler.nowMs },
      scheduler: this.scheduler,
      random: this.random,
      log: silentLog,
    }
  }

  async open(changes: OpenChanges = {}): Promise<Opened> {
    const batches: JournalBatch[] = []
    const opening = openJournal({
      storage: this.storage,
      environment: this.environment,
      journalId,
      serverId,
      options: this.options,
      floorLsn: lsn(0),
      replayFrom: lsn(1),
      onBatch: (batch) => batches.push(batch),
      ...changes,
    })
    return { ...(await this.drive(opening)), batches }
  }

  /** Lets a promise finish by running what is due. */
  async drive<T>(promise: Promise<T>): Promise<T> {
    let over = false
    const note = (): void => {
      over = true
    }
    promise.then(note, note)
    while (!over) {
      this.scheduler.runDue()
      await Promise.resolve()
    }
    return promise
  }

  async close(journal: Journal): Promise<CommanderError | null> {
    return this.drive(new Promise<CommanderError | null>((resolve) => journal.close(resolve)))
  }
}

/** One frame with `entryCount` entries; returns its payload, which says which LSNs it holds. */
export function append(journal: Journal, entryCount = 1, bytes = 64): Buffer {
  const firstLsn = lsn(journal.writtenLsn + 1)
  const payload = payloadOf(firstLsn, bytes)
  journal.append(payload, firstLsn, entryCount, journal.flushedLsn)
  return payload
}

/** Never zero anywhere, and different for each LSN. */
export function payloadOf(firstLsn: Lsn, bytes: number): Buffer {
  const pattern = Buffer.alloc(255)
  for (let at = 0; at < pattern.length; at++) pattern[at] = ((firstLsn * 31 + at * 7) % 255) + 1
  return Buffer.alloc(bytes, pattern)
}

export interface FlushOutcome {
  readonly flushedLsn: Lsn
  readonly error: CommanderError | null
}

/** Starts a flush and lets it end. */
export function flush(world: JournalWorld, journal: Journal): FlushOutcome {
  let outcome: FlushOutcome | null = null
  journal.flush((flushedLsn, error) => {
    outcome = { flushedLsn, error }
  })
  world.scheduler.runDue()
  if (outcome === null) throw new Error('the flush did not end')
  return outcome
}

export function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return (error as CommanderError).code
  }
  return 'nothing thrown'
}
