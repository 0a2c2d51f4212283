import { unreachable } from '../kernel/assert.ts'
import { type Epoch, type Lsn, lsn } from '../kernel/identifiers.ts'
import type { BatchHead } from './batch.ts'
import { type Handled, refused, segmentStateAnswer } from './journal-server-answers.ts'
import { onAppend, onDownstream, onFlushed, onFull } from './journal-server-append.ts'
import {
  newServerSegment,
  type ServerEffect,
  type ServerEvent,
  type ServerSegment,
  type ServerStream,
  stateOf,
  withSegment,
  writtenOf,
} from './journal-server-state.ts'
import type {
  CommitRequest,
  FinishRequest,
  OpenSegmentRequest,
  ReadRequest,
  RewindRequest,
  SealRequest,
  ServerRequest,
  TrimRequest,
} from './messages.ts'
import { rules } from './rules.ts'
import { inTurn, type Step } from './step.ts'

type ServerStep = Step<ServerStream, ServerEffect>
type RequestEvent<Request extends ServerRequest<BatchHead>> = Handled & { readonly request: Request }

/**
 * One journal server, one stream. It stores, promises, seals and answers, and decides about nothing that others have to
 * agree on.
 *
 * | request | condition | what is done |
 * |---|---|---|
 * | any but of readers | epoch below the promise | refused: fenced |
 * | openSegment, append, seal, finish, rewind | epoch above the promise | the promise is raised first, durably (I4) |
 * | append | unknown segment; nothing before it; other digest; above the tail | refused, nothing is overwritten (I2, I3) |
 * | append | else | written, passed on in a chain, flushed, acknowledged if the promise still allows it (I5, I6) |
 * | seal | | older epochs get no more acknowledgements, what is there is told, damage too (I14) |
 * | finish | | what lies above the tail is dropped, the rest is committed |
 * | read | | committed entries (I11); for repair, whatever is there |
 */
export function stepServer(state: ServerStream, event: ServerEvent): ServerStep {
  switch (event.kind) {
    case 'request':
      return onRequest(state, event)
    case 'answer':
      return onDownstream(state, event.answer)
    case 'flushed':
      return onFlushed(state, event.segmentEpoch, event.flushed)
    case 'full':
      return onFull(state, event.segmentEpoch, event.written)
    case 'damaged':
      return onDamaged(state, event)
    default:
      return unreachable(event)
  }
}

function onRequest(state: ServerStream, event: Handled): ServerStep {
  const { request } = event
  if (!needsLeave(request)) return handle(state, event)
  if (!rules.admits(state.promised, request.epoch)) return fenced(state, event)
  if (!raisesPromise(request) || !rules.mustPromise(state.promised, request.epoch)) return handle(state, event)
  return inTurn(
    state,
    (before) => promise(before, request.epoch),
    (after) => handle(after, event),
  )
}

const needsLeave = (request: ServerRequest<BatchHead>): boolean =>
  request.kind !== 'status' && request.kind !== 'digest' && !(request.kind === 'read' && request.purpose === 'known')

const raisesPromise = ({ kind }: ServerRequest<BatchHead>): boolean =>
  kind === 'openSegment' || kind === 'append' || kind === 'seal' || kind === 'finish' || kind === 'rewind'

const fenced = (state: ServerStream, event: Handled): ServerStep =>
  refused(state, event, { reason: 'fenced', promised: state.promised })

/** I4, I5: durable first; whoever waits under an older epoch is told at once that there will be no acknowledgement. */
function promise(state: ServerStream, epoch: Epoch): ServerStep {
  const effects: ServerEffect[] = [{ do: 'promise', epoch }]
  const segments = new Map(state.segments)
  for (const segment of state.segments.values()) {
    const stale = segment.owed.filter((owed) => !rules.mayAcknowledge(owed, epoch, owed.upTo))
    if (stale.length === 0) continue
    const segmentEpoch = segment.segmentEpoch
    segments.set(segmentEpoch, { ...segment, owed: segment.owed.filter((owed) => !stale.includes(owed)) })
    for (const { to, id, epoch: ofOwed } of stale) {
      const { stream, server, identity } = state
      const refusal = { reason: 'fenced', promised: epoch } as const
      const answer = { kind: 'refused', id, stream, server, identity, epoch: ofOwed, segmentEpoch, refusal } as const
      effects.push({ do: 'answer', to, answer })
    }
  }
  return { state: { ...state, promised: epoch, segments }, effects }
}

function handle(state: ServerStream, event: Handled): ServerStep {
  const { request, from } = event
  const { stream, server, identity } = state
  const header = { id: request.id, stream, server, identity }
  const answer = (content: (ServerEffect & { readonly do: 'answer' })['answer']): ServerStep => ({
    state,
    effects: [{ do: 'answer', to: from, answer: content }],
  })
  switch (request.kind) {
    case 'openSegment':
      return onOpenSegment(state, { ...event, request })
    case 'append':
      return onAppend(state, { ...event, request })
    case 'seal':
      return onSeal(state, { ...event, request })
    case 'finish':
      return onFinish(state, { ...event, request })
    case 'rewind':
      return onRewind(state, { ...event, request })
    case 'commit':
      return onCommit(state, { ...event, request })
    case 'confirm':
      return answer({ ...header, kind: 'confirmed', epoch: request.epoch })
    case 'read':
      return onRead(state, { ...event, request })
    case 'digest':
      return answer({
        ...header,
        kind: 'digestIs',
        segmentEpoch: request.segmentEpoch,
        lsn: request.lsn,
        digest: event.held,
      })
    case 'status': {
      const segments = [...state.segments.values()].map(stateOf)
      return answer({ ...header, kind: 'statusIs', promised: state.promised, segments })
    }
    case 'trim':
      return onTrim(state, { ...event, request })
    case 'deleteStream':
      return {
        state: { ...state, segments: new Map() },
        effects: [{ do: 'deleteStream' }, { do: 'answer', to: from, answer: { ...header, kind: 'deleted' } }],
      }
    default:
      return unreachable(request)
  }
}

function onOpenSegment(state: ServerStream, event: RequestEvent<OpenSegmentRequest>): ServerStep {
  const { segmentEpoch, base, baseDigest, epoch } = event.request
  const known = state.segments.get(segmentEpoch)
  if (known === undefined) {
    if (segmentEpoch > epoch) return refused(state, event, { reason: 'malformed', what: 'a segment of a later epoch' })
    const segment = newServerSegment({ segmentEpoch, base, baseDigest })
    return {
      state: withSegment(state, segment),
      effects: [{ do: 'createSegment', segmentEpoch, base, baseDigest }, segmentStateAnswer(state, event, segment)],
    }
  }
  if (known.base !== base || !rules.isSame(known.baseDigest, baseDigest))
    return conflict(state, event, base, `segment ${segmentEpoch} begins elsewhere here`)
  return { state, effects: [segmentStateAnswer(state, event, known)] }
}

function onSeal(state: ServerStream, { request, from }: RequestEvent<SealRequest>): ServerStep {
  const { stream, server, identity } = state
  const { epoch: promised } = request
  const segment = state.segments.get(request.segmentEpoch)
  const told = segment === undefined ? null : stateOf(segment)
  const answer = { kind: 'sealed', id: request.id, stream, server, identity, promised, segment: told } as const
  return { state, effects: [{ do: 'answer', to: from, answer }] }
}

function onFinish(state: ServerStream, event: RequestEvent<FinishRequest>): ServerStep {
  const { segmentEpoch, tail, tailDigest } = event.request
  const segment = state.segments.get(segmentEpoch)
  if (segment === undefined) return refused(state, event, { reason: 'unknownSegment' })
  const known = segment.finishedAt
  if (known !== null && known !== tail) return conflict(state, event, tail, `segment ${segmentEpoch} ends at ${known}`)
  const written = writtenOf(segment)
  const isDamaged = segment.damaged.some(({ from, to }) => from <= tail && tail <= to)
  const held = tail === segment.base - 1 ? segment.baseDigest : event.held
  if (written >= tail && !isDamaged && !rules.isSame(held, tailDigest))
    return conflict(state, event, tail, `segment ${segmentEpoch} has another digest at its tail ${tail}`)
  const isWhole = written >= tail
  const finished: ServerSegment = {
    ...segment,
    finishedAt: tail,
    committed: tail,
    atLeast: segment.atLeast && !isWhole,
  }
  const after = written > tail ? cutTo(finished, tail, isDamaged ? null : tailDigest) : finished
  const effects: ServerEffect[] = written > tail ? [{ do: 'truncate', segmentEpoch, after: tail }] : []
  return { state: withSegment(state, after), effects: [...effects, segmentStateAnswer(state, event, after)] }
}

function onRewind(state: ServerStream, event: RequestEvent<RewindRequest>): ServerStep {
  const { segmentEpoch, after } = event.request
  const segment = state.segments.get(segmentEpoch)
  if (segment === undefined) return refused(state, event, { reason: 'unknownSegment' })
  const first = segment.damaged[0]
  // Only what is damaged is taken again: a request that came late finds it whole, and drops nothing.
  if (first === undefined || after >= first.from || writtenOf(segment) <= after)
    return { state, effects: [segmentStateAnswer(state, event, segment)] }
  const digest = after === segment.base - 1 ? segment.baseDigest : event.held
  const cut = { ...cutTo(segment, after, digest), atLeast: true }
  return {
    state: withSegment(state, cut),
    effects: [{ do: 'truncate', segmentEpoch, after }, segmentStateAnswer(state, event, cut)],
  }
}

/** Without what lies above. */
function cutTo(segment: ServerSegment, after: Lsn, digest: ServerSegment['flushedDigest']): ServerSegment {
  const isFlushed = segment.flushed >= after
  return {
    ...segment,
    flushed: isFlushed ? after : segment.flushed,
    flushedDigest: isFlushed ? digest : segment.flushedDigest,
    unflushed: segment.unflushed.filter((end) => end.lsn <= after),
    damaged: segment.damaged.flatMap(({ from, to }) => (from > after ? [] : [{ from, to: lsn(Math.min(to, after)) }])),
    owed: segment.owed.filter((owed) => owed.upTo <= after),
  }
}

function onCommit(state: ServerStream, event: RequestEvent<CommitRequest>): ServerStep {
  const { segmentEpoch, committed } = event.request
  const segment = state.segments.get(segmentEpoch)
  if (segment === undefined) return refused(state, event, { reason: 'unknownSegment' })
  const after = { ...segment, committed: lsn(Math.max(segment.committed, committed)) }
  return { state: withSegment(state, after), effects: [segmentStateAnswer(state, event, after)] }
}

function onRead(state: ServerStream, event: RequestEvent<ReadRequest>): ServerStep {
  const { segmentEpoch, from, until, bytesMax, purpose, id } = event.request
  const segment = state.segments.get(segmentEpoch)
  if (segment === undefined) {
    const { trimLsn } = state
    return refused(state, event, from <= trimLsn ? { reason: 'trimmed', trimLsn } : { reason: 'unknownSegment' })
  }
  if (from < segment.base) return refused(state, event, { reason: 'malformed', what: 'read before the segment' })
  const hint = lsn(Math.max(segment.committed, event.request.committed))
  const most = purpose === 'repair' ? segment.flushed : rules.readableUpTo(hint, segment.flushed)
  const hit = segment.damaged.find((range) => range.to >= from && range.from <= most)
  if (hit !== undefined && hit.from <= from) return refused(state, event, { reason: 'damaged', ...hit })
  const whole = hit === undefined ? most : hit.from - 1
  const limit = lsn(Math.min(until, whole))
  const read = { do: 'read', to: event.from, id, segmentEpoch, from, until: limit, bytesMax, committed: hint } as const
  return { state, effects: [read] }
}

function onTrim(state: ServerStream, { request, from }: RequestEvent<TrimRequest>): ServerStep {
  const { stream, server, identity } = state
  const trimLsn = lsn(Math.max(state.trimLsn, request.trimLsn))
  const newest = Math.max(...state.segments.keys())
  const kept = [...state.segments].filter(([epoch, segment]) => epoch === newest || writtenOf(segment) > trimLsn)
  const answer = { kind: 'trimmed', id: request.id, stream, server, identity, trimLsn } as const
  const drop: ServerEffect[] =
    kept.length < state.segments.size ? [{ do: 'dropSegments', before: lsn(trimLsn + 1) }] : []
  return {
    state: { ...state, trimLsn, segments: new Map(kept) },
    effects: [...drop, { do: 'answer', to: from, answer }],
  }
}

function onDamaged(state: ServerStream, event: ServerEvent & { readonly kind: 'damaged' }): ServerStep {
  const segment = state.segments.get(event.segmentEpoch)
  if (segment === undefined) return { state, effects: [] }
  const damaged = [...segment.damaged, event.range].sort((a, b) => a.from - b.from)
  const { from, to } = event.range
  const what = `${state.server} has lost entries ${from} to ${to} of segment ${event.segmentEpoch} to its disk`
  return { state: withSegment(state, { ...segment, damaged }), effects: [{ do: 'alarm', what }] }
}

function conflict(state: ServerStream, event: Handled, at: Lsn, what: string): ServerStep {
  const step = refused(state, event, { reason: 'conflict', lsn: at })
  return { state, effects: [{ do: 'alarm', what: `${state.server}: ${what}` }, ...step.effects] }
}
