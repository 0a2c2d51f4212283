import fc from 'fast-check'
import { epoch, lsn } from '../../../src/kernel/identifiers.ts'
import { limits } from '../../../src/kernel/limits.ts'
import type { ReplicatedBatch } from '../../../src/replication/batch.ts'
import type { ReplicationMessage } from '../../../src/replication/message-codec.ts'
import type { Refusal } from '../../../src/replication/messages.ts'

type MessageOf<Kind extends ReplicationMessage['kind']> = Extract<ReplicationMessage, { readonly kind: Kind }>

const anyNumber = fc.oneof(fc.maxSafeNat(), fc.nat(1000))
const anyLsn = anyNumber.map(lsn)
const anyEpoch = anyNumber.map(epoch)
const anyDigest = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes))
const anyText = fc
  .string({ unit: 'grapheme', maxLength: 40 })
  .filter((text) => Buffer.byteLength(text) <= limits.nameBytesMax && text.isWellFormed())
const anyU32 = fc.nat(0xffffffff)

const anyBatch: fc.Arbitrary<ReplicatedBatch> = fc.record({
  firstLsn: anyLsn,
  entryCount: fc.integer({ min: 1, max: 8192 }),
  prevDigest: anyDigest,
  digest: anyDigest,
  payload: fc
    .array(fc.uint8Array({ minLength: 8, maxLength: 8 }), { minLength: 1, maxLength: 300 })
    .map((words) => Buffer.concat(words)),
})
const batches = fc.array(anyBatch, { maxLength: 5 })
const member = fc.record({ id: anyText, identity: anyText, address: anyText })
const range = fc.record({ from: anyLsn, to: anyLsn })
const segment = fc.record({
  segmentEpoch: anyEpoch,
  base: anyLsn,
  baseDigest: anyDigest,
  flushed: anyLsn,
  flushedDigest: fc.option(anyDigest),
  committed: anyLsn,
  atLeast: fc.boolean(),
  damaged: fc.array(range, { maxLength: 3 }),
  finished: fc.boolean(),
})
const refusal: fc.Arbitrary<Refusal> = fc.oneof(
  fc.record({ reason: fc.constant('fenced' as const), promised: anyEpoch }),
  fc.constantFrom<Refusal>({ reason: 'unknownSegment' }, { reason: 'full' }),
  fc.record({ reason: fc.constant('gap' as const), matched: anyLsn }),
  fc.record({ reason: fc.constant('conflict' as const), lsn: anyLsn }),
  fc.record({ reason: fc.constant('sealed' as const), tail: anyLsn }),
  fc.record({ reason: fc.constant('damaged' as const), from: anyLsn, to: anyLsn }),
  fc.record({ reason: fc.constant('trimmed' as const), trimLsn: anyLsn }),
  fc.record({ reason: fc.constant('malformed' as const), what: anyText }),
)

const toServer = { id: anyNumber, stream: anyText, epoch: anyEpoch }
const about = { ...toServer, segmentEpoch: anyEpoch }
const fromServer = { id: anyNumber, stream: anyText, server: anyText, identity: anyText }
const ack = fc.record({ server: anyText, identity: anyText, flushed: anyLsn })
const leader = fc.option(fc.record({ id: anyText, address: anyText }))

/** Messages of each kind. */
export const anyMessageByKind: { readonly [Kind in ReplicationMessage['kind']]: fc.Arbitrary<MessageOf<Kind>> } = {
  openSegment: fc.record({ kind: fc.constant('openSegment'), ...about, base: anyLsn, baseDigest: anyDigest }),
  append: fc.record({
    kind: fc.constant('append'),
    ...about,
    batches,
    committed: anyLsn,
    next: fc.array(member, { maxLength: 4 }),
  }),
  seal: fc.record({ kind: fc.constant('seal'), ...about }),
  finish: fc.record({ kind: fc.constant('finish'), ...about, tail: anyLsn, tailDigest: anyDigest }),
  rewind: fc.record({ kind: fc.constant('rewind'), ...about, after: anyLsn }),
  commit: fc.record({ kind: fc.constant('commit'), ...about, committed: anyLsn }),
  confirm: fc.record({ kind: fc.constant('confirm'), ...toServer }),
  read: fc.record({
    kind: fc.constant('read'),
    ...about,
    from: anyLsn,
    until: anyLsn,
    bytesMax: anyU32,
    purpose: fc.constantFrom('known', 'repair'),
    committed: anyLsn,
  }),
  digest: fc.record({ kind: fc.constant('digest'), ...about, lsn: anyLsn }),
  status: fc.record({ kind: fc.constant('status'), ...toServer }),
  trim: fc.record({ kind: fc.constant('trim'), ...toServer, trimLsn: anyLsn }),
  deleteStream: fc.record({ kind: fc.constant('deleteStream'), ...toServer }),
  report: fc.record({ kind: fc.constant('report'), id: anyNumber }),
  reportIs: fc.record({
    kind: fc.constant('reportIs'),
    id: anyNumber,
    server: anyText,
    identity: anyText,
    diskBytes: anyNumber,
    freeBytes: anyNumber,
    streams: anyU32,
    alarms: anyU32,
  }),
  appended: fc.record({
    kind: fc.constant('appended'),
    ...fromServer,
    segmentEpoch: anyEpoch,
    epoch: anyEpoch,
    acks: fc.array(ack, { maxLength: 4 }),
  }),
  sealed: fc.record({
    kind: fc.constant('sealed'),
    ...fromServer,
    promised: anyEpoch,
    segment: fc.option(segment),
  }),
  segmentState: fc.record({ kind: fc.constant('segmentState'), ...fromServer, epoch: anyEpoch, segment }),
  confirmed: fc.record({ kind: fc.constant('confirmed'), ...fromServer, epoch: anyEpoch }),
  batches: fc.record({
    kind: fc.constant('batches'),
    ...fromServer,
    segmentEpoch: anyEpoch,
    batches,
    committed: anyLsn,
  }),
  digestIs: fc.record({
    kind: fc.constant('digestIs'),
    ...fromServer,
    segmentEpoch: anyEpoch,
    lsn: anyLsn,
    digest: fc.option(anyDigest),
  }),
  statusIs: fc.record({
    kind: fc.constant('statusIs'),
    ...fromServer,
    promised: anyEpoch,
    segments: fc.array(segment, { maxLength: 3 }),
  }),
  trimmed: fc.record({ kind: fc.constant('trimmed'), ...fromServer, trimLsn: anyLsn }),
  deleted: fc.record({ kind: fc.constant('deleted'), ...fromServer }),
  refused: fc.record({
    kind: fc.constant('refused'),
    ...fromServer,
    epoch: anyEpoch,
    segmentEpoch: fc.option(anyEpoch),
    refusal,
  }),
  tail: fc.record({ kind: fc.constant('tail'), id: anyNumber, stream: anyText }),
  tailIs: fc.record({ kind: fc.constant('tailIs'), id: anyNumber, stream: anyText, epoch: anyEpoch, lsn: anyLsn }),
  notLeader: fc.record({ kind: fc.constant('notLeader'), id: anyNumber, stream: anyText, epoch: anyEpoch, leader }),
}

export const messageKinds = Object.keys(anyMessageByKind) as ReplicationMessage['kind'][]
