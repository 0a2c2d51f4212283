import { assert, unreachable } from '../kernel/assert.ts'
import { hash32 } from '../kernel/hash.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import type {
  Action,
  AggregateReference,
  AggregateSnapshot,
  CommandReceived,
  JournalEpochStarted,
  Message,
  QueueFields,
  ScheduleFired,
  WorkflowAdvanced,
  WorkflowEffects,
} from './action.ts'
import { actionCodes } from './action-codes.ts'
import { aggregateKey } from './aggregate-key.ts'
import { EntryBatch, type EntryFields, emptyFields, packLsns } from './entry-batch.ts'
import { entryFlags } from './entry-layout.ts'
import { pack } from './message-pack.ts'
import { queueFieldsOf } from './queue-actions.ts'

type AboutInstance = Extract<Action, { type: `application/${string}` }>

const copyOf = (packed: Buffer): Buffer => Buffer.from(packed)

function about(fields: EntryFields, aggregate: AggregateReference): void {
  fields.key = aggregateKey(aggregate.type, aggregate.id)
  fields.hash = hash32(fields.key)
}

/**
 * Adds the draft of an action to a batch. The roles on the hot path write the same forms with `EntryBatch.add`
 * directly; this is for everything else, and the specification that the round-trip tests hold them to.
 */
export function encodeAction(batch: EntryBatch, action: Action, sequence: number, flags = 0): void {
  const fields = emptyFields()
  fields.code = actionCodes[action.type]
  fields.flags = flags
  fill(fields, action)
  batch.add(fields, sequence)
}

function fill(fields: EntryFields, action: Action): void {
  switch (action.type) {
    case 'command/received':
      return fillReceived(fields, action)
    case 'command/started':
      fields.name = action.instance
      fields.wallMs = action.atMs ?? 0
      fields.payload = packLsns(action.commands)
      return
    case 'command/completed':
    case 'command/rejected':
    case 'command/failed':
    case 'command/parked':
      return fillEndOfAttempt(fields, action)
    case 'command/retried':
      fields.reference = action.command
      about(fields, action.received.aggregate)
      fields.payload = encodedAlone(action.received, action.command)
      return
    case 'command/skipped':
      fields.reference = action.command
      about(fields, action.aggregate)
      if (action.reply !== undefined) fields.flags |= entryFlags.replies
      fields.payload = copyOf(pack(action.reply === undefined ? { reason: action.reason } : withReply(action)))
      return
    case 'application/registered':
    case 'application/seen':
    case 'application/deregistered':
      return fillInstance(fields, action)
    case 'aggregate/unassigned':
      about(fields, action.aggregate)
      fields.name = action.instance
      return
    case 'stream/archived': {
      about(fields, action.aggregate)
      fields.wallMs = action.atMs
      const { type: _, aggregate: __, atMs: ___, ...rest } = action
      fields.payload = copyOf(pack(rest))
      return
    }
    case 'stream/closed':
    case 'stream/deleted':
      about(fields, action.aggregate)
      fields.wallMs = action.atMs
      if (action.type === 'stream/deleted') fields.reference = action.closedLsn
      return
    case 'stream/migrated':
    case 'stream/migration-finalised':
    case 'stream/migration-abandoned':
      if (releasesAll(action)) fields.flags |= entryFlags.releasesAll
      fields.payload = packRest(action)
      return
    case 'idempotency-key/expired':
    case 'idempotency-key/deleted':
    case 'checkpoint/started':
    case 'checkpoint/completed':
      fields.payload = packRest(action)
      return
    case 'workflow/advanced':
      return fillAdvanced(fields, action)
    case 'workflow/resumed':
      fields.name = action.instance
      fields.payload = packLsns(action.activations)
      return
    case 'schedule/fired':
      return fillFired(fields, action)
    case 'journal/epoch-started':
      return fillEpochStarted(fields, action)
    default:
      unreachable(action)
  }
}

function fillFired(
  fields: EntryFields,
  { aggregate, schedule, scheduledMs, atMs, overlap, messages }: ScheduleFired,
): void {
  about(fields, aggregate)
  fields.name = schedule
  fields.wallMs = atMs
  fillSent(fields, messages, null)
  fields.payload = copyOf(pack({ scheduledMs, overlap }))
}

function fillInstance(fields: EntryFields, { instance, type: _, ...rest }: AboutInstance): void {
  fields.name = instance
  fields.payload = copyOf(pack(rest))
}

/** Whoever decided under a former leader must decide anew. */
function fillEpochStarted(fields: EntryFields, { epoch, leader, atMs }: JournalEpochStarted): void {
  fields.flags |= entryFlags.releasesAll
  fields.wallMs = atMs
  fields.payload = copyOf(pack({ epoch, leader }))
}

function packRest({ type: _, ...rest }: Action): Buffer {
  return copyOf(pack(rest))
}

/** A switch of versions, there or back: whoever decided on the old form must decide anew. */
const releasesAll = (action: Action): boolean =>
  action.type === 'stream/migration-abandoned' ||
  (action.type === 'stream/migrated' && action.step.phase === 'switched')

const withReply = ({ reason, reply }: Extract<Action, { type: 'command/skipped' }>): object => ({ reason, reply })

/** The flags of what an entry does to its workflow. */
export const workflowFlags = ({ activates, releases, ends, indexed }: WorkflowEffects): number =>
  (activates === true ? entryFlags.activates : 0) |
  (releases === true ? entryFlags.releases : 0) |
  (ends === true ? entryFlags.ends : 0) |
  (indexed === true ? entryFlags.indexed : 0)

function fillAdvanced(fields: EntryFields, action: WorkflowAdvanced): void {
  about(fields, action.aggregate)
  fields.reference = action.activation
  fields.token = action.token
  fields.wallMs = action.atMs
  fields.revision = action.baseRevision
  fields.eventCount = action.events.length
  fields.flags |= workflowFlags(action.workflow ?? {})
  fillSent(fields, action.messages, action.snapshot)
  fields.payload = copyOf(packEvents(action.events))
}

/** What an entry says beside its events. */
export function fillSent(fields: EntryFields, messages: readonly Message[], snapshot: AggregateSnapshot | null): void {
  if (messages.length > 0) fields.flags |= entryFlags.sends
  if (snapshot !== null) fields.flags |= entryFlags.snapshot
  if (messages.length === 0 && snapshot === null) return
  fields.envelope = copyOf(pack({ ...snapshot, ...(messages.length === 0 ? {} : { messages }) }))
}

/** What a received command says beside its header, or nothing where it says nothing. */
export function receivedEnvelope(
  action: Pick<CommandReceived, 'idempotencyKey' | 'expectedRevision' | 'metadata' | 'reply' | keyof QueueFields>,
): Buffer | null {
  const { idempotencyKey, expectedRevision, metadata, reply } = action
  const isQueueing = queueFlag(action) !== 0
  if (idempotencyKey === null && expectedRevision === null && metadata === null && reply === undefined && !isQueueing)
    return null
  const envelope: Record<string, unknown> = {}
  if (reply !== undefined) envelope.reply = reply
  if (isQueueing) Object.assign(envelope, queueFieldsOf(action))
  if (idempotencyKey !== null) envelope.idempotencyKey = idempotencyKey
  if (expectedRevision !== null) envelope.expectedRevision = expectedRevision
  if (metadata !== null) envelope.metadata = metadata
  return pack(envelope)
}

/** The flag of a received command that says when it may be started. */
export const queueFlag = ({ partition, priority, delayMs }: QueueFields): number =>
  partition === undefined && priority === undefined && delayMs === undefined ? 0 : entryFlags.queues

function fillReceived(fields: EntryFields, action: CommandReceived): void {
  about(fields, action.aggregate)
  fields.name = action.command
  fields.wallMs = action.receivedAtMs
  fields.variant = action.definitionVersion ?? 0
  if (action.call !== null) {
    fields.reference = action.call.session
    fields.token = action.call.sequence
    fields.revision = action.call.answeredBelow
  }
  if (action.forwarded !== undefined) {
    fields.flags |= entryFlags.forwarded
    fields.reference = action.forwarded.source
    fields.token = action.forwarded.index
  }
  if (action.reply !== undefined) fields.flags |= entryFlags.replies
  fields.flags |= queueFlag(action)
  if (action.idempotencyKey !== null) fields.flags |= entryFlags.idempotencyKey
  const envelope = receivedEnvelope(action)
  if (envelope !== null) fields.envelope = copyOf(envelope)
  fields.payload = copyOf(pack(action.data))
}

type EndOfAttempt = Extract<Action, { release: unknown }>

function fillEndOfAttempt(fields: EntryFields, action: EndOfAttempt): void {
  about(fields, action.aggregate)
  fields.reference = action.command
  fields.token = action.release
  fields.wallMs = action.atMs
  if (action.type !== 'command/failed' && action.idempotencyKey === 'bound') fields.flags |= entryFlags.idempotencyKey
  switch (action.type) {
    case 'command/completed': {
      fields.eventCount = action.events.length
      fields.revision = action.baseRevision
      fields.variant = action.eventsVersion
      fields.flags |= workflowFlags(action.workflow ?? {})
      const latest = action.baseRevision + action.events.length
      assert((action.latestEvent?.revision ?? 0) === latest, `latest event is ${latest}`)
      fillSent(fields, action.messages ?? [], action.snapshot)
      fields.payload = copyOf(packEvents(action.events))
      return
    }
    case 'command/rejected':
      fields.payload = copyOf(pack({ code: action.code, message: action.message, details: action.details }))
      return
    case 'command/failed':
      fields.payload = copyOf(pack({ message: action.message, retryDelayMs: action.retryDelayMs }))
      return
    case 'command/parked':
      if (action.blocksAggregate) fields.flags |= entryFlags.blocksAggregate
      fields.payload = copyOf(pack({ message: action.message, attempts: action.attempts }))
      return
    default:
      unreachable(action)
  }
}

/** Events lie flat as [type, data, type, data…]: smaller and faster than a list of maps. Valid until the next pack. */
export function packEvents(events: readonly { readonly type: string; readonly data?: unknown }[]): Buffer {
  const flat: unknown[] = new Array(events.length * 2)
  for (let i = 0; i < events.length; i++) {
    const event = events[i] as { type: string; data?: unknown }
    flat[i * 2] = event.type
    flat[i * 2 + 1] = event.data
  }
  return pack(flat)
}

function encodedAlone(received: CommandReceived, command: Lsn): Buffer {
  const batch = new EntryBatch(0, 1024)
  encodeAction(batch, received, 0)
  const bytes = batch.take()
  bytes.writeUInt32LE(command >>> 0, 8)
  bytes.writeUInt32LE((command / 4294967296) >>> 0, 12)
  return bytes
}
