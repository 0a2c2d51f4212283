import { assert, unreachable } from '../kernel/assert.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, revision } from '../kernel/identifiers.ts'
import { readUint64 } from '../kernel/integers.ts'
import type {
  Action,
  AggregateSnapshot,
  CommandReceived,
  Entry,
  EventDraft,
  Message,
  QueueFields,
  ReplyAddress,
  ScheduleOverlap,
  WorkflowAdvanced,
  WorkflowEffects,
} from './action.ts'
import { type ActionType, actionCodes, actionTypeOf } from './action-codes.ts'
import { parseAggregateKey } from './aggregate-key.ts'
import {
  answeredBelowOf,
  codeOf,
  entryEnd,
  entryFlags,
  envelopeBytesOf,
  envelopeStart,
  eventCountOf,
  flagsOf,
  keyOf,
  lsnOf,
  nameOf,
  originOf,
  payloadStart,
  referenceOf,
  revisionOf,
  sequenceOf,
  sessionOf,
  sessionSequenceOf,
  tokenOf,
  variantOf,
  versionOf,
  wallMsOf,
} from './entry-layout.ts'
import { unpack } from './message-pack.ts'
import { queueFieldsOf } from './queue-actions.ts'
import { upcast } from './upcast.ts'

/** The whole entry at `o` as data, in today's form. For tools, tests and rare actions; the hot path reads headers. */
export function decodeEntry(b: Buffer, o: number): Entry {
  const code = codeOf(b, o)
  const type = actionTypeOf(code)
  if (type === undefined) {
    throw new CommanderError(
      'unsupported_version',
      `entry ${lsnOf(b, o)} says action ${code}, which this version does not know: use a newer CommanderDB`,
    )
  }
  const version = versionOf(b, o)
  return {
    lsn: lsnOf(b, o),
    version,
    origin: originOf(b, o),
    sequence: sequenceOf(b, o),
    wallMs: wallMsOf(b, o),
    action: upcast(type, version, decodeAction(b, o, type)),
  }
}

export const payloadOf = (b: Buffer, o: number): unknown => unpack(b, payloadStart(b, o), entryEnd(b, o))

export function envelopeOf(b: Buffer, o: number): unknown {
  const bytes = envelopeBytesOf(b, o)
  const start = envelopeStart(b, o)
  return bytes === 0 ? null : unpack(b, start, start + bytes)
}

/** How many commands a `command/started` entry starts. */
export const startedCount = (b: Buffer, o: number): number => (entryEnd(b, o) - payloadStart(b, o)) >> 3

/** The command LSNs of a `command/started` entry. */
export function startedLsns(b: Buffer, o: number): Lsn[] {
  const lsns: Lsn[] = []
  const end = entryEnd(b, o)
  for (let at = payloadStart(b, o); at + 8 <= end; at += 8) lsns.push(readUint64(b, at) as Lsn)
  return lsns
}

export function eventsOf(b: Buffer, o: number): EventDraft[] {
  const flat = payloadOf(b, o) as unknown[]
  const events: EventDraft[] = []
  for (let i = 0; i < flat.length; i += 2) events.push({ type: flat[i] as string, data: flat[i + 1] })
  return events
}

export function snapshotOf(b: Buffer, o: number): AggregateSnapshot | null {
  if ((flagsOf(b, o) & entryFlags.snapshot) === 0) return null
  const { definition, state } = envelopeOf(b, o) as AggregateSnapshot
  return { definition, state }
}

/** The messages that the entry sends. */
export function messagesOf(b: Buffer, o: number): readonly Message[] {
  if ((flagsOf(b, o) & entryFlags.sends) === 0) return []
  return (envelopeOf(b, o) as { messages: Message[] }).messages
}

/** Where the outcome of the `command/received` or the skipped command at `o` goes; null: nowhere. */
export function replyOf(b: Buffer, o: number): ReplyAddress | null {
  if ((flagsOf(b, o) & entryFlags.replies) === 0) return null
  const holder = codeOf(b, o) === actionCodes['command/skipped'] ? payloadOf(b, o) : envelopeOf(b, o)
  return (holder as { reply?: ReplyAddress }).reply ?? null
}

function decodeAction(b: Buffer, o: number, type: ActionType): Action {
  switch (type) {
    case 'command/received':
      return decodeReceived(b, o)
    case 'command/started':
      return {
        type,
        instance: nameOf(b, o),
        commands: startedLsns(b, o),
        ...(wallMsOf(b, o) === 0 ? {} : { atMs: wallMsOf(b, o) }),
      }
    case 'command/completed':
    case 'command/rejected':
    case 'command/failed':
    case 'command/parked':
      return decodeEndOfAttempt(b, o, type)
    case 'command/retried':
      return { type, command: referenceOf(b, o), received: decodeReceived(b, payloadStart(b, o)) }
    case 'command/skipped':
      return {
        type,
        command: referenceOf(b, o),
        aggregate: parseAggregateKey(keyOf(b, o)),
        ...(payloadOf(b, o) as { reason: string; reply?: ReplyAddress }),
      }
    case 'application/registered':
    case 'application/seen':
    case 'application/deregistered':
      return { type, instance: nameOf(b, o), ...(payloadOf(b, o) as object) } as Action
    case 'aggregate/unassigned':
      return { type, aggregate: parseAggregateKey(keyOf(b, o)), instance: nameOf(b, o) }
    case 'stream/archived':
      return {
        type,
        aggregate: parseAggregateKey(keyOf(b, o)),
        ...(payloadOf(b, o) as object),
        atMs: wallMsOf(b, o),
      } as Action
    case 'stream/closed':
      return { type, aggregate: parseAggregateKey(keyOf(b, o)), atMs: wallMsOf(b, o) }
    case 'stream/deleted':
      return { type, aggregate: parseAggregateKey(keyOf(b, o)), closedLsn: referenceOf(b, o), atMs: wallMsOf(b, o) }
    case 'stream/migrated':
    case 'stream/migration-finalised':
    case 'stream/migration-abandoned':
    case 'idempotency-key/expired':
    case 'idempotency-key/deleted':
    case 'checkpoint/started':
    case 'checkpoint/completed':
      return { type, ...(payloadOf(b, o) as object) } as Action
    case 'workflow/advanced':
      return decodeAdvanced(b, o)
    case 'workflow/resumed':
      return { type, instance: nameOf(b, o), activations: startedLsns(b, o) }
    case 'schedule/fired':
      return {
        type,
        schedule: nameOf(b, o),
        atMs: wallMsOf(b, o),
        aggregate: parseAggregateKey(keyOf(b, o)),
        messages: messagesOf(b, o),
        ...(payloadOf(b, o) as { scheduledMs: number; overlap: ScheduleOverlap }),
      }
    case 'journal/epoch-started':
      return { type, ...(payloadOf(b, o) as { epoch: number; leader: string }), atMs: wallMsOf(b, o) }
    default:
      return unreachable(type)
  }
}

function decodeAdvanced(b: Buffer, o: number): WorkflowAdvanced {
  return {
    type: 'workflow/advanced',
    aggregate: parseAggregateKey(keyOf(b, o)),
    activation: referenceOf(b, o),
    token: tokenOf(b, o),
    atMs: wallMsOf(b, o),
    baseRevision: revision(revisionOf(b, o)),
    events: eventsOf(b, o),
    messages: messagesOf(b, o),
    snapshot: snapshotOf(b, o),
    ...workflowEffects(flagsOf(b, o)),
  }
}

function workflowEffects(flags: number): { readonly workflow?: WorkflowEffects } {
  const { activates, releases, ends, indexed } = entryFlags
  if ((flags & (activates | releases | ends | indexed)) === 0) return {}
  return {
    workflow: {
      ...((flags & activates) === 0 ? {} : { activates: true }),
      ...((flags & releases) === 0 ? {} : { releases: true }),
      ...((flags & ends) === 0 ? {} : { ends: true }),
      ...((flags & indexed) === 0 ? {} : { indexed: true }),
    },
  }
}

interface Envelope extends QueueFields {
  readonly idempotencyKey?: CommandReceived['idempotencyKey']
  readonly reply?: ReplyAddress
  readonly expectedRevision?: number
  readonly metadata?: Record<string, string>
}

export function decodeReceived(b: Buffer, o: number): CommandReceived {
  const envelope = (envelopeOf(b, o) ?? {}) as Envelope
  const isForwarded = (flagsOf(b, o) & entryFlags.forwarded) !== 0
  const session = isForwarded ? 0 : sessionOf(b, o)
  return {
    type: 'command/received',
    aggregate: parseAggregateKey(keyOf(b, o)),
    command: nameOf(b, o),
    data: payloadOf(b, o),
    receivedAtMs: wallMsOf(b, o),
    call: session === 0 ? null : { session, sequence: sessionSequenceOf(b, o), answeredBelow: answeredBelowOf(b, o) },
    idempotencyKey: envelope.idempotencyKey ?? null,
    expectedRevision: envelope.expectedRevision === undefined ? null : revision(envelope.expectedRevision),
    metadata: envelope.metadata ?? null,
    ...(variantOf(b, o) === 0 ? {} : { definitionVersion: variantOf(b, o) }),
    ...(isForwarded ? { forwarded: { source: referenceOf(b, o), index: tokenOf(b, o) } } : {}),
    ...(envelope.reply === undefined ? {} : { reply: envelope.reply }),
    ...queueFieldsOf(envelope),
  }
}

type EndType = 'command/completed' | 'command/rejected' | 'command/failed' | 'command/parked'

function decodeEndOfAttempt(b: Buffer, o: number, type: EndType): Action {
  const end = {
    command: referenceOf(b, o),
    aggregate: parseAggregateKey(keyOf(b, o)),
    release: tokenOf(b, o),
    atMs: wallMsOf(b, o),
  }
  const flags = flagsOf(b, o)
  const idempotencyKey = (flags & entryFlags.idempotencyKey) === 0 ? 'none' : 'bound'
  switch (type) {
    case 'command/completed': {
      const events = eventsOf(b, o)
      assert(events.length === eventCountOf(b, o), `entry ${lsnOf(b, o)} counts its events`)
      const base = revisionOf(b, o)
      const latest = base + events.length
      const latestEvent = latest === 0 ? null : { revision: revision(latest), type: events.at(-1)?.type ?? null }
      return {
        ...end,
        type,
        baseRevision: revision(base),
        eventsVersion: variantOf(b, o),
        events,
        latestEvent,
        idempotencyKey,
        snapshot: snapshotOf(b, o),
        ...workflowEffects(flags),
        ...((flags & entryFlags.sends) === 0 ? {} : { messages: messagesOf(b, o) }),
      }
    }
    case 'command/rejected': {
      const { code, message, details } = payloadOf(b, o) as { code: string; message: string; details: unknown }
      return { ...end, type, idempotencyKey, code, message, details }
    }
    case 'command/failed': {
      const { message, retryDelayMs } = payloadOf(b, o) as { message: string; retryDelayMs: number }
      return { ...end, type, message, retryDelayMs }
    }
    case 'command/parked': {
      const { message, attempts } = payloadOf(b, o) as { message: string; attempts: number }
      const blocksAggregate = (flags & entryFlags.blocksAggregate) !== 0
      return { ...end, type, idempotencyKey, message, attempts, blocksAggregate }
    }
    default:
      return unreachable(type)
  }
}
