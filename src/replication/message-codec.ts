import type { Epoch, Lsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import type { BatchHead, ReplicatedBatch } from './batch.ts'
import type {
  Acknowledgement,
  AppendRequest,
  BatchesAnswer,
  DamagedRange,
  LeaderAnswer,
  Member,
  NotLeaderAnswer,
  Refusal,
  ReportIsAnswer,
  ReportRequest,
  SegmentState,
  ServerAnswer,
  ServerRequest,
  TailRequest,
} from './messages.ts'
import {
  boolean,
  digest,
  type Fields,
  list,
  malformed,
  nullable,
  number,
  record,
  text,
  UnionWire,
  u32,
  union,
  type Wire,
  WireReader,
  WireWriter,
} from './wire.ts'

/** Everything that leaders, journal servers, followers and readers send each other. */
export type ReplicationMessage =
  | ServerRequest
  | ServerAnswer
  | TailRequest
  | LeaderAnswer
  | ReportRequest
  | ReportIsAnswer

/**
 * One frame of a channel: its kind says which message, its body is the fields in the order below, and then the payloads of its
 * batches as they are. Nothing of a payload is copied or looked into.
 */
export interface EncodedMessage {
  readonly kind: number
  readonly body: Buffer[]
}

/** @throws CommanderError protocol_violation for a message over its bounds */
export function encodeMessage(message: ReplicationMessage): EncodedMessage {
  const writer = new WireWriter()
  messages.writeFields(writer, message)
  return { kind: messages.codeOf(message), body: writer.finish() }
}

/** Batches and digests are views into the body. @throws CommanderError protocol_violation */
export function decodeMessage(kind: number, body: Buffer): ReplicationMessage {
  const reader = new WireReader(body)
  const message = messages.readFields(reader, kind)
  reader.finish()
  return message
}

const lsn = number<Lsn>()
const epoch = number<Epoch>()
const name = text(limits.nameBytesMax)
const anyText = text(limits.replicationTextBytesMax)

const members = list<Member>(record<Member>({ id: name, identity: name, address: anyText }), limits.replicasMax)
const acknowledgements = list<Acknowledgement>(
  record<Acknowledgement>({ server: name, identity: name, flushed: lsn }),
  2 * limits.replicasMax,
)
const range = record<DamagedRange>({ from: lsn, to: lsn })
const segment = record<SegmentState>({
  segmentEpoch: epoch,
  base: lsn,
  baseDigest: digest,
  flushed: lsn,
  flushedDigest: nullable(digest),
  committed: lsn,
  atLeast: boolean,
  damaged: list(range, limits.replicationListMax),
  finished: boolean,
})

const head = record<BatchHead & { readonly payloadBytes: number }>({
  firstLsn: lsn,
  entryCount: u32,
  payloadBytes: u32,
  prevDigest: digest,
  digest,
})
const heads = list(head, limits.replicationBatchesMax)

/** The last field of its message: the payloads lie behind everything else. */
const batches: Wire<readonly ReplicatedBatch[]> = {
  write(to, values) {
    heads.write(
      to,
      values.map((batch) => ({ ...batch, payloadBytes: batch.payload.length })),
    )
    for (const { payload } of values) to.parts.push(payload)
  },
  read: (from) =>
    heads.read(from).map(({ payloadBytes, ...batch }) => {
      if (batch.entryCount === 0 || payloadBytes === 0 || payloadBytes % 8 !== 0)
        throw malformed(`a batch of ${batch.entryCount} entries in ${payloadBytes} bytes`)
      const at = from.take(payloadBytes)
      return { ...batch, payload: from.source.subarray(at, at + payloadBytes) }
    }),
}

const refusal = union<Refusal, 'reason'>('reason', {
  fenced: [1, record({ promised: epoch })],
  unknownSegment: [2, record({})],
  gap: [3, record({ matched: lsn })],
  conflict: [4, record({ lsn })],
  sealed: [5, record({ tail: lsn })],
  damaged: [6, record({ from: lsn, to: lsn })],
  trimmed: [7, record({ trimLsn: lsn })],
  full: [8, record({})],
  malformed: [9, record({ what: anyText })],
})

const purpose: Wire<'known' | 'repair'> = {
  write: (to, value) => boolean.write(to, value === 'repair'),
  read: (from) => (boolean.read(from) ? 'repair' : 'known'),
}

const id = number<number>()
const toServer = { id, stream: name, epoch }
const aboutSegment = { ...toServer, segmentEpoch: epoch }
const fromServer = { id, stream: name, server: name, identity: name }
const leader = nullable(record<NonNullable<NotLeaderAnswer['leader']>>({ id: name, address: anyText }))

const appendFields: Fields<Omit<AppendRequest, 'kind'>> = { ...aboutSegment, committed: lsn, next: members, batches }
const batchesFields: Fields<Omit<BatchesAnswer, 'kind'>> = {
  ...fromServer,
  segmentEpoch: epoch,
  committed: lsn,
  batches,
}

const bytes = number<number>()
const reportFields: Fields<Omit<ReportIsAnswer, 'kind'>> = {
  id,
  server: name,
  identity: name,
  diskBytes: bytes,
  freeBytes: bytes,
  streams: u32,
  alarms: u32,
}

const messages = new UnionWire<ReplicationMessage, 'kind'>('kind', {
  openSegment: [1, record({ ...aboutSegment, base: lsn, baseDigest: digest })],
  append: [2, record(appendFields)],
  seal: [3, record(aboutSegment)],
  finish: [4, record({ ...aboutSegment, tail: lsn, tailDigest: digest })],
  rewind: [5, record({ ...aboutSegment, after: lsn })],
  commit: [6, record({ ...aboutSegment, committed: lsn })],
  confirm: [7, record(toServer)],
  read: [8, record({ ...aboutSegment, from: lsn, until: lsn, bytesMax: u32, purpose, committed: lsn })],
  digest: [9, record({ ...aboutSegment, lsn })],
  status: [10, record(toServer)],
  trim: [11, record({ ...toServer, trimLsn: lsn })],
  deleteStream: [12, record(toServer)],
  appended: [33, record({ ...fromServer, segmentEpoch: epoch, epoch, acks: acknowledgements })],
  sealed: [34, record({ ...fromServer, promised: epoch, segment: nullable(segment) })],
  segmentState: [35, record({ ...fromServer, epoch, segment })],
  confirmed: [36, record({ ...fromServer, epoch })],
  batches: [37, record(batchesFields)],
  digestIs: [38, record({ ...fromServer, segmentEpoch: epoch, lsn, digest: nullable(digest) })],
  statusIs: [39, record({ ...fromServer, promised: epoch, segments: list(segment, limits.replicationListMax) })],
  trimmed: [40, record({ ...fromServer, trimLsn: lsn })],
  deleted: [41, record(fromServer)],
  refused: [42, record({ ...fromServer, epoch, segmentEpoch: nullable(epoch), refusal })],
  report: [13, record({ id })],
  reportIs: [43, record(reportFields)],
  tail: [65, record({ id, stream: name })],
  tailIs: [66, record({ id, stream: name, epoch, lsn })],
  notLeader: [67, record({ id, stream: name, epoch, leader })],
})
