import type { Action, CommandReceived, MigrationStep } from '../../../src/actions/action.ts'
import type { ActionType } from '../../../src/actions/action-codes.ts'
import { encodeAction } from '../../../src/actions/encode.ts'
import { EntryBatch } from '../../../src/actions/entry-batch.ts'
import { lengthOf, padded, stampLsn } from '../../../src/actions/entry-layout.ts'
import { segmentsOf } from '../../../src/journal/segment-name.ts'
import { lsn, revision, token } from '../../../src/kernel/identifiers.ts'
import { workflowActions } from './golden-workflow-actions.ts'
import { flush, JournalWorld } from './journal-world.ts'

const atMs = 1_700_000_000_000
const account = { type: 'account', id: 'ü/1' }
const till = { type: 'till', id: '2' }

const received: CommandReceived = {
  type: 'command/received',
  aggregate: account,
  command: 'deposit',
  data: { amountCents: 5, note: 'ä', at: [1.5, null, true, -1, 2 ** 40] },
  receivedAtMs: atMs,
  call: { session: 2 ** 40 + 1, sequence: 7, answeredBelow: 6 },
  idempotencyKey: { key: 'k-1', digest: Buffer.alloc(16, 9), ttlMs: 60_000 },
  expectedRevision: revision(0),
  metadata: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
}
const plain: CommandReceived = {
  ...received,
  aggregate: till,
  call: null,
  idempotencyKey: null,
  expectedRevision: null,
  metadata: null,
}
const started = (command: number): Action => ({
  type: 'command/started',
  instance: 'bank-1',
  commands: [lsn(command)],
})
const migrated = (aggregateType: string, migration: number, step: MigrationStep): Action => ({
  type: 'stream/migrated',
  aggregateType,
  toVersion: 3,
  migration: lsn(migration),
  step,
})
const parked = (release: number): Action => ({
  type: 'command/parked',
  command: lsn(10),
  aggregate: till,
  release: token(release),
  atMs,
  idempotencyKey: 'none',
  message: 'Error: no',
  attempts: 3,
  blocksAggregate: true,
})

const plainActions: readonly Action[] = [
  {
    type: 'application/registered',
    instance: 'bank-1',
    application: 'bank',
    incarnation: 4_000_000_000,
    aggregateTypes: ['account', 'till'],
    former: 'killed',
  },
  received,
  started(2),
  {
    type: 'command/completed',
    command: lsn(2),
    aggregate: account,
    release: token(3),
    atMs: atMs + 1,
    baseRevision: revision(0),
    eventsVersion: 2,
    events: [
      { type: 'deposited', data: { amountCents: 5 } },
      { type: 'noted', data: 'ä' },
    ],
    latestEvent: { revision: revision(2), type: 'noted' },
    idempotencyKey: 'bound',
    snapshot: { definition: 'f00d', state: { balanceCents: 5 } },
  },
  plain,
  started(5),
  {
    type: 'command/failed',
    command: lsn(5),
    aggregate: till,
    release: token(6),
    atMs: atMs + 2,
    message: 'Error: not now',
    retryDelayMs: 100,
  },
  started(5),
  {
    type: 'command/rejected',
    command: lsn(5),
    aggregate: till,
    release: token(8),
    atMs: atMs + 3,
    idempotencyKey: 'none',
    code: 'insufficient_funds',
    message: 'the balance is too low',
    details: { balanceCents: 0 },
  },
  plain,
  started(10),
  parked(11),
  { type: 'command/retried', command: lsn(10), received: plain },
  started(10),
  parked(14),
  { type: 'command/skipped', command: lsn(10), aggregate: till, reason: 'by hand' },
  { type: 'stream/closed', aggregate: account, atMs: atMs + 4 },
  { type: 'stream/deleted', aggregate: account, closedLsn: lsn(17), atMs: atMs + 5 },
  { type: 'idempotency-key/expired', untilMs: atMs + 60_000 },
  { type: 'idempotency-key/deleted', untilMs: atMs + 60_000 },
  { type: 'application/seen', instance: 'bank-1', atMs: atMs + 6 },
  { type: 'aggregate/unassigned', aggregate: till, instance: 'bank-1' },
  { type: 'checkpoint/started', upTo: lsn(22) },
  { type: 'checkpoint/completed', upTo: lsn(22), stateHash: '00112233445566778899aabbccddeeff' },
  { type: 'application/deregistered', instance: 'bank-1', reason: 'silent' },
  {
    type: 'stream/archived',
    aggregate: account,
    from: revision(1),
    upTo: revision(2),
    lastLsn: lsn(4),
    object: 'streams/0a/0a1b.events',
    digest: '0a'.repeat(32),
    snapshot: { definition: 'f00d', state: { balanceCents: 5, note: 'ä' }, revision: revision(2) },
    atMs: atMs + 7,
  },
  migrated('account', 0, { phase: 'started', fromVersion: 2, digest: '0b'.repeat(32), atMs: atMs + 8 }),
  migrated('account', 27, {
    phase: 'rewritten',
    after: 0,
    through: 2,
    events: [[1, Buffer.from('both events, packed')]],
    commands: [[lsn(10), Buffer.from('a command/received, encoded')]],
  }),
  migrated('account', 27, { phase: 'switched' }),
  { type: 'stream/migration-finalised', aggregateType: 'account', migration: lsn(27) },
  migrated('till', 0, { phase: 'started', fromVersion: 1, digest: '0c'.repeat(32), atMs: atMs + 9 }),
  { type: 'stream/migration-abandoned', aggregateType: 'till', migration: lsn(31) },
]

/** Their form may still change before the first release; they join the golden journal once it does no more. */
export const unsettledTypes: readonly ActionType[] = ['journal/epoch-started']

/** One action of each type at least, by the LSN that it has in the golden journal. */
export const goldenActions: readonly Action[] = [...plainActions, ...workflowActions(plainActions.length + 1)]

/** How many entries there are in each frame; the first segment is sealed behind the frame that ends with LSN 14. */
const frames = [1, 3, 5, 2, 3, 1, 4, 6, 3, 4, 2, 4, 3, 3, 4]
const sealedAt = 14

export function encoded(batch: readonly Action[], firstLsn: number): Buffer {
  const entries = new EntryBatch(77, 4096)
  for (const [i, action] of batch.entries()) encodeAction(entries, action, firstLsn + i - 1)
  const payload = Buffer.from(entries.take())
  let at = firstLsn
  for (let o = 0; o < payload.length; o += padded(lengthOf(payload, o))) stampLsn(payload, o, lsn(at++))
  return payload
}

/**
 * A journal of format version 1 that says everything that one says: a sealed segment, one on timeline 2 that was being
 * written, and half of a frame that was never flushed. Each file is cut behind its last byte that is not zero. The files in
 * test/fixtures/journal-v1-entries were written once by this; a new format version gets its own beside them.
 */
export async function goldenEntries(): Promise<Map<string, Buffer>> {
  const world = new JournalWorld()
  let { journal } = await world.open()
  let next = 1
  for (const count of frames) {
    journal.append(encoded(goldenActions.slice(next - 1, next - 1 + count), next), lsn(next), count, journal.flushedLsn)
    world.wallMs += 10
    if (count !== 2) flush(world, journal)
    next += count
    if (next !== sealedAt + 1) continue
    world.storage.kill()
    journal = (await world.open({ floorLsn: lsn(next), acceptLoss: true })).journal
  }
  journal.append(encoded([plain], next), lsn(next), 1, journal.flushedLsn)
  world.storage.kill()
  const names = segmentsOf(world.storage.list()).map(({ name }) => name)
  return new Map(names.map((name, i) => [name, cut(world.storage.readWhole(name) as Buffer, i === names.length - 1)]))
}

function cut(bytes: Buffer, isTorn: boolean): Buffer {
  const end = bytes.findLastIndex((byte) => byte !== 0) + 1
  return bytes.subarray(0, isTorn ? end - 100 : end)
}
