import { consistencies, durabilities } from '../ipc/client-protocol.ts'
import { limits } from '../kernel/limits.ts'
import { workflowStatuses } from '../workflows/workflow-view.ts'
import type { HttpAnswer, JsonSchema, Parameters } from './http-route.ts'

/** The largest number that JSON and JavaScript both keep exactly. */
const numberMax = Number.MAX_SAFE_INTEGER

export const text = (description: string): JsonSchema => ({ type: 'string', description })
export const integer = (description: string, minimum = 0): JsonSchema => ({
  type: 'integer',
  minimum,
  maximum: numberMax,
  description,
})
export const anything = (description: string): JsonSchema => ({ description })

/** All properties are required, but those whose name ends in `?`. */
export function object(properties: Readonly<Record<string, JsonSchema>>, description?: string): JsonSchema {
  const named = Object.entries(properties).map(([name, schema]) => [name.replace('?', ''), schema] as const)
  const required = Object.keys(properties).filter((name) => !name.endsWith('?'))
  const shape: JsonSchema = { type: 'object', properties: Object.fromEntries(named), required }
  return description === undefined ? shape : { ...shape, description }
}

export const list = (items: JsonSchema): JsonSchema => ({ type: 'array', items })
export const reference = (name: string): JsonSchema => ({ $ref: `#/components/schemas/${name}` })

const aggregate = object({ type: text('Aggregate type'), id: text('Aggregate id') })

/** Named shapes of answers. */
export const components: Readonly<Record<string, JsonSchema>> = {
  DecidedEvent: object({
    type: text('Event type'),
    data: anything('As the application decided it, brought to the form of its current version'),
    revision: integer('Number of the event in its stream', 1),
    globalPosition: integer('Number of the event among all events', 1),
    lsn: integer('Entry that holds the event', 1),
  }),
  Event: object({
    type: text('Event type'),
    data: anything('As the application decided it, brought to the form of its current version'),
    aggregate,
    revision: integer('Number of the event in its stream', 1),
    globalPosition: integer('Number of the event among all events', 1),
    lsn: integer('Entry that holds the event', 1),
    at: { type: 'string', format: 'date-time', description: 'When it was decided, ISO 8601, UTC' },
  }),
  Completed: object({
    id: text('Id of the command'),
    lsn: integer('Entry that ended the command: what `minLsn` of a later read wants', 1),
    outcome: { const: 'completed' },
    durability: { enum: durabilities },
    events: list(reference('DecidedEvent')),
  }),
  Received: object({
    id: text('Id of the command, for /v1/commands/{id}'),
    lsn: integer('Entry of the command', 1),
    outcome: { const: 'received' },
    durability: { enum: durabilities },
  }),
  Command: object({
    id: text('Id of the command'),
    lsn: integer('Entry of the command', 1),
    status: { enum: ['pending', 'completed', 'rejected', 'parked', 'skipped'] },
    aggregate,
    command: { type: ['string', 'null'], description: 'Name of the command, where it is still known' },
    'outcome?': text('As `status`, once the command has ended'),
    'events?': list(reference('Event')),
    'reason?': object({ code: text('For programs'), message: text('For people'), 'details?': anything('Values') }),
    'attempts?': integer('Attempts to decide it'),
    'waitingFor?': text('pending: why it is not started yet'),
    'endLsn?': integer('Entry that ended the command', 1),
  }),
  Stream: object({
    aggregate,
    status: { enum: ['open', 'closed', 'deleted'] },
    revision: integer('Of its latest event; of a deleted stream the one that it had'),
    archivedUpTo: integer('Events up to this revision are read back from the archive; 0: none'),
    closedLsn: { type: ['integer', 'null'], description: 'Entry that closed it' },
    deletedLsn: { type: ['integer', 'null'], description: 'Entry that deleted it' },
  }),
  Workflow: object({
    name: text('Name of the workflow'),
    id: text('Its id'),
    status: { enum: [...workflowStatuses, 'pending'] },
    'command?': text('pending: id of the command that will start it'),
    'version?': integer('Of its code', 1),
    'run?': integer('1, 2, 3… with continueAsNew', 1),
    'startedAt?': text('ISO 8601, UTC'),
    'endedAt?': { type: ['string', 'null'], description: 'ISO 8601, UTC' },
    'revision?': integer('Of its history'),
    'result?': anything('Its output'),
    'error?': anything('failed, cancelled, parked: { code, message, details, causes, places, notCompensated }'),
    'progress?': anything('What it said of itself last'),
    'isCancelled?': { type: 'boolean', description: 'It was asked to stop' },
    'requests?': list(reference('WorkflowRequest')),
    'requestCounts?': object({
      total: integer('Requests of all runs'),
      completed: integer('Of them'),
      failed: integer('Of them'),
    }),
    'waitingFor?': list(reference('WorkflowWaiting')),
  }),
  WorkflowRequest: object({
    name: text('Name of the request'),
    operation: text('Its name in the history'),
    run: integer('Of the workflow', 1),
    attempt: integer('The latest', 1),
    status: { enum: ['running', 'retrying', 'parked', 'completed', 'failed', 'cancelled'] },
    startedAt: text('ISO 8601, UTC'),
    endedAt: { type: ['string', 'null'], description: 'ISO 8601, UTC' },
    retryAt: { type: ['string', 'null'], description: 'When it is tried again' },
    error: anything('Of the last attempt that failed; null once one was completed'),
  }),
  WorkflowWaiting: object({
    kind: { enum: ['timer', 'signal', 'command', 'child', 'awakeable'] },
    operation: text('Its name in the history'),
    since: text('ISO 8601, UTC'),
    dueAt: { type: ['string', 'null'], description: 'When its timer is due' },
    'awakeable?': text('What the callback has to name'),
    'child?': text('Name and id of the child'),
    'because?': text('Why nothing comes of it for now: no application defines what it was sent to'),
  }),
  Schedule: object({
    name: text('Name of the schedule'),
    application: text('Its application'),
    workflow: text('Name of the workflow that it starts'),
    cron: text('Its pattern'),
    timezone: text('Its time zone'),
    overlap: { enum: ['skip', 'queue', 'allow'] },
    catchUp: { enum: ['latest', 'none', 'all'] },
    isHosted: { type: 'boolean', description: 'false: no instance runs its workflow, and times are missed' },
    nextAt: { type: ['string', 'null'], description: 'When it fires next; null: never again' },
    lastAt: { type: ['string', 'null'], description: 'The last of its times that has fired' },
    running: { type: ['string', 'null'], description: 'The workflow that the next time would overlap with' },
    waiting: integer('Times that wait for it to end'),
  }),
  Queue: object({
    queue: text('Name of the workflow, or aggregate and command'),
    partition: text('Its partition; empty where it has none'),
    waiting: integer('Pending in it'),
    running: integer('Those that hold a slot'),
    concurrency: { type: ['integer', 'null'], description: 'At once' },
    rateLimit: { type: ['object', 'null'], description: '{ limit, periodMs }' },
  }),
  Projection: object({
    name: text('Name of the projection'),
    version: { type: ['integer', 'null'], description: 'Version that is read; null while the first is being built' },
    status: { enum: ['live', 'rebuilding', 'failed'] },
    position: { type: ['integer', 'null'], description: 'How far the build is' },
    'message?': text('Why it failed'),
  }),
  Problem: object(
    {
      type: text('urn:commanderdb:error:<code>, or urn:commanderdb:rejection'),
      title: text('What the code means'),
      status: integer('As of the answer', 400),
      detail: text('What happened, with which values, and what to do'),
      code: text('For programs'),
      retryable: { type: 'boolean', description: 'The same call may succeed later without any change' },
      'details?': anything('Values for programs'),
    },
    'Problem details, RFC 9457',
  ),
  Rejected: object(
    {
      type: text('urn:commanderdb:rejection'),
      title: text('What the code means'),
      status: integer('As of the answer', 400),
      detail: text('As `message`'),
      id: text('Id of the command'),
      lsn: integer('Entry that ended the command', 1),
      outcome: { enum: ['rejected', 'parked', 'skipped'] },
      code: text("The application's code where it rejected the command"),
      message: text('For people'),
      retryable: { const: false },
      'details?': anything('Values for programs'),
    },
    'Problem details, RFC 9457, of a command that ended without events',
  ),
}

export const json = (description: string, schema: JsonSchema | string): HttpAnswer => ({
  description,
  content: { 'application/json': typeof schema === 'string' ? reference(schema) : schema },
})

export const problem = (description: string, schema = 'Problem'): HttpAnswer => ({
  description,
  content: { 'application/problem+json': reference(schema) },
})

export const eventList: JsonSchema = list(reference('Event'))
export const commandList: JsonSchema = list(reference('Command'))
export const projectionList: JsonSchema = list(reference('Projection'))
export const workflowList: JsonSchema = list(reference('Workflow'))

export const aggregateParams: Parameters = {
  type: text('Aggregate type'),
  id: text(`Aggregate id, 1 to ${limits.aggregateIdBytesMax} bytes of UTF-8; percent-encoded, "/" and ":" too`),
}

/** What a read has to see at least. */
export const readFloor: Parameters = {
  minLsn: integer('Wait until the store has applied this entry: read your writes'),
  sessionLsn: integer('Beside that: no less than a former answer, of whichever node, said in Applied-Lsn'),
  consistency: {
    enum: consistencies,
    description:
      'known: what this node has, the default. linearizable: everything that any node acknowledged as flushed before the request; ' +
      'the node that leads is asked',
  },
}

export const appliedLsn: Parameters = {
  'Applied-Lsn': integer('What the store of this node had applied: for `sessionLsn` of a later read'),
}

/** Every answer of a route with tokens may be one of these. */
export const commonAnswers: Readonly<Record<string, HttpAnswer>> = {
  401: problem('A valid token is missing'),
  403: problem('The token does not have the scope'),
  429: { ...problem('Too much is pending'), headers: { 'Retry-After': integer('Seconds') } },
  503: {
    ...problem('The database is starting, stopping or recovering'),
    headers: { 'Retry-After': integer('Seconds') },
  },
}
