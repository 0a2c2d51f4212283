import type { Message } from '../actions/action.ts'
import { actionCodes } from '../actions/action-codes.ts'
import { fillSent, packEvents, workflowFlags } from '../actions/encode.ts'
import { type EntryBatch, type EntryFields, emptyFields } from '../actions/entry-batch.ts'
import { entryFlags } from '../actions/entry-layout.ts'
import type { Clock } from '../kernel/environment.ts'
import type { Lsn, Token } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import type { Change } from '../workflows/advance.ts'
import type { RequestOperation } from '../workflows/operation.ts'
import { endsWorkflow, isIndexed, isRepetition } from '../workflows/workflow-events.ts'
import type { LiveAggregate } from './live-aggregates.ts'
import { isSnapshotDue, snapshotOf } from './snapshot-of.ts'

const nothing = Buffer.alloc(0)
/** Header, key and padding of a draft: no more than this. */
const draftOverheadBytes = 2048

export interface StartedRequest {
  readonly operation: RequestOperation
  readonly attempt: number
}

/** A step of a workflow that was drafted, and whose entry has not come back. */
export interface DraftedStep {
  readonly aggregate: LiveAggregate
  readonly sequence: number
  /** To be carried out once the entry is flushed. */
  readonly requests: readonly StartedRequest[]
}

export interface Assignment {
  readonly activation: Lsn
  readonly token: Token
  /** It ends with the step. */
  readonly releases: boolean
}

/** Writes steps of workflows as drafts, and knows which of them are under way. */
export class WorkflowDrafts {
  readonly #batch: EntryBatch
  readonly #clock: Clock
  readonly #bytesMax: number
  readonly #takeSequence: () => number
  readonly #fields: EntryFields = emptyFields()
  /** In the order of their sequences. */
  #drafted: DraftedStep[] = []

  constructor(batch: EntryBatch, clock: Clock, bytesMax: number, takeSequence: () => number) {
    this.#batch = batch
    this.#clock = clock
    this.#bytesMax = bytesMax - draftOverheadBytes
    this.#takeSequence = takeSequence
  }

  /** The aggregate's state and revision are those after the changes. What is too large for one draft takes several. */
  add(
    aggregate: LiveAggregate,
    changes: readonly Change[],
    assignment: Assignment,
    requests: readonly StartedRequest[],
  ): void {
    const parts = this.#partsOf(changes)
    let base = aggregate.revision - changes.length
    for (const [i, part] of parts.entries()) {
      const isLast = i === parts.length - 1
      const { releases } = assignment
      this.#draft(aggregate, part, base, { ...assignment, releases: releases && isLast }, isLast ? requests : [])
      base += part.length
    }
  }

  /** The entry of the oldest one came back. */
  confirm(sequence: number): DraftedStep | undefined {
    const [first] = this.#drafted
    if (first?.sequence !== sequence) return undefined
    this.#drafted.shift()
    first.aggregate.inFlight--
    return first
  }

  /** Drafts from `sequence` on (null: all) never became entries. @returns their aggregates */
  drop(sequence: number | null): Set<LiveAggregate> {
    const isDropped = ({ sequence: own }: DraftedStep): boolean => sequence === null || ((own - sequence) | 0) >= 0
    const dropped = this.#drafted.filter(isDropped)
    this.#drafted = this.#drafted.filter((step) => !isDropped(step))
    for (const { aggregate } of dropped) aggregate.inFlight--
    return new Set(dropped.map(({ aggregate }) => aggregate))
  }

  clear(): void {
    this.#drafted = []
  }

  #partsOf(changes: readonly Change[]): readonly (readonly Change[])[] {
    const isSmall = changes.length <= limits.eventsPerCommandMax && this.#bytesOf(changes) <= this.#bytesMax
    if (isSmall || changes.length <= 1) return [changes]
    const half = changes.length >>> 1
    return [...this.#partsOf(changes.slice(0, half)), ...this.#partsOf(changes.slice(half))]
  }

  /** No more than this. */
  #bytesOf(changes: readonly Change[]): number {
    let bytes = packEvents(changes.map(({ event }) => event)).length
    for (const { message } of changes) if (message !== undefined) bytes += message.data.length + draftOverheadBytes
    return bytes
  }

  #draft(
    aggregate: LiveAggregate,
    changes: readonly Change[],
    base: number,
    { activation, token, releases }: Assignment,
    requests: readonly StartedRequest[],
  ): void {
    const events = changes.map(({ event }) => event)
    const isEnd = events.some(endsWorkflow)
    const fields = this.#fields
    fields.code = actionCodes['workflow/advanced']
    fields.flags = workflowFlags({
      ...(releases ? { releases } : {}),
      ...(isEnd ? { ends: true } : {}),
      ...(events.some(isIndexed) ? { indexed: true } : {}),
      ...(events.length > 0 && events.every(isRepetition) ? { repeats: true } : {}),
    })
    // Somebody waits: an effect to be carried out, or whoever asked for the result.
    if (requests.length > 0 || isEnd) fields.flags |= entryFlags.flush
    fields.reference = activation
    fields.token = token
    fields.key = aggregate.key
    fields.hash = aggregate.hash
    fields.wallMs = this.#clock.wallMs()
    fields.revision = base
    fields.eventCount = events.length
    fields.variant = aggregate.hosted.definition.version
    fields.envelope = nothing
    const messages = changes.flatMap(({ message }): Message[] => (message === undefined ? [] : [message]))
    const isWhole = base + events.length === aggregate.revision
    const snapshot =
      isWhole && isSnapshotDue(aggregate, base) ? snapshotOf(aggregate, this.#bytesMax - this.#bytesOf(changes)) : null
    fillSent(fields, messages, snapshot)
    fields.payload = packEvents(events)
    const sequence = this.#takeSequence()
    this.#batch.add(fields, sequence)
    this.#drafted.push({ aggregate, sequence, requests })
    aggregate.inFlight++
  }
}
