import type { Action, CommandReceived, Message } from '../../../src/actions/action.ts'
import { pack } from '../../../src/actions/message-pack.ts'
import { lsn, revision, token } from '../../../src/kernel/identifiers.ts'

const atMs = 1_700_000_100_000
const order = { type: 'workflow:order', id: 'nightly-ü/1' }
const account = { type: 'account', id: 'b' }
const orderKey = 'workflow:order/nightly-ü/1'
const packed = (value: unknown): Buffer => Buffer.from(pack(value))

const received = (fields: Partial<CommandReceived>): CommandReceived => ({
  type: 'command/received',
  aggregate: order,
  command: 'start',
  data: { input: { n: 1 } },
  receivedAtMs: atMs,
  call: null,
  idempotencyKey: null,
  expectedRevision: null,
  metadata: null,
  ...fields,
})

const startMessage: Message = { to: order, command: 'start', data: packed({ input: { n: 1 } }), partition: 'ü' }
const deposit: Message = {
  to: account,
  command: 'deposit',
  data: packed({ amountCents: 5 }),
  operation: '1/command/deposit account/b#1',
  expectedRevision: 0,
  partition: '',
}
const reply = { key: orderKey, operation: '1/command/deposit account/b#1' }

/** What schedules, queues and workflows say, from this LSN on: each action, and each field that an action of before may have. */
export function workflowActions(first: number): readonly Action[] {
  const at = (index: number): ReturnType<typeof lsn> => lsn(first + index)
  return [
    {
      type: 'application/registered',
      instance: 'shop-1',
      application: 'shop',
      incarnation: 4_000_000_001,
      aggregateTypes: ['account', 'workflow:order'],
      aggregateVersions: [3, 1],
      former: 'unknown',
      schedules: {
        atMs,
        definitions: [
          {
            name: 'nightly',
            cron: '0 3 * * *',
            timezone: 'Europe/Berlin',
            overlap: 'queue',
            catchUp: 'latest',
            workflow: 'order',
            input: { n: 1 },
            partition: 'ü',
          },
        ],
      },
      queues: [
        { type: 'workflow:order', command: 'start', concurrency: 2, rateLimit: { limit: 5, periodMs: 1_000 } },
        { type: 'account', command: 'deposit', concurrency: 1 },
      ],
    },
    {
      type: 'schedule/fired',
      schedule: 'nightly',
      scheduledMs: atMs + 1,
      atMs: atMs + 2,
      overlap: 'queue',
      aggregate: order,
      messages: [startMessage],
    },
    received({ forwarded: { source: at(1), index: 0 }, partition: 'ü' }),
    { type: 'command/started', instance: 'shop-1', commands: [at(2)], atMs: atMs + 3 },
    {
      type: 'command/completed',
      command: at(2),
      aggregate: order,
      release: token(first + 3),
      atMs: atMs + 4,
      baseRevision: revision(0),
      eventsVersion: 1,
      events: [{ type: 'workflow/started', data: { input: { n: 1 }, digest: '0d', version: 1, atMs, parent: null } }],
      latestEvent: { revision: revision(1), type: 'workflow/started' },
      idempotencyKey: 'none',
      snapshot: null,
      workflow: { activates: true, indexed: true },
    },
    {
      type: 'workflow/advanced',
      aggregate: order,
      activation: at(2),
      token: token(first + 3),
      atMs: atMs + 5,
      baseRevision: revision(1),
      events: [
        { type: 'command/requested', data: { operation: 'command/deposit account/b#1', atMs: atMs + 5 } },
        { type: 'timer/started', data: { operation: 'timer/sleep#1', dueMs: atMs + 60_000, atMs: atMs + 5 } },
      ],
      messages: [deposit],
      snapshot: { definition: 'f00d', state: { status: 'running', operations: {} } },
      workflow: { indexed: true },
    },
    received({
      aggregate: account,
      command: 'deposit',
      data: { amountCents: 5 },
      forwarded: { source: at(5), index: 0 },
      expectedRevision: revision(0),
      reply,
      partition: '',
    }),
    { type: 'workflow/resumed', instance: 'shop-1', activations: [at(2)] },
    { type: 'workflow/resumed', instance: 'shop-1', activations: [] },
    { type: 'command/started', instance: 'shop-1', commands: [at(6)], atMs: atMs + 6 },
    {
      type: 'command/parked',
      command: at(6),
      aggregate: account,
      release: token(first + 9),
      atMs: atMs + 7,
      idempotencyKey: 'none',
      message: 'Error: no',
      attempts: 1,
      blocksAggregate: false,
    },
    { type: 'command/skipped', command: at(6), aggregate: account, reason: 'by hand', reply },
    received({
      aggregate: { type: 'workflow:order', id: '2' },
      call: { session: 5, sequence: 1, answeredBelow: 1 },
      definitionVersion: 1,
      partition: '',
      priority: 9,
      delayMs: 60_000,
    }),
    { type: 'command/started', instance: 'shop-1', commands: [at(12)], atMs: atMs + 60_001 },
    {
      type: 'command/rejected',
      command: at(12),
      aggregate: { type: 'workflow:order', id: '2' },
      release: token(first + 13),
      atMs: atMs + 60_002,
      idempotencyKey: 'none',
      code: 'workflow_conflict',
      message: 'it was started before',
      details: null,
    },
    {
      type: 'workflow/advanced',
      aggregate: order,
      activation: at(2),
      token: token(first + 7),
      atMs: atMs + 60_003,
      baseRevision: revision(3),
      events: [{ type: 'workflow/completed', data: { result: null, atMs: atMs + 60_003, timers: [] } }],
      messages: [],
      snapshot: null,
      workflow: { releases: true, ends: true, indexed: true },
    },
  ]
}
