import type { Watermark } from '../ipc/journal-protocol.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { type HostedAggregate, hostedAggregates } from '../tables/hosted-aggregates.ts'
import { readPosition } from '../tables/meta.ts'
import { isWorkflowKey } from '../workflows/workflow-names.ts'
import { AggregateLoader } from './aggregate-loader.ts'
import type { ApplicationRuntimeOptions } from './application-runtime-options.ts'
import { CompletionsElsewhere } from './completions-elsewhere.ts'
import { isWorking, type LiveAggregate, LiveAggregates } from './live-aggregates.ts'
import type { WorkflowRunner } from './workflow-runner.ts'

export interface AggregatesOnHandOptions
  extends Pick<ApplicationRuntimeOptions, 'application' | 'store' | 'archived' | 'liveBytesMax' | 'state'> {
  readonly workflows: Pick<WorkflowRunner, 'attach' | 'loaded'>
  /** About what a state weighs. */
  readonly sizeOf: (state: unknown) => number
  /** Archived events have arrived: restore again what waits. */
  readonly arrived: () => void
}

/**
 * The aggregates in this process's memory, and those that are on their way into it.
 *
 * I1. An aggregate is restored only from a store that has applied every completion on it that is not this process's
 *     own; it leaves memory only when the store has applied this process's own.
 * I2. None is in memory twice: one that is on its way into memory is not forgotten meanwhile, and one that was forgotten
 *     does not come back.
 * I3. What is decided on is the journal's: while the journal writer has not heard from the applier, a store that shows
 *     more than the writer found in it when it began may hold what the journal has lost (R9).
 */
export class AggregatesOnHand {
  readonly #o: AggregatesOnHandOptions
  readonly #hosted: ReadonlyMap<string, HostedAggregate>
  readonly #aggregates: LiveAggregates
  readonly #loader: AggregateLoader
  readonly #elsewhere: CompletionsElsewhere
  /** To be restored, or to go on with their backlogs. */
  readonly #waiting = new Set<LiveAggregate>()
  #stored: Lsn = lsn(0)
  #storeAgrees = false
  /** Of the store as it was read last (I3). */
  #isOfJournal = false

  constructor(options: AggregatesOnHandOptions) {
    this.#o = options
    this.#hosted = hostedAggregates(options.application)
    this.#aggregates = new LiveAggregates(options.liveBytesMax)
    this.#loader = new AggregateLoader(options.store, options.archived, options.arrived)
    this.#elsewhere = new CompletionsElsewhere(options.state.lsn)
    this.#refresh()
  }

  get size(): number {
    return this.#aggregates.size
  }

  get hasWaiting(): boolean {
    return this.#waiting.size > 0
  }

  get(key: string): LiveAggregate | undefined {
    return this.#aggregates.get(key)
  }

  /** The one in memory, or one that is being restored; null where this process does not host its type. */
  obtain(key: string, hash: number): LiveAggregate | null {
    return this.#aggregates.get(key) ?? this.#adopt(key, hash)
  }

  #adopt(key: string, hash: number): LiveAggregate | null {
    const hosted = this.#hosted.get(key.slice(0, key.indexOf('/')))
    if (hosted === undefined) return null
    const aggregate = this.#aggregates.add(key, hash, hosted)
    if (isWorkflowKey(key)) this.#o.workflows.attach(aggregate)
    if (!this.restore(aggregate)) this.#waiting.add(aggregate)
    return aggregate
  }

  /** False when the store is not there yet (I1), or the archive is asked. */
  restore(aggregate: LiveAggregate): boolean {
    if (!this.#isOfJournal || this.#stored < this.#elsewhere.neededBy(aggregate) || aggregate.inFlight > 0) return false
    if (!this.#loader.load(aggregate)) {
      this.#waiting.add(aggregate)
      return false
    }
    if (aggregate.defect !== null) return true
    this.weigh(aggregate)
    if (aggregate.workflow !== null) this.#o.workflows.loaded(aggregate)
    return true
  }

  /** Restores what waits for that, and has it go on, for as long as drafts are taken. */
  restoreWaiting(canSend: () => boolean, goOn: (aggregate: LiveAggregate) => void): void {
    this.#refresh()
    for (const aggregate of this.#waiting) {
      if (!canSend()) return
      if (aggregate.readiness === 'cold' && !this.restore(aggregate)) continue
      this.#waiting.delete(aggregate)
      goOn(aggregate)
    }
  }

  /** It has something to go on with when it is its turn. */
  wait(aggregate: LiveAggregate): void {
    this.#waiting.add(aggregate)
  }

  /** What is known of it is no longer known: restored before it goes on. */
  chill(aggregate: LiveAggregate): void {
    if (this.#aggregates.get(aggregate.key) !== aggregate) return // I2
    aggregate.readiness = 'cold'
    this.#waiting.add(aggregate)
  }

  /** A draft of it has come back. */
  confirmed(aggregate: LiveAggregate): void {
    if (aggregate.readiness === 'cold' && aggregate.inFlight === 0) this.#waiting.add(aggregate)
  }

  weigh(aggregate: LiveAggregate): void {
    this.#aggregates.weigh(aggregate, this.#o.sizeOf(aggregate.state))
  }

  /** @returns false when that is nothing new */
  storeApplied({ applied, storeAgrees }: Pick<Watermark, 'applied' | 'storeAgrees'>): boolean {
    if (applied === this.#stored && storeAgrees === this.#storeAgrees) return false
    this.#stored = applied
    this.#storeAgrees = storeAgrees
    this.#refresh() // I1: or it might show what it was before
    return true
  }

  #refresh(): void {
    const { store } = this.#o
    store.refresh()
    this.#isOfJournal = this.#storeAgrees || readPosition(store).applied <= this.#stored // I3
  }

  passivate(): void {
    this.#aggregates.passivate(this.#stored)
  }

  /** An entry that the store must have before an aggregate of its partition is restored; `isOwn`: its outcome is here. */
  note(b: Buffer, o: number, isOwn: boolean): void {
    this.#elsewhere.note(b, o, isOwn)
  }

  /** Ownership may have moved: nothing in memory is known to be current but what is being worked on. */
  forgetIdle(): void {
    // Held and blocked ones too: what they wait for may be decided elsewhere now.
    // Cold ones are restored from the store anyway, and somebody waits for that (I2).
    for (const aggregate of this.#aggregates.values())
      if (!isWorking(aggregate) && aggregate.readiness !== 'cold') this.#forget(aggregate)
  }

  /** It may not be in the store yet: its partition is restored from no older one (I1). */
  #forget(aggregate: LiveAggregate): void {
    this.#elsewhere.forget(aggregate)
    this.#aggregates.delete(aggregate)
  }

  /** Until the store has applied `at`, it shows what no longer counts. */
  forgetAll(at: Lsn): void {
    this.#waiting.clear()
    this.#aggregates.clear()
    this.#elsewhere.forgetAll(at)
  }
}
