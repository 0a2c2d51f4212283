import { unreachable } from '../kernel/assert.ts'
import { type CommanderError, isCommanderError } from '../kernel/errors.ts'
import { type Epoch, type Lsn, lsn } from '../kernel/identifiers.ts'
import type { BatchHead } from './batch.ts'
import { stepServer } from './journal-server.ts'
import {
  lsnAskedOf,
  newServerSegment,
  newServerStream,
  type Sender,
  type ServerEffect,
  type ServerEvent,
  type ServerSegment,
  type ServerStream,
} from './journal-server-state.ts'
import type { AppendRequest, Member, Refusal, ServerAnswer, ServerRequest } from './messages.ts'
import { refusalOf } from './request-check.ts'
import type { SegmentSummary, ServerLog } from './server-log.ts'

/** What a stream needs of its server. */
export interface StreamSurroundings {
  readonly log: ServerLog
  answer(to: Sender, answer: ServerAnswer): void
  forward(to: Member, request: AppendRequest): void
  read(read: ReadEffect, request: ServerRequest): void
  alarm(stream: string, what: string): void
  /** A flush has ended, and what it brought about is done. */
  flushed(stream: string, segmentEpoch: Epoch): void
  /** The log works no more. */
  failed(error: CommanderError): void
}

export type ReadEffect = ServerEffect & { readonly do: 'read' }

/**
 * One stream on a journal server: the pure machine, and its effects carried out on the log.
 * H1 All effects of an event are carried out before the next one, in their order; only a flush ends later.
 * H2 What the log could not do for want of room the machine has not done either.
 */
export class HostedStream {
  state: ServerStream
  private readonly surroundings: StreamSurroundings
  private isDeleted = false

  constructor(stream: string, surroundings: StreamSurroundings) {
    const { log } = surroundings
    const { serverId, identity } = log.identity
    this.surroundings = surroundings
    this.state = newServerStream(stream, serverId, identity, log.promised(stream), log.segments(stream).map(foundIn))
  }

  /** There is something of it on the disk. */
  get isStored(): boolean {
    return !this.isDeleted && this.surroundings.log.promised(this.state.stream) > 0
  }

  request(from: Sender, request: ServerRequest): void {
    const { log } = this.surroundings
    const segment = 'segmentEpoch' in request ? this.summaryOf(request.segmentEpoch) : undefined
    const asked = lsnAskedOf(request)
    const held = asked === null || segment === undefined ? null : log.digestAt(this.state.stream, segment.epoch, asked)
    // whoever is fenced is told that, whatever else is wrong
    const refusal = request.epoch < this.state.promised ? null : refusalOf(request, { log, segment, held })
    if (refusal !== null) return this.refuse(from, request, refusal)
    this.take({ kind: 'request', from, request, held }, request)
  }

  /** Of a server that batches were passed on to. */
  answered(answer: ServerAnswer): void {
    this.take({ kind: 'answer', answer }, null)
  }

  damaged(segmentEpoch: Epoch, range: { readonly from: Lsn; readonly to: Lsn }): void {
    this.take({ kind: 'damaged', segmentEpoch, range }, null)
  }

  refuse(to: Sender, request: ServerRequest, refusal: Refusal): void {
    const { stream, server, identity } = this.state
    const { id, epoch } = request
    const segmentEpoch = 'segmentEpoch' in request ? request.segmentEpoch : null
    const answer = { kind: 'refused', id, stream, server, identity, epoch, segmentEpoch, refusal } as const
    this.surroundings.answer(to, answer)
  }

  private take(event: ServerEvent, request: ServerRequest | null): void {
    const before = this.state
    const { state, effects } = stepServer(before, event)
    this.state = state
    let full: Epoch | null = null
    try {
      const finish = request?.kind === 'finish' ? this.finishOf(request.segmentEpoch) : null
      let isFinished = finish === null
      for (const effect of effects) {
        if (!isFinished && effect.do !== 'promise') {
          finish?.()
          isFinished = true
        }
        if (!this.carryOut(effect, request))
          full = request !== null && 'segmentEpoch' in request ? request.segmentEpoch : null
      }
    } catch (error) {
      this.undo(before, event, error)
      return
    }
    if (full !== null)
      this.take({ kind: 'full', segmentEpoch: full, written: this.summaryOf(full)?.tail ?? lsn(0) }, null)
  }

  /** Where a segment ends is to be known after a restart, too: before anything is answered. */
  private finishOf(segmentEpoch: Epoch): (() => void) | null {
    const tail = this.state.segments.get(segmentEpoch)?.finishedAt ?? null
    const summary = this.summaryOf(segmentEpoch)
    if (tail === null || summary === undefined || summary.finished === tail) return null
    return () => this.surroundings.log.finish(this.state.stream, segmentEpoch, tail)
  }

  /** False when there was no room to write the batches. */
  private carryOut(effect: ServerEffect, request: ServerRequest | null): boolean {
    const { surroundings } = this
    const { log } = surroundings
    const { stream } = this.state
    switch (effect.do) {
      case 'promise':
        log.promise(stream, effect.epoch)
        break
      case 'createSegment':
        log.createSegment(stream, { epoch: effect.segmentEpoch, base: effect.base, baseDigest: effect.baseDigest })
        break
      case 'write':
        return this.write(effect, request as AppendRequest)
      case 'forward':
        surroundings.forward(effect.to, { ...(request as AppendRequest), next: effect.next })
        break
      case 'flush':
        this.flush(effect.segmentEpoch)
        break
      case 'truncate':
        log.truncate(stream, effect.segmentEpoch, effect.after)
        break
      case 'dropSegments':
        log.dropSegments(stream, effect.before)
        break
      case 'deleteStream':
        this.isDeleted = true
        log.deleteStream(stream)
        break
      case 'read':
        surroundings.read(effect, request as ServerRequest)
        break
      case 'answer':
        // the machine makes no answers with batches: those come of reads
        surroundings.answer(effect.to, effect.answer as ServerAnswer<BatchHead> as ServerAnswer)
        break
      case 'alarm':
        surroundings.alarm(stream, effect.what)
        break
      default:
        return unreachable(effect)
    }
    return true
  }

  private write(
    { segmentEpoch, skip, committed }: ServerEffect & { do: 'write' },
    { batches }: AppendRequest,
  ): boolean {
    try {
      this.surroundings.log.append(this.state.stream, segmentEpoch, batches.slice(skip), committed)
      return true
    } catch (error) {
      // found damaged just now: the next one is told so
      if (isCommanderError(error) && (error.code === 'journal_full' || error.code === 'journal_corrupt')) return false
      throw error
    }
  }

  private flush(segmentEpoch: Epoch): void {
    const { log, flushed: tell, failed } = this.surroundings
    const { stream } = this.state
    log.flush(stream, segmentEpoch, (flushed, error) => {
      if (error !== null) return failed(error)
      if (!this.isDeleted) this.take({ kind: 'flushed', segmentEpoch, flushed }, null)
      tell(stream, segmentEpoch)
    })
  }

  /** H2. What of a promise has been made stays made. */
  private undo(before: ServerStream, event: ServerEvent, error: unknown): void {
    const { log, failed } = this.surroundings
    if (!isCommanderError(error)) throw error
    const refusal = refusalBecause(error)
    if (refusal === null || event.kind !== 'request') return failed(error)
    this.state = { ...before, promised: log.promised(before.stream) }
    this.refuse(event.from, event.request as ServerRequest, refusal)
  }

  private summaryOf(segmentEpoch: Epoch): SegmentSummary | undefined {
    return this.surroundings.log.segments(this.state.stream).find(({ epoch }) => epoch === segmentEpoch)
  }
}

function refusalBecause({ code, details }: CommanderError): Refusal | null {
  if (code === 'journal_full') return { reason: 'full' }
  if (code !== 'journal_corrupt') return null
  const { from, to, lsn: at = lsn(0) } = details as { readonly from?: Lsn; readonly to?: Lsn; readonly lsn?: Lsn }
  return { reason: 'damaged', from: from ?? at, to: to ?? at }
}

/** At the start everything that is there is flushed. */
const foundIn = (segment: SegmentSummary): ServerSegment => ({
  ...newServerSegment({
    segmentEpoch: segment.epoch,
    base: segment.base,
    baseDigest: segment.baseDigest,
    flushed: segment.flushed,
    flushedDigest: segment.tailDigest,
    // what was told to be the end is committed
    committed: lsn(Math.max(segment.committed, segment.finished ?? 0)),
    atLeast: segment.atLeast,
    damaged: segment.damaged,
  }),
  finishedAt: segment.finished,
})
