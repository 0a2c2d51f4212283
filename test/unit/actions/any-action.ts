import fc from 'fast-check'
import type {
  Action,
  AggregateReference,
  ApplicationRegistered,
  CommandReceived,
  EndOfIncarnation,
  EventDraft,
  Message,
  MigrationStep,
  QueueForm,
  ScheduleForm,
  WorkflowEffects,
} from '../../../src/actions/action.ts'
import type { ActionType } from '../../../src/actions/action-codes.ts'
import { lsn, revision, token } from '../../../src/kernel/identifiers.ts'

/** What the journal may say, at random: one generator for each action. */
const safeInteger = fc.oneof(fc.maxSafeNat(), fc.nat(1000), fc.constantFrom(0, 4294967295, 4294967296, 2 ** 53 - 1))
const wallMs = fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 1_700_000_000_000.5))
const name = fc.stringMatching(/^[a-z][a-zA-Z0-9-]{0,20}$/)
const text = fc.string({ unit: 'grapheme', maxLength: 40 })
export const anyAggregate: fc.Arbitrary<AggregateReference> = fc.record({
  type: name,
  id: fc.oneof(text, fc.constantFrom('a/b/c', '/', 'å💰/x')),
})
const anyLsn = safeInteger.map(lsn)
const anyToken = safeInteger.map(token)
const anyRevision = safeInteger.map(revision)

/**
 * What MessagePack carries as it is; `undefined` and class instances become something else, and a key `__proto__` is
 * renamed by the decoder, so that no payload can change a prototype.
 */
export const anyData: fc.Arbitrary<unknown> = fc
  .jsonValue({ maxDepth: 3 })
  .filter((value) => !JSON.stringify(value).includes('"__proto__"'))
  .map((value) => JSON.parse(JSON.stringify(value)))

const anyDigest = fc.uint8Array({ minLength: 16, maxLength: 16 })

const anyReply = fc.record({ key: text, operation: text })

const anyCalled: fc.Arbitrary<CommandReceived> = fc.record({
  type: fc.constant('command/received' as const),
  aggregate: anyAggregate,
  command: name,
  data: anyData,
  receivedAtMs: wallMs,
  call: fc.option(
    fc.record({ session: safeInteger.filter((n) => n > 0), sequence: safeInteger, answeredBelow: safeInteger }),
  ),
  idempotencyKey: fc.option(fc.record({ key: text, digest: anyDigest, ttlMs: safeInteger })),
  expectedRevision: fc.option(anyRevision),
  metadata: fc.option(fc.dictionary(name, text, { maxKeys: 3 })),
})

/** A message of another entry has no client, and is no call. */
const anyReceived: fc.Arbitrary<CommandReceived> = fc
  .tuple(
    anyCalled,
    fc.option(fc.record({ source: anyLsn, index: fc.nat(1000) }), { nil: undefined }),
    fc.option(anyReply, { nil: undefined }),
    fc.record({ partition: text, priority: fc.nat(9), delayMs: fc.nat() }, { requiredKeys: [] }),
  )
  .map(([called, forwarded, reply, queueing]) => ({
    ...called,
    ...queueing,
    ...(forwarded === undefined ? {} : { forwarded, call: null }),
    ...(reply === undefined ? {} : { reply }),
  }))

const endOfAttempt = { command: anyLsn, aggregate: anyAggregate, release: anyToken, atMs: wallMs }
const bound = fc.constantFrom('bound' as const, 'none' as const)
const anyEvent: fc.Arbitrary<EventDraft> = fc.record({ type: name, data: anyData })

/** As MessagePack gives bytes back. */
const anyBytes = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes))

const anyMessage: fc.Arbitrary<Message> = fc.record(
  { to: anyAggregate, command: name, data: anyBytes, operation: text, expectedRevision: safeInteger, partition: text },
  { requiredKeys: ['to', 'command', 'data'] },
)

/** Absent where the entry does nothing to a workflow. */
const anyEffects: fc.Arbitrary<{ readonly workflow?: WorkflowEffects }> = fc
  .subarray(['activates', 'releases', 'ends', 'indexed'] as const)
  .map((effects) =>
    effects.length === 0 ? {} : { workflow: Object.fromEntries(effects.map((effect) => [effect, true])) },
  )

const anyCompleted: fc.Arbitrary<Action> = fc
  .record({
    ...endOfAttempt,
    base: fc.maxSafeNat().map((n) => Math.min(n, 2 ** 52)),
    eventsVersion: fc.integer({ min: 0, max: 0xffff }),
    events: fc.array(anyEvent, { maxLength: 6 }),
    idempotencyKey: bound,
    snapshot: fc.option(fc.record({ definition: text, state: anyData })),
    effects: anyEffects,
  })
  .map(({ base, effects, ...rest }) => {
    const latest = base + rest.events.length
    const latestEvent = latest === 0 ? null : { revision: revision(latest), type: rest.events.at(-1)?.type ?? null }
    return { type: 'command/completed' as const, ...rest, baseRevision: revision(base), latestEvent, ...effects }
  })

const anyAdvanced: fc.Arbitrary<Action> = fc
  .record({
    aggregate: anyAggregate,
    activation: anyLsn,
    token: anyToken,
    atMs: wallMs,
    baseRevision: anyRevision,
    events: fc.array(anyEvent, { maxLength: 6 }),
    messages: fc.array(anyMessage, { maxLength: 3 }),
    snapshot: fc.option(fc.record({ definition: text, state: anyData })),
    effects: anyEffects,
  })
  .map(({ effects, ...rest }) => ({ type: 'workflow/advanced' as const, ...rest, ...effects }))

const record = <T extends Action>(type: T['type'], fields: { [K in Exclude<keyof T, 'type'>]: fc.Arbitrary<T[K]> }) =>
  fc.record({ type: fc.constant(type), ...fields } as never) as fc.Arbitrary<T>

type Of<Type extends ActionType> = Extract<Action, { type: Type }>

const anySchedule: fc.Arbitrary<ScheduleForm> = fc.record({
  name,
  cron: text,
  timezone: text,
  overlap: fc.constantFrom('skip' as const, 'queue' as const, 'allow' as const),
  catchUp: fc.constantFrom('none' as const, 'latest' as const, 'all' as const),
  workflow: name,
  input: anyData,
})

const anyQueue: fc.Arbitrary<QueueForm> = fc.record(
  {
    type: name,
    command: name,
    concurrency: fc.nat(100),
    rateLimit: fc.record({ limit: fc.nat(100), periodMs: fc.nat() }),
  },
  { requiredKeys: ['type', 'command'] },
)

const anyRegistered: fc.Arbitrary<ApplicationRegistered> = fc.record(
  {
    type: fc.constant('application/registered' as const),
    instance: name,
    application: name,
    incarnation: fc.integer({ min: 0, max: 0xffffffff }),
    aggregateTypes: fc.array(name, { maxLength: 4 }),
    aggregateVersions: fc.array(fc.nat(0xffff), { maxLength: 4 }),
    former: fc.constantFrom<EndOfIncarnation>('unknown', 'stopped', 'crashed', 'killed'),
    schedules: fc.record({ atMs: wallMs, definitions: fc.array(anySchedule, { maxLength: 3 }) }),
    queues: fc.array(anyQueue, { maxLength: 3 }),
  },
  { requiredKeys: ['type', 'instance', 'application', 'incarnation', 'aggregateTypes', 'former'] },
)

const anyMigrationStep: fc.Arbitrary<MigrationStep> = fc.oneof(
  fc.record({ phase: fc.constant('started' as const), fromVersion: fc.nat(), digest: text, atMs: wallMs }),
  fc.record({
    phase: fc.constant('rewritten' as const),
    after: safeInteger,
    through: safeInteger,
    events: fc.array(fc.tuple(safeInteger, anyBytes), { maxLength: 3 }),
    commands: fc.array(fc.tuple(anyLsn, anyBytes), { maxLength: 3 }),
  }),
  fc.record({ phase: fc.constant('switched' as const) }),
)

export const anyActionByType: { readonly [Type in ActionType]: fc.Arbitrary<Action> } = {
  'command/received': anyReceived,
  'command/started': fc
    .record(
      { instance: name, commands: fc.array(anyLsn, { maxLength: 20 }), atMs: fc.integer({ min: 1 }) },
      { requiredKeys: ['instance', 'commands'] },
    )
    .map((started) => ({ type: 'command/started' as const, ...started })),
  'command/completed': anyCompleted,
  'command/rejected': record<Of<'command/rejected'>>('command/rejected', {
    ...endOfAttempt,
    idempotencyKey: bound,
    code: name,
    message: text,
    details: anyData,
  }),
  'command/failed': record<Of<'command/failed'>>('command/failed', {
    ...endOfAttempt,
    message: text,
    retryDelayMs: fc.nat(),
  }),
  'command/parked': record<Of<'command/parked'>>('command/parked', {
    ...endOfAttempt,
    idempotencyKey: bound,
    message: text,
    attempts: fc.nat(),
    blocksAggregate: fc.boolean(),
  }),
  'command/retried': record<Of<'command/retried'>>('command/retried', { command: anyLsn, received: anyReceived }),
  'command/skipped': fc
    .record(
      { command: anyLsn, aggregate: anyAggregate, reason: text, reply: anyReply },
      { requiredKeys: ['command', 'aggregate', 'reason'] },
    )
    .map((skipped) => ({ type: 'command/skipped' as const, ...skipped })),
  'workflow/advanced': anyAdvanced,
  'workflow/resumed': record<Of<'workflow/resumed'>>('workflow/resumed', {
    instance: name,
    activations: fc.array(anyLsn, { maxLength: 20 }),
  }),
  'schedule/fired': record<Of<'schedule/fired'>>('schedule/fired', {
    schedule: name,
    scheduledMs: safeInteger,
    atMs: wallMs,
    overlap: fc.constantFrom('skip' as const, 'queue' as const, 'allow' as const),
    aggregate: anyAggregate,
    messages: fc.array(anyMessage, { maxLength: 2 }),
  }),
  'journal/epoch-started': record<Of<'journal/epoch-started'>>('journal/epoch-started', {
    epoch: safeInteger,
    leader: name,
    atMs: wallMs,
  }),
  'stream/migrated': record<Of<'stream/migrated'>>('stream/migrated', {
    aggregateType: name,
    toVersion: fc.nat(),
    migration: anyLsn,
    step: anyMigrationStep,
  }),
  'stream/migration-finalised': record<Of<'stream/migration-finalised'>>('stream/migration-finalised', {
    aggregateType: name,
    migration: anyLsn,
  }),
  'stream/migration-abandoned': record<Of<'stream/migration-abandoned'>>('stream/migration-abandoned', {
    aggregateType: name,
    migration: anyLsn,
  }),
  'stream/archived': record<Of<'stream/archived'>>('stream/archived', {
    aggregate: anyAggregate,
    from: anyRevision,
    upTo: anyRevision,
    lastLsn: anyLsn,
    object: text,
    digest: name,
    snapshot: fc.option(fc.record({ revision: anyRevision, definition: text, state: anyData })),
    atMs: wallMs,
  }),
  'stream/closed': record<Of<'stream/closed'>>('stream/closed', { aggregate: anyAggregate, atMs: wallMs }),
  'stream/deleted': record<Of<'stream/deleted'>>('stream/deleted', {
    aggregate: anyAggregate,
    closedLsn: anyLsn,
    atMs: wallMs,
  }),
  'idempotency-key/expired': record<Of<'idempotency-key/expired'>>('idempotency-key/expired', { untilMs: wallMs }),
  'idempotency-key/deleted': record<Of<'idempotency-key/deleted'>>('idempotency-key/deleted', { untilMs: wallMs }),
  'application/registered': anyRegistered,
  'application/seen': record<Of<'application/seen'>>('application/seen', { instance: name, atMs: wallMs }),
  'application/deregistered': record<Of<'application/deregistered'>>('application/deregistered', {
    instance: name,
    reason: fc.constantFrom('silent' as const, 'stopped' as const, 'crashed' as const),
  }),
  'aggregate/unassigned': record<Of<'aggregate/unassigned'>>('aggregate/unassigned', {
    aggregate: anyAggregate,
    instance: name,
  }),
  'checkpoint/started': record<Of<'checkpoint/started'>>('checkpoint/started', { upTo: anyLsn }),
  'checkpoint/completed': record<Of<'checkpoint/completed'>>('checkpoint/completed', { upTo: anyLsn, stateHash: name }),
}

export const anyAction: fc.Arbitrary<Action> = fc.oneof(...Object.values(anyActionByType))
