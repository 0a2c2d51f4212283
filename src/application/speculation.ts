import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { NumberMap } from '../kernel/number-map.ts'
import { dispatcherName, type PendingCommand } from '../state/commands.ts'
import { insertInOrder, type LiveAggregate, type Work } from './live-aggregates.ts'

interface Draft {
  readonly aggregate: LiveAggregate
  work: Work
  readonly sequence: number
}

/** The commands that were decided here and whose entries have not come back: what is built on nothing but hope. */
export class Speculation {
  readonly #drafts = new NumberMap<Draft>()

  add(aggregate: LiveAggregate, work: Work, sequence: number): void {
    this.#drafts.set(work.command.lsn, { aggregate, work, sequence })
    aggregate.inFlight++
  }

  /**
   * The command was started anew while its draft is under way, as by a dispatcher that had a draft of its own refused.
   * The draft here is of an assignment that is over and will be refused too; then this is what remains to be done.
   * @returns false when no draft of it is under way.
   */
  renew(work: Work): boolean {
    const draft = this.#drafts.get(work.command.lsn)
    if (draft === undefined) return false
    draft.work = work
    return true
  }

  /** The entry came back. @returns the aggregate, or undefined when the draft was not of this process. */
  confirm(command: Lsn): LiveAggregate | undefined {
    const draft = this.#drafts.get(command)
    if (draft === undefined) return undefined
    this.#drafts.delete(command)
    draft.aggregate.inFlight--
    return draft.aggregate
  }

  /** The command before this one that is neither decided nor out of the way, or the parked one that blocks both; or 0. */
  obstacleTo({ before, queue }: PendingCommand): Lsn {
    if (queue.blockedBy !== 0) return queue.blockedBy
    let nearest = before
    while (nearest !== null && nearest.instance === dispatcherName) nearest = nearest.before
    return nearest === null || this.#drafts.has(nearest.lsn) ? lsn(0) : nearest.lsn
  }

  /**
   * Drafts from `sequence` on (null: all) were dropped: their commands go back to the front of their aggregates'
   * backlogs. @returns the aggregates, whose state is no longer known
   */
  drop(sequence: number | null): Set<LiveAggregate> {
    const dropped = new Set<LiveAggregate>()
    for (const [command, { aggregate, work, sequence: own }] of this.#drafts.entries()) {
      if (sequence !== null && ((own - sequence) | 0) < 0) continue
      this.#drafts.delete(command)
      aggregate.inFlight--
      aggregate.readiness = 'cold'
      insertInOrder(aggregate.backlog, work)
      dropped.add(aggregate)
    }
    return dropped
  }

  clear(): void {
    this.#drafts.clear()
  }
}
