import type { Message } from '../actions/action.ts'
import { actionCodes } from '../actions/action-codes.ts'
import { envelopeOf, payloadOf } from '../actions/decode.ts'
import { fillSent, packEvents, workflowFlags } from '../actions/encode.ts'
import { type EntryBatch, type EntryFields, emptyFields } from '../actions/entry-batch.ts'
import { entryFlags, flagsOf, nameOf, wallMsOf } from '../actions/entry-layout.ts'
import { pack } from '../actions/message-pack.ts'
import { assert } from '../kernel/assert.ts'
import type { Clock } from '../kernel/environment.ts'
import { messageOf } from '../kernel/errors.ts'
import type { AnyAggregate } from '../sdk/aggregate-types.ts'
import { isOutdated, type MigrationsSlice } from '../state/migrations.ts'
import type { ApplicationRuntimeOptions } from './application-runtime-options.ts'
import { type Completed, type Decision, decide, decideUnchecked } from './decide.ts'
import { DecideContext, WorkflowDecideContext } from './decide-context.ts'
import { draftOverheadBytes } from './draft-overhead.ts'
import type { LiveAggregate, Readiness, Work } from './live-aggregates.ts'
import { isSnapshotDue, snapshotOf } from './snapshot-of.ts'
import type { WorkflowRunner } from './workflow-runner.ts'

const nothing = Buffer.alloc(0)

interface Envelope {
  readonly expectedRevision?: number
  readonly metadata?: Readonly<Record<string, string>>
}

/** Decides one command after the other and writes what came of each as a draft. */
export class DraftOutcomes {
  readonly #batch: EntryBatch
  readonly #clock: Clock
  readonly #migrations: MigrationsSlice
  readonly #draftBytesMax: number
  readonly #fields: EntryFields = emptyFields()
  readonly #workflows: Pick<WorkflowRunner, 'completing'>

  constructor(
    batch: EntryBatch,
    { environment, state, draftBytesMax }: Pick<ApplicationRuntimeOptions, 'environment' | 'state' | 'draftBytesMax'>,
    workflows: Pick<WorkflowRunner, 'completing'>,
  ) {
    this.#workflows = workflows
    this.#migrations = state.migrations
    this.#batch = batch
    this.#clock = environment.clock
    this.#draftBytesMax = draftBytesMax - draftOverheadBytes
  }

  /** @returns how the aggregate goes on; its state and revision are those after the command. */
  add(aggregate: LiveAggregate, work: Work, sequence: number): Readiness {
    const { command, token } = work
    const { source, at } = command
    assert(source !== null, `the payload of command ${command.lsn} is kept`)
    const received = flagsOf(source, at)
    const decision = isOutdated(this.#migrations, aggregate.key, command.version)
      ? outdated(aggregate.key)
      : this.#decide(aggregate, command.lsn, source, at)
    const fields = this.#fields
    fields.flags =
      (received & entryFlags.idempotencyKey) | ((received & entryFlags.writtenIsEnough) === 0 ? entryFlags.flush : 0)
    fields.reference = command.lsn
    fields.token = token
    fields.hash = aggregate.hash
    fields.key = aggregate.key
    fields.wallMs = this.#clock.wallMs()
    fields.eventCount = 0
    fields.revision = 0
    fields.variant = 0
    fields.envelope = nothing
    const readiness = this.#fill(aggregate, decision, work)
    this.#batch.add(fields, sequence)
    return readiness
  }

  /** About what a state weighs. */
  sizeOf(state: unknown): number {
    try {
      return pack(state).length
    } catch {
      return 0
    }
  }

  #decide(aggregate: LiveAggregate, at: number, source: Buffer, o: number): Decision {
    if (aggregate.closedLsn !== 0 && (aggregate.isDeleted || at > aggregate.closedLsn)) return refusalOf(aggregate)
    if (aggregate.defect !== null) return { outcome: 'failed', message: aggregate.defect }
    const envelope = envelopeOf(source, o) as Envelope | null
    const expected = envelope?.expectedRevision
    if (expected !== undefined && expected !== aggregate.revision) {
      const message = `${aggregate.key} is at revision ${aggregate.revision}, not ${expected}`
      const details = { expectedRevision: expected, actualRevision: aggregate.revision }
      return { outcome: 'rejected', code: 'revision_mismatch', message, details }
    }
    const { definition } = aggregate.hosted
    const name = nameOf(source, o)
    const metadata = envelope?.metadata ?? null
    const receivedAtMs = wallMsOf(source, o)
    const { type, id, revision } = aggregate
    const context =
      aggregate.workflow === null
        ? new DecideContext(at, name, receivedAtMs, metadata, type, id, revision)
        : new WorkflowDecideContext(at, name, receivedAtMs, metadata, type, id, revision, this.#clock.wallMs())
    let data: unknown
    try {
      data = payloadOf(source, o)
    } catch (error) {
      return {
        outcome: 'rejected',
        code: 'invalid_input',
        message: `the data is no MessagePack: ${messageOf(error)}`,
        details: null,
      }
    }
    const { state, key } = aggregate
    // What a workflow sends has not passed the gateway.
    if ((flagsOf(source, o) & entryFlags.forwarded) === 0) return decide(definition, name, data, state, context)
    return decideUnchecked(definition, name, data, state, context, `data of command "${name}" of ${key}`)
  }

  #fill(aggregate: LiveAggregate, decision: Decision, work: Work): Readiness {
    const fields = this.#fields
    const { attempts } = work.command
    switch (decision.outcome) {
      case 'completed':
        try {
          fields.payload = packEvents(decision.events)
        } catch (error) {
          const message = `the events cannot be encoded: ${messageOf(error)}`
          return this.#fillFailed(aggregate.hosted.definition, message, attempts)
        }
        if (fields.payload.length > this.#draftBytesMax) {
          const message = `the events have ${fields.payload.length} bytes; at most ${this.#draftBytesMax} fit into the journal`
          return this.#fillFailed(aggregate.hosted.definition, message, attempts)
        }
        this.#fillCompleted(aggregate, decision, work)
        return 'ready'
      case 'rejected':
        fields.code = actionCodes['command/rejected']
        fields.payload = this.#packRejection(decision)
        return 'ready'
      default:
        return this.#fillFailed(aggregate.hosted.definition, decision.message, attempts)
    }
  }

  #fillCompleted(aggregate: LiveAggregate, { events, state }: Completed, work: Work): void {
    const fields = this.#fields
    fields.code = actionCodes['command/completed']
    fields.eventCount = events.length
    fields.revision = aggregate.revision
    fields.variant = aggregate.hosted.definition.version
    const before = aggregate.revision
    aggregate.state = state
    aggregate.revision = before + events.length
    const isDue = isSnapshotDue(aggregate, before)
    if (aggregate.workflow !== null || isDue) fields.payload = Buffer.from(fields.payload)
    let messages: readonly Message[] = []
    if (aggregate.workflow !== null) {
      const completing = this.#workflows.completing(aggregate, events, work)
      fields.flags |= workflowFlags(completing.effects)
      messages = completing.messages
    }
    const snapshot = isDue ? snapshotOf(aggregate, this.#draftBytesMax - fields.payload.length) : null
    fillSent(fields, messages, snapshot)
  }

  #packRejection({ code, message, details }: Extract<Decision, { outcome: 'rejected' }>): Buffer {
    try {
      return pack({ code, message, details })
    } catch {
      return pack({ code, message: `${message} (its details could not be encoded)`, details: null })
    }
  }

  #fillFailed(definition: AnyAggregate, message: string, attempts: number): Readiness {
    const fields = this.#fields
    fields.eventCount = 0
    const { retry, onExhausted } = definition
    if (attempts < retry.maxAttempts) {
      const retryDelayMs = Math.min(retry.maxDelayMs, retry.initialDelayMs * 2 ** (attempts - 1))
      fields.code = actionCodes['command/failed']
      fields.payload = pack({ message, retryDelayMs })
      return 'held'
    }
    fields.code = actionCodes['command/parked']
    fields.flags |= entryFlags.flush
    fields.payload = pack({ message, attempts })
    if (onExhausted === 'parkCommand') return 'ready'
    fields.flags |= entryFlags.blocksAggregate
    return 'blocked'
  }
}

/** The stream was closed before the command was received; or it is gone, and somebody had an old command decided again. */
function refusalOf({ key, closedLsn, isDeleted }: LiveAggregate): Decision {
  const [code, what] = isDeleted ? ['stream_deleted', 'was deleted'] : ['stream_closed', 'was closed']
  const message = `${key} ${what} and takes no further command; use another id`
  return { outcome: 'rejected', code, message, details: { closedLsn } }
}

function outdated(key: string): Decision {
  const message = `the command on ${key} came from code of before the migration of its streams; send it again`
  return { outcome: 'rejected', code: 'schema_violation', message, details: null }
}
