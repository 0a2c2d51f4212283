import type { StorageFault, StorageOperation } from '../../src/journal/storage-faults.ts'
import { type ArchiveMood, usualMood } from '../../src/testing/simulated-archive.ts'
import type { Pace } from '../../src/testing/simulated-host.ts'
import type { Workload } from './client.ts'
import { type Cluster, type RoleName, roleNames } from './cluster.ts'
import { MediaFaults, mediaFaultKinds } from './media-faults.ts'

export interface FaultSettings {
  /** Faults that strike while the clients are at work, each at some call of theirs. */
  readonly struck: number
  /** How many of them are followed by another one at once, while the first is not over. */
  readonly doubled: number
  readonly power: boolean
  readonly disk: boolean
  readonly clock: boolean
  readonly archive: boolean
  readonly media: boolean
  /** How fast everything is while nothing slows it down. */
  readonly pace: Pace
}

const moods: readonly Partial<ArchiveMood>[] = [
  { failing: 1 },
  { failing: 0.4 },
  { isFull: true },
  { delayMs: 300 },
  { delayMs: 3_000 },
]

/** What goes wrong, by chance. */
export class Faults {
  readonly counts: Record<string, number> = {}
  readonly #cluster: Cluster
  readonly #workload: Workload
  readonly #settings: FaultSettings
  /** Strikes when so many calls have been made; the next one last. */
  readonly #due: number[]
  #isOver = false
  /** What the disk does to the next operation of this kind. */
  #diskError: { readonly kind: StorageOperation['kind']; readonly fault: StorageFault } | null = null
  #isDiskFull = false
  readonly media: MediaFaults

  constructor(cluster: Cluster, workload: Workload, settings: FaultSettings) {
    this.#cluster = cluster
    this.#workload = workload
    this.#settings = settings
    const { random } = cluster.host
    this.media = new MediaFaults(cluster.host.disk, random, () => {
      workload.powerEpoch++
    })
    const strikes = Array.from({ length: settings.struck }, () => random.integer(1, workload.planned))
    this.#due = strikes.sort((a, b) => b - a)
  }

  /** A client makes its `count`th call of all. */
  called(count: number): void {
    while (!this.#isOver && (this.#due.at(-1) ?? Number.POSITIVE_INFINITY) <= count) {
      this.#due.pop()
      this.#strikeSoon(2)
    }
  }

  /** Nothing goes wrong any more, and what is down comes up. */
  stop(): void {
    this.#isOver = true
    const { host } = this.#cluster
    Object.assign(host.pace, this.#settings.pace)
    Object.assign(host.archive?.mood ?? {}, usualMood)
    this.#cluster.wedgeMs = 0
    this.#diskError = null
    this.#isDiskFull = false
    this.media.stop()
    for (const process of host.processes) {
      process.killAfterSteps(Number.POSITIVE_INFINITY)
      process.suspendAfterSteps(Number.POSITIVE_INFINITY, 0)
    }
    for (const name of roleNames) if (name !== 'bank-2') this.#cluster.want(name)
    if (!this.#cluster.hasPower) this.#cluster.powerIsBack()
  }

  /** How the disk is to do this operation. */
  onDisk(operation: StorageOperation): StorageFault | null {
    const { kind } = operation
    if (this.#isDiskFull && (kind === 'write' || kind === 'create' || kind === 'writeWhole')) return 'enospc'
    if (this.#diskError?.kind !== kind) return kind === 'write' ? this.media.onWrite(operation) : null
    const { fault } = this.#diskError
    this.#diskError = null
    return fault
  }

  #strikeSoon(mostMs: number): void {
    const { host } = this.#cluster
    host.time.after(host.random.fraction() * mostMs, () => {
      if (this.#isOver) return
      this.#strike()
      if (host.random.chance(this.#settings.doubled)) this.#strikeSoon(host.random.pick([1, 20, 200]))
    })
  }

  #strike(): void {
    const { random } = this.#cluster.host
    const kinds = [
      ...[
        'crash',
        'crash',
        'crash',
        'crashInStep',
        'crashInStep',
        'crashInStep',
        'sever',
        'sever',
        'suspend',
        'suspendInStep',
        'wedge',
        'pace',
      ],
      ...['leave', 'crashClient', 'restartAll'],
      ...(this.#settings.power ? ['power', 'power'] : []),
      ...(this.#settings.clock ? ['clock'] : []),
      ...(this.#settings.archive ? ['archive', 'archive', 'archive'] : []),
      ...(this.#settings.media ? [...mediaFaultKinds, ...mediaFaultKinds, 'power', 'power'] : []),
      ...(this.#settings.disk ? ['diskError', 'diskError', 'diskFull'] : []),
    ]
    const kind = random.pick(kinds)
    this.counts[kind] = (this.counts[kind] ?? 0) + 1
    this.#do(kind)
  }

  #do(kind: string): void {
    const { host } = this.#cluster
    const { random, time, trace } = host
    trace.note(time.nowMs, 'FAULT', kind)
    const role = random.pick(roleNames)
    const process = this.#cluster.process(role)
    switch (kind) {
      case 'crash':
        this.#cluster.crash(role, random.chance(0.2))
        return
      case 'crashInStep':
        process?.killAfterSteps(random.integer(0, random.pick([3, 30])))
        return
      case 'sever':
        host.network.severAll(random.pick(['journal', 'gateway', 'applier']))
        return
      case 'suspend':
        process?.suspend(random.pick([20, 300, 2_500]))
        return
      case 'suspendInStep':
        process?.suspendAfterSteps(random.integer(0, 20), random.pick([20, 300, 2_500]))
        return
      case 'wedge':
        this.#cluster.wedgeMs = random.pick([300, 1_500, 2_500])
        return
      case 'pace':
        this.#changePace()
        return
      case 'leave':
        this.#leave(random.pick(['bank-1', 'bank-2']))
        return
      case 'crashClient':
        this.#workload.crashClient(random.pick(this.#workload.clientNames))
        return
      case 'restartAll':
        for (const name of [...roleNames].reverse()) void this.#cluster.leave(name, true)
        return
      case 'power':
        this.#workload.powerEpoch++
        this.#cluster.losePower()
        time.after(random.fraction() * 100, () => this.#cluster.powerIsBack())
        return
      case 'diskError':
        this.#diskError = random.pick([
          { kind: 'write', fault: 'eio' },
          { kind: 'write', fault: 'short' },
          { kind: 'flush', fault: 'eio' },
          { kind: 'create', fault: 'enospc' },
        ] as const)
        return
      case 'diskFull':
        this.#isDiskFull = true
        time.after(random.fraction() * 200, () => {
          this.#isDiskFull = false
        })
        return
      case 'bitFlip':
      case 'misdirect':
      case 'dropWrite':
      case 'reread':
        this.#cluster.mayBeDamaged = true
        this.media.strike(kind)
        return
      case 'archive':
        this.#changeArchive()
        return
      case 'clock':
        host.wallOffsetMs += random.pick([-1, 1]) * random.pick([random.integer(1, 3_000), 600_000])
        return
      default:
    }
  }

  #changePace(): void {
    const { host } = this.#cluster
    const { pace, random } = host
    pace.turnMs = random.pick([0.01, 0.05, 5])
    pace.deliveryMs = random.pick([0, 0.2, 20])
    pace.flushMs = random.pick([0, 0.5, 30])
    pace.commitMs = random.pick([0.5, 2, 50])
    host.time.after(random.fraction() * 500, () => Object.assign(pace, this.#settings.pace))
  }

  #changeArchive(): void {
    const { archive, random, time } = this.#cluster.host
    if (archive === null) return
    Object.assign(archive.mood, usualMood, random.pick(moods))
    time.after(random.fraction() * 1_000, () => Object.assign(archive.mood, usualMood))
  }

  #leave(name: RoleName): void {
    const { random, time } = this.#cluster.host
    if (this.#cluster.process(name) === null) {
      this.#cluster.want(name)
      return
    }
    void this.#cluster.leave(name, false)
    if (name === 'bank-1' || random.chance(0.5)) time.after(random.fraction() * 500, () => this.#cluster.want(name))
  }
}
