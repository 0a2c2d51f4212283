import type { Lsn } from '../kernel/identifiers.ts'
import { lsn } from '../kernel/identifiers.ts'
import type { PendingCommand } from '../state/commands.ts'
import type { HostedAggregate } from '../tables/hosted-aggregates.ts'
import type { LiveWorkflow } from './live-workflow.ts'

/** A command that was started here, under the token that it may end under. */
export interface Work {
  readonly command: PendingCommand
  readonly token: number
}

/**
 * ready: `state` is current, speculation included. cold: to be restored from the store first.
 * held: a command failed and must be decided again before those behind it. blocked: it was parked and blocks.
 */
export type Readiness = 'ready' | 'cold' | 'held' | 'blocked'

/** One aggregate instance in memory. */
export interface LiveAggregate {
  readonly key: string
  readonly type: string
  readonly id: string
  readonly hash: number
  readonly hosted: HostedAggregate
  readiness: Readiness
  state: unknown
  revision: number
  /** Commands decided here whose entries have not come back yet. */
  inFlight: number
  /** The entry of its latest command: it may be forgotten once the store has applied that. */
  lastLsn: Lsn
  /** The command that holds or blocks it. */
  heldBy: Lsn
  /** Why its events cannot be folded; its commands fail with this until they can. */
  defect: string | null
  /** The entry that closed its stream: later commands are refused. 0 while it is open. */
  closedLsn: Lsn
  isDeleted: boolean
  /** Started commands that have to wait, in LSN order. */
  backlog: Work[]
  /** Bytes of its packed state when last looked at, times four for what it takes on the heap. */
  weight: number
  touched: boolean
  /** Of a workflow. */
  workflow: LiveWorkflow | null
}

/** What an aggregate takes beside its state, and what a workflow does. */
const overheadBytes = 512
const workflowOverheadBytes = 4096

/**
 * The aggregates in memory, under a bound. Over it the ones not touched lately are passivated, as in the clock
 * algorithm (Corbató 1968): restoring them costs a read of the store.
 */
export class LiveAggregates {
  readonly #byKey = new Map<string, LiveAggregate>()
  readonly #bytesMax: number
  #bytes = 0
  #hand: IterableIterator<LiveAggregate>

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
    this.#hand = this.#byKey.values()
  }

  get size(): number {
    return this.#byKey.size
  }

  get bytes(): number {
    return this.#bytes
  }

  get(key: string): LiveAggregate | undefined {
    return this.#byKey.get(key)
  }

  values(): IterableIterator<LiveAggregate> {
    return this.#byKey.values()
  }

  add(key: string, hash: number, hosted: HostedAggregate): LiveAggregate {
    const slash = key.indexOf('/')
    const aggregate: LiveAggregate = {
      key,
      type: key.slice(0, slash),
      id: key.slice(slash + 1),
      hash,
      hosted,
      readiness: 'cold',
      state: undefined,
      revision: 0,
      inFlight: 0,
      lastLsn: lsn(0),
      heldBy: lsn(0),
      defect: null,
      closedLsn: lsn(0),
      isDeleted: false,
      backlog: [],
      weight: overheadBytes,
      touched: true,
      workflow: null,
    }
    this.#byKey.set(key, aggregate)
    this.#bytes += aggregate.weight
    return aggregate
  }

  weigh(aggregate: LiveAggregate, stateBytes: number): void {
    const weight = (aggregate.workflow === null ? overheadBytes : workflowOverheadBytes) + stateBytes * 4
    this.#bytes += weight - aggregate.weight
    aggregate.weight = weight
  }

  delete(aggregate: LiveAggregate): void {
    if (this.#byKey.delete(aggregate.key)) this.#bytes -= aggregate.weight
  }

  clear(): void {
    this.#byKey.clear()
    this.#bytes = 0
    this.#hand = this.#byKey.values()
  }

  /** Passivates what is idle and in the store, until the bound holds or everything was looked at twice. */
  passivate(stored: Lsn): void {
    let looks = this.#byKey.size * 2
    while (this.#bytes > this.#bytesMax && looks-- > 0) {
      const next = this.#hand.next()
      if (next.done === true) {
        this.#hand = this.#byKey.values()
        continue
      }
      const aggregate = next.value
      if (aggregate.touched) aggregate.touched = false
      else if (isIdle(aggregate) && aggregate.lastLsn <= stored) this.delete(aggregate)
    }
  }
}

/** It has drafts or started commands of this process under way, or is a workflow that has something to do here. */
export const isWorking = ({ inFlight, backlog, workflow }: LiveAggregate): boolean =>
  inFlight > 0 || backlog.length > 0 || (workflow !== null && workflow.token !== 0)

/** Cold ones are on their way into memory. */
const isIdle = (aggregate: LiveAggregate): boolean => !isWorking(aggregate) && aggregate.readiness === 'ready'

/** Its stream was closed by the entry at `closedLsn`, if it was not before, or deleted. */
export function markEnded(aggregate: LiveAggregate, closedLsn: Lsn, isDeleted: boolean): void {
  if (aggregate.closedLsn === 0) aggregate.closedLsn = closedLsn
  if (isDeleted) aggregate.isDeleted = true
}

/** Into a backlog, which is in LSN order; a command that is started anew replaces its older self. */
export function insertInOrder(backlog: Work[], work: Work): void {
  let at = backlog.length
  while (at > 0 && (backlog[at - 1] as Work).command.lsn > work.command.lsn) at--
  if (at > 0 && (backlog[at - 1] as Work).command === work.command) backlog[at - 1] = work
  else backlog.splice(at, 0, work)
}
