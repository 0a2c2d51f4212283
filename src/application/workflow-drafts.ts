import type { Message } from '../actions/action.ts'
import { actionCodes } from '../actions/action-codes.ts'
import { fillSent, packEvents, workflowFlags } from '../actions/encode.ts'
import { type EntryBatch, type EntryFields, emptyFields } from '../actions/entry-batch.ts'
import { entryFlags } from '../actions/entry-layout.ts'
import type { Clock } from '../kernel/environment.ts'
import type { Lsn, Token } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import { Queue } from '../kernel/queue.ts'
import { TerminalError } from '../sdk/workflow-errors.ts'
import type { Change } from '../workflows/advance.ts'
import type { WorkflowExecution } from '../workflows/execution.ts'
import { type Failure, failureOf } from '../workflows/failure.ts'
import type { RequestOperation } from '../workflows/operation.ts'
import { mayExceed } from '../workflows/rough-size.ts'
import { endsWorkflow, isIndexed, type WorkflowEvent } from '../workflows/workflow-events.ts'
import { draftOverheadBytes } from './draft-overhead.ts'
import type { LiveAggregate } from './live-aggregates.ts'
import { isSnapshotDue, snapshotOf } from './snapshot-of.ts'
import type { UndefinedTargets } from './undefined-targets.ts'

const nothing = Buffer.alloc(0)

const isParked = ({ type }: WorkflowEvent): boolean => type === 'workflow/parked'

/** As many as the header of an entry can count. */
const unitEventsMax = 0xffff
/** What is smaller need not be packed to know that it fits: of the smallest journal a draft has more room than this for a step. */
const largeBytes = 65_536

const mayBeLarge = ({ event, message }: Change): boolean =>
  mayExceed(event.data, largeBytes) || (message?.data.length ?? 0) > largeBytes

/** Changes that are written in one entry or not at all, each list. */
function unitsOf(changes: readonly Change[]): readonly (readonly Change[])[] {
  const next = changes.findIndex(({ event }) => event.type === 'workflow/continued')
  if (next < 0) return changes.map((change) => [change])
  return [...changes.slice(0, next).map((change) => [change]), changes.slice(next)]
}

const bytesOf = (changes: readonly Change[]): number =>
  packEvents(changes.map(({ event }) => event)).length + messageBytes(changes)

function messageBytes(changes: readonly Change[]): number {
  let bytes = 0
  for (const { message } of changes) if (message !== undefined) bytes += message.data.length + draftOverheadBytes
  return bytes
}

function tooLarge(unit: readonly Change[], bytes: number, bytesMax: number): TerminalError {
  const [first] = unit as readonly [Change, ...Change[]]
  const { data, type } = first.event
  const what = 'operation' in data && data.operation !== null ? `${type} ${data.operation}` : type
  const left = unit.length > 1 ? `, with ${unit.length - 1} events that the run has not taken,` : ''
  const advice = 'keep what is large elsewhere, and record where'
  const message = `what the workflow would record, ${what}${left} has ${bytes} bytes and ${unit.length} events; an entry holds at most ${bytesMax} bytes and ${unitEventsMax} events: ${advice}`
  return new TerminalError('payload_too_large', message, { what, bytes, bytesMax, events: unit.length })
}

export interface StartedRequest {
  readonly operation: RequestOperation
  readonly attempt: number
}

/** A step of a workflow that was drafted, and whose entry has not come back. */
export interface DraftedStep {
  readonly aggregate: LiveAggregate
  readonly sequence: number
  /** The code that did it. */
  readonly execution: WorkflowExecution | null
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
  readonly #targets: UndefinedTargets
  readonly #fields: EntryFields = emptyFields()
  /** In the order of their sequences. */
  readonly #drafted = new Queue<DraftedStep>()

  constructor(
    batch: EntryBatch,
    clock: Clock,
    bytesMax: number,
    takeSequence: () => number,
    targets: UndefinedTargets,
  ) {
    this.#batch = batch
    this.#clock = clock
    this.#bytesMax = bytesMax - draftOverheadBytes
    this.#takeSequence = takeSequence
    this.#targets = targets
  }

  /** What is wrong with changes that are larger than an entry can be; null: nothing. */
  tooLarge(changes: readonly Change[]): Failure | null {
    for (const unit of unitsOf(changes)) {
      if (unit.length === 1 && !unit.some(mayBeLarge)) continue
      const bytes = bytesOf(unit)
      if (bytes > this.#bytesMax || unit.length > unitEventsMax) return failureOf(tooLarge(unit, bytes, this.#bytesMax))
    }
    return null
  }

  /**
   * The aggregate's state and revision are those after the changes. What is too large for one draft takes several, but that
   * the beginning of another run and what it inherits is one.
   */
  add(
    aggregate: LiveAggregate,
    changes: readonly Change[],
    assignment: Assignment,
    requests: readonly StartedRequest[],
  ): void {
    const payload = packEvents(changes.map(({ event }) => event))
    if (changes.length <= 1 || this.#fits(changes, payload.length)) {
      this.#draft(aggregate, changes, payload, aggregate.revision - changes.length, assignment, requests)
      return
    }
    let base = aggregate.revision - changes.length
    const parts = this.#partsOf(unitsOf(changes))
    for (const [i, part] of parts.entries()) {
      const isLast = i === parts.length - 1
      const partly = { ...assignment, releases: assignment.releases && isLast }
      const packed = packEvents(part.map(({ event }) => event))
      this.#draft(aggregate, part, packed, base, partly, isLast ? requests : [])
      base += part.length
    }
  }

  /** The entry of the oldest one came back. */
  confirm(sequence: number): DraftedStep | undefined {
    const first = this.#drafted.peek()
    if (first?.sequence !== sequence) return undefined
    this.#drafted.shift()
    first.aggregate.inFlight--
    return first
  }

  /** Drafts from `sequence` on (null: all) never became entries. @returns their aggregates */
  drop(sequence: number | null): Set<LiveAggregate> {
    const isDropped = ({ sequence: own }: DraftedStep): boolean => sequence === null || ((own - sequence) | 0) >= 0
    const dropped: DraftedStep[] = []
    for (const step of this.#drafted.takeAll()) {
      if (isDropped(step)) dropped.push(step)
      else this.#drafted.push(step)
    }
    for (const { aggregate } of dropped) aggregate.inFlight--
    return new Set(dropped.map(({ aggregate }) => aggregate))
  }

  clear(): void {
    this.#drafted.takeAll()
  }

  #partsOf(units: readonly (readonly Change[])[]): readonly (readonly Change[])[] {
    const changes = units.flat()
    if (units.length <= 1) return [changes]
    if (this.#fits(changes, packEvents(changes.map(({ event }) => event)).length)) return [changes]
    const half = units.length >>> 1
    return [...this.#partsOf(units.slice(0, half)), ...this.#partsOf(units.slice(half))]
  }

  #fits(changes: readonly Change[], payloadBytes: number): boolean {
    return payloadBytes + messageBytes(changes) <= this.#bytesMax && changes.length <= limits.eventsPerCommandMax
  }

  #draft(
    aggregate: LiveAggregate,
    changes: readonly Change[],
    payload: Buffer,
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
    })
    // Somebody waits: an effect to be carried out, or whoever asked for the result.
    if (requests.length > 0 || isEnd || events.some(isParked)) fields.flags |= entryFlags.flush
    fields.reference = activation
    fields.token = token
    fields.key = aggregate.key
    fields.hash = aggregate.hash
    fields.wallMs = this.#clock.wallMs()
    fields.revision = base
    fields.eventCount = events.length
    fields.variant = aggregate.hosted.definition.version
    fields.envelope = nothing
    const messages: Message[] = []
    let room = this.#bytesMax - payload.length
    for (const { message } of changes) {
      if (message === undefined) continue
      messages.push(message)
      this.#targets.look(aggregate, message.to, message.command)
      room -= message.data.length + draftOverheadBytes
    }
    const isSnapshot = base + events.length === aggregate.revision && isSnapshotDue(aggregate, base)
    // Packed before anything else is: the payload lies where the packer works.
    fields.payload = messages.length > 0 || isSnapshot ? Buffer.from(payload) : payload
    const snapshot = isSnapshot ? snapshotOf(aggregate, room) : null
    fillSent(fields, messages, snapshot)
    const sequence = this.#takeSequence()
    this.#batch.add(fields, sequence)
    const execution = aggregate.workflow?.execution ?? null
    this.#drafted.push({ aggregate, sequence, execution, requests })
    aggregate.inFlight++
  }
}
