import type { Addresses, Surroundings } from '../assembly/surroundings.ts'
import { createMemoryTransport, type MemoryEndpoint, type MemoryTransport } from '../ipc/memory-transport.ts'
import { MemoryStorage } from '../journal/memory-storage.ts'
import type { JournalStorage } from '../journal/storage.ts'
import type { StorageFault, StorageOperation } from '../journal/storage-faults.ts'
import type { Scheduler } from '../kernel/environment.ts'
import { silentLog } from '../kernel/environment.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { type MemoryStore, openMemoryStore } from '../store/memory-store.ts'
import { allTables } from '../tables/table-names.ts'
import { SeededRandom } from './seeded-random.ts'
import { plainCodec, SimulatedArchive } from './simulated-archive.ts'
import { SimulatedProcess } from './simulated-process.ts'
import { SimulatedStore } from './simulated-store.ts'
import { SimulatedTransport } from './simulated-transport.ts'
import type { Trace } from './trace.ts'
import { VirtualTime } from './virtual-time.ts'

export interface SimulatedHostOptions {
  readonly seed: number
  readonly trace: Trace
  /** That of other hosts, which it shares. Default: its own. */
  readonly time?: VirtualTime
  /** Unreleased bytes that a channel may have under way: small ones make followers fall behind. */
  readonly windowBytes?: number
  /** As sockets do; false as the embedded database does. */
  readonly copyBytes?: boolean
  /** Every commit of the store is flushed, as LMDB's are. Default true. */
  readonly flushesCommits?: boolean
  /** What the wall clock shows at first. */
  readonly startWallMs?: number
  /** There is an archive for segments and streams. Default false. */
  readonly hasArchive?: boolean
  /** Default: `usualPace`. */
  readonly pace?: Pace
  readonly bug: (what: string, error: unknown) => void
  /** A process is gone, by whatever cause. */
  readonly killed: (process: SimulatedProcess) => void
  /** A process has had a turn. */
  readonly ran?: (process: SimulatedProcess) => void
  /** Told of every operation that changes the disk, before it is done. */
  readonly sees?: (operation: StorageOperation) => void
  /** Asked before every operation on the disk. Default: nothing fails. */
  readonly diskFault?: (operation: StorageOperation) => StorageFault | null
}

/** How long things take at the moment, in milliseconds at most; changed by whoever plans the faults. */
export interface Pace {
  turnMs: number
  deliveryMs: number
  flushMs: number
  commitMs: number
}

export const usualPace: Pace = { turnMs: 0.05, deliveryMs: 0.2, flushMs: 0.5, commitMs: 2 }
/** Much happens within the millisecond that a reader of the store may be behind. */
export const fastPace: Pace = { turnMs: 0.005, deliveryMs: 0.02, flushMs: 0.05, commitMs: 0.1 }

const addresses: Addresses = { journal: 'journal', gateway: 'gateway', applier: 'applier' }
export const simulatedJournalId: Buffer = Buffer.from('commanderdb-test')

/** One host: processes over a virtual disk, a store and a network, in virtual time. Everything follows from the seed. */
export class SimulatedHost {
  readonly random: SeededRandom
  readonly time: VirtualTime
  readonly trace: Trace
  readonly disk: MemoryStorage
  readonly store: SimulatedStore
  readonly network: MemoryTransport
  /** Null without one. It is no part of the host: it loses no power. */
  readonly archive: SimulatedArchive | null
  readonly pace: Pace
  /** What the wall clock shows more than the time since the start; it may jump. */
  wallOffsetMs: number
  readonly processes: Set<SimulatedProcess> = new Set()
  readonly #o: SimulatedHostOptions
  readonly #endpoints = new Map<SimulatedProcess, MemoryEndpoint>()
  /** Whoever writes the journal or the store: what they have under way ends with them. */
  #journalWriter: SimulatedProcess | null = null
  #storeWriter: SimulatedProcess | null = null

  constructor(options: SimulatedHostOptions) {
    this.#o = options
    this.trace = options.trace
    this.pace = { ...(options.pace ?? usualPace) }
    this.random = new SeededRandom(options.seed)
    this.wallOffsetMs = options.startWallMs ?? 1_700_000_000_000
    this.time = options.time ?? new VirtualTime(this.random)
    this.archive = options.hasArchive === true ? new SimulatedArchive(this) : null
    this.time.hasStreams = this.archive !== null
    const world = { scheduler: this.#ofWorld(), log: silentLog }
    const { windowBytes, copyBytes = true } = options
    this.network = createMemoryTransport(world, {
      copyBytes,
      delayMs: () => this.#some(this.pace.deliveryMs),
      ...(windowBytes === undefined ? {} : { windowBytes }),
    })
    this.disk = new MemoryStorage({
      scheduler: this.#ofDisk(),
      fault: (operation) => this.#onDisk(operation),
    })
    this.store = new SimulatedStore(this.#emptyStore(), options.flushesCommits ?? true)
  }

  #emptyStore(): MemoryStore {
    return openMemoryStore({
      tables: allTables,
      environment: {
        scheduler: this.#ofStore(),
        log: silentLog,
        clock: { wallMs: () => this.wallMs, monotonicMs: () => this.time.nowMs },
        random: this.random,
      },
      commitDelayMs: () => this.#some(this.pace.commitMs),
    })
  }

  get wallMs(): number {
    return Math.floor(this.time.nowMs + this.wallOffsetMs)
  }

  start(name: string, isRemote = false): SimulatedProcess {
    const process = new SimulatedProcess({
      name,
      time: this.time,
      random: this.random,
      trace: this.trace,
      wallMs: () => this.wallMs,
      turnMs: () => this.#some(this.pace.turnMs),
      bug: this.#o.bug,
      killed: (dead) => this.#killed(dead),
      isRemote,
      ran: (process) => this.#o.ran?.(process),
    })
    this.processes.add(process)
    this.#endpoints.set(process, this.network.endpoint(process.environment))
    this.trace.note(this.time.nowMs, name, 'started')
    return process
  }

  surroundingsOf(process: SimulatedProcess, failed: (error: Error) => void): Surroundings {
    return {
      environment: process.environment,
      transport: this.transportOf(process),
      addresses,
      openStorage: () => this.#storageFor(process),
      openStore: (access) => this.#storeFor(process, access),
      vault: this.archive?.vault(process) ?? null,
      segmentCodec: plainCodec,
      journalId: simulatedJournalId,
      failed,
    }
  }

  transportOf(process: SimulatedProcess): SimulatedTransport {
    const endpoint = this.#endpoints.get(process) as MemoryEndpoint
    return new SimulatedTransport(process, endpoint, (what, bytes) => {
      this.trace.note(this.time.nowMs, process.name, what, bytes)
    })
  }

  /** Another process writes the journal's files: a tool that an operator runs while the database is stopped. */
  lendDisk(process: SimulatedProcess): void {
    this.#journalWriter = process
  }

  /** There is no store any more: the next to open it finds an empty one. */
  setStoreAside(): void {
    this.store.replace(this.#emptyStore())
  }

  /** All processes die, and the disk keeps what was flushed, and of the rest whatever chance leaves. */
  losePower(): void {
    this.trace.note(this.time.nowMs, 'host', 'loses power')
    for (const process of [...this.processes]) if (!process.isRemote) process.kill('the power failed')
    this.disk.crash(this.random)
    this.store.crash()
  }

  #storageFor(process: SimulatedProcess): JournalStorage {
    if (process.name === 'journal-writer') this.#journalWriter = process
    return this.disk
  }

  #storeFor(process: SimulatedProcess, access: 'read' | 'write'): KeyValueStore {
    if (access === 'write') this.#storeWriter = process
    return this.store.open(access, process)
  }

  #onDisk(operation: StorageOperation): StorageFault | null {
    if (operation.kind === 'read') return null
    const writer = this.#journalWriter
    this.trace.note(
      this.time.nowMs,
      'disk',
      `${operation.kind} ${operation.name} ${operation.position ?? ''} ${operation.bytes ?? ''}`,
    )
    const isStep = writer !== null && operation.kind !== 'flush'
    const comesFirst = isStep && this.random.chance(0.5)
    if (comesFirst) writer.step()
    this.#o.sees?.(operation)
    if (isStep && !comesFirst && !writer.stepAfter()) return 'crashAfter'
    return this.#o.diskFault?.(operation) ?? null
  }

  #killed(process: SimulatedProcess): void {
    this.processes.delete(process)
    this.#endpoints.get(process)?.crash()
    this.#endpoints.delete(process)
    this.store.killed(process)
    this.#o.killed(process)
  }

  #some(mostMs: number): number {
    return this.random.fraction() * mostMs
  }

  /** What nothing but the end of the world ends. */
  #ofWorld(): Scheduler {
    return {
      after: (delayMs, run) => ({ cancel: this.time.after(delayMs, run) }),
      soon: (run) => void this.time.after(0, run),
    }
  }

  /** What the disk does for the journal writer, and ends with it. */
  #ofDisk(): Scheduler {
    const after = (delayMs: number, run: () => void): (() => void) => {
      const writer = this.#journalWriter
      return this.time.after(delayMs + this.#some(this.pace.flushMs), () => writer?.completion(run))
    }
    return { after: (delayMs, run) => ({ cancel: after(delayMs, run) }), soon: (run) => void after(0, run) }
  }

  /** What a thread of the projection applier does for it. */
  #ofStore(): Scheduler {
    const after = (delayMs: number, run: () => void): (() => void) => {
      const writer = this.#storeWriter
      return this.time.after(delayMs, () => {
        if (writer?.isAlive === true) run()
      })
    }
    return { after: (delayMs, run) => ({ cancel: after(delayMs, run) }), soon: (run) => void after(0, run) }
  }
}
