import { type Epoch, type Lsn, lsn } from '../kernel/identifiers.ts'
import { type BatchHead, type Digest, lastLsnOf } from './batch.ts'
import { type Handled, refused } from './journal-server-answers.ts'
import {
  type Owed,
  type ServerEffect,
  type ServerSegment,
  type ServerStream,
  withSegment,
  writtenDigestOf,
  writtenOf,
} from './journal-server-state.ts'
import type { AppendRequest, Refusal, ServerAnswer } from './messages.ts'
import { rules } from './rules.ts'
import type { Step } from './step.ts'

type ServerStep = Step<ServerStream, ServerEffect>
type AppendEvent = Handled & { readonly request: AppendRequest<BatchHead> }

export function onAppend(state: ServerStream, event: AppendEvent): ServerStep {
  const { request, from, held } = event
  const segment = state.segments.get(request.segmentEpoch)
  if (segment === undefined) return refused(state, event, { reason: 'unknownSegment' })
  const place = placeOf(segment, request.batches, held)
  if ('reason' in place) {
    const step = refused(state, event, place)
    return place.reason === 'conflict'
      ? { state, effects: [{ do: 'alarm', what: conflictText(state, segment, place.lsn) }, ...step.effects] }
      : step
  }
  const fresh = request.batches.slice(place.skip)
  const last = request.batches.at(-1)
  const upTo = last === undefined ? segment.flushed : lastLsnOf(last)
  const owed: Owed = { to: from, id: request.id, epoch: request.epoch, upTo }
  const after: ServerSegment = {
    ...segment,
    unflushed: [...segment.unflushed, ...fresh.map((batch) => ({ lsn: lastLsnOf(batch), digest: batch.digest }))],
    committed: lsn(Math.max(segment.committed, request.committed)),
    owed: [...segment.owed, owed],
    upstream: request.next.length > 0 ? owed : segment.upstream,
  }
  const { segmentEpoch } = segment
  const effects: ServerEffect[] = []
  if (fresh.length > 0) effects.push({ do: 'write', segmentEpoch, skip: place.skip, committed: after.committed })
  const [to, ...next] = request.next
  // The next of the chain gets it while this one flushes: the times do not add up.
  if (to !== undefined) effects.push({ do: 'forward', to, next })
  return settle(withSegment(state, after), segmentEpoch, effects)
}

/** How many of the batches are there already, or why none of them is taken. */
function placeOf(
  segment: ServerSegment,
  batches: readonly BatchHead[],
  held: Digest | null,
): { readonly skip: number } | Refusal {
  const first = batches[0]
  const last = batches.at(-1)
  if (first === undefined || last === undefined) return { skip: 0 }
  if (!isChain(batches)) return { reason: 'malformed', what: 'batches that do not follow on each other' }
  const written = writtenOf(segment)
  if (segment.finishedAt !== null && lastLsnOf(last) > segment.finishedAt)
    return { reason: 'sealed', tail: segment.finishedAt }
  if (first.firstLsn < segment.base) return { reason: 'malformed', what: 'entries before the segment' }
  if (!rules.follows(written, first.firstLsn)) return { reason: 'gap', matched: written }
  const hit = segment.damaged.find(({ from, to }) => from <= lastLsnOf(last) && first.firstLsn <= to)
  if (hit !== undefined) return { reason: 'damaged', from: hit.from, to: hit.to }
  const skip = batches.findIndex((batch) => lastLsnOf(batch) > written)
  // All of it was there: the chain of digests says of the last batch what it says of those before.
  if (skip === -1)
    return rules.isSame(held, last.digest) ? { skip: batches.length } : { reason: 'conflict', lsn: lastLsnOf(last) }
  const next = batches[skip] as BatchHead
  // What is damaged at the end cannot be followed: it has to be dropped first.
  if (writtenDigestOf(segment) === null) return { reason: 'damaged', from: written, to: written }
  const isNext = next.firstLsn > written && rules.isSame(writtenDigestOf(segment), next.prevDigest)
  return isNext ? { skip } : { reason: 'conflict', lsn: written }
}

function isChain(batches: readonly BatchHead[]): boolean {
  return batches.every((batch, index) => {
    const before = batches[index - 1]
    if (before === undefined) return true
    return batch.firstLsn === lastLsnOf(before) + 1 && batch.prevDigest.equals(before.digest)
  })
}

const conflictText = ({ server }: ServerStream, { segmentEpoch }: ServerSegment, at: Lsn): string =>
  `${server} holds something else at entry ${at} of segment ${segmentEpoch} than a leader sends`

export function onFlushed(state: ServerStream, segmentEpoch: Epoch, upTo: Lsn): ServerStep {
  const segment = state.segments.get(segmentEpoch)
  if (segment === undefined) return { state, effects: [] }
  // What was cut off meanwhile is not there, flushed or not.
  const done = segment.unflushed.filter((end) => end.lsn <= upTo)
  const last = done.at(-1)
  const after: ServerSegment = {
    ...segment,
    isFlushing: false,
    flushed: last?.lsn ?? segment.flushed,
    flushedDigest: last?.digest ?? segment.flushedDigest,
    unflushed: segment.unflushed.slice(done.length),
  }
  const isWhole = after.finishedAt !== null && after.flushed >= after.finishedAt
  return settle(withSegment(state, isWhole ? { ...after, atLeast: false } : after), segmentEpoch, [])
}

/** Answers what may be answered by now, and flushes what is not flushed: one flush at a time, which takes all that is written. */
function settle(state: ServerStream, segmentEpoch: Epoch, before: readonly ServerEffect[]): ServerStep {
  const segment = state.segments.get(segmentEpoch) as ServerSegment
  const effects = [...before]
  const due = segment.owed.filter((owed) => rules.mayAcknowledge(owed, state.promised, segment.flushed))
  const needsFlush = segment.unflushed.length > 0 && !segment.isFlushing
  if (needsFlush) effects.push({ do: 'flush', segmentEpoch })
  // Cumulative: of several answers to one peer the last says it all.
  const last = new Map(due.map((owed) => [owed.to, owed]))
  for (const owed of last.values()) effects.push({ do: 'answer', to: owed.to, answer: appended(state, segment, owed) })
  const left: ServerSegment = {
    ...segment,
    isFlushing: segment.isFlushing || needsFlush,
    owed: due.length === 0 ? segment.owed : segment.owed.filter((owed) => !due.includes(owed)),
  }
  return { state: withSegment(state, left), effects }
}

function appended(state: ServerStream, segment: ServerSegment, { id, epoch, upTo }: Owed): ServerAnswer<BatchHead> {
  const { stream, server, identity } = state
  const { segmentEpoch, downstream } = segment
  const own = { server, identity, flushed: lsn(Math.max(segment.flushed, upTo)) }
  return { kind: 'appended', id, stream, server, identity, segmentEpoch, epoch, acks: [own, ...downstream] }
}

/** A chain: acknowledgements and refusals of those behind go on to whom the batches came from. */
export function onDownstream(state: ServerStream, answer: ServerAnswer<BatchHead>): ServerStep {
  if (answer.kind !== 'appended' && answer.kind !== 'refused') return { state, effects: [] }
  const segment = answer.segmentEpoch === null ? undefined : state.segments.get(answer.segmentEpoch)
  if (segment === undefined || segment.upstream === null || segment.upstream.epoch < state.promised)
    return { state, effects: [] }
  const { upstream } = segment
  if (answer.kind === 'refused') return { state, effects: [{ do: 'answer', to: upstream.to, answer }] }
  const known = new Map(segment.downstream.map((ack) => [`${ack.server} ${ack.identity}`, ack]))
  for (const ack of answer.acks) known.set(`${ack.server} ${ack.identity}`, ack)
  const after: ServerSegment = { ...segment, downstream: [...known.values()] }
  const told = appended(state, after, { ...upstream, upTo: segment.flushed })
  return { state: withSegment(state, after), effects: [{ do: 'answer', to: upstream.to, answer: told }] }
}

export function onFull(state: ServerStream, segmentEpoch: Epoch, written: Lsn): ServerStep {
  const segment = state.segments.get(segmentEpoch)
  if (segment === undefined) return { state, effects: [] }
  const { stream, server, identity } = state
  const lost = segment.owed.filter((owed) => owed.upTo > written)
  const after: ServerSegment = {
    ...segment,
    unflushed: segment.unflushed.filter((end) => end.lsn <= written),
    owed: segment.owed.filter((owed) => owed.upTo <= written),
  }
  const refusals = lost.map(({ to, id, epoch }): ServerEffect => {
    const refusal = { reason: 'full' } as const
    const answer = { kind: 'refused', id, stream, server, identity, epoch, segmentEpoch, refusal } as const
    return { do: 'answer', to, answer }
  })
  return settle(withSegment(state, after), segmentEpoch, refusals)
}
