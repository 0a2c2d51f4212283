import type { Channel, ChannelHandlers, Transport } from '../ipc/channel.ts'
import type { Environment } from '../kernel/environment.ts'
import { asCommanderError, CommanderError, isCommanderError } from '../kernel/errors.ts'
import type { Epoch } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import { lastLsnOf } from './batch.ts'
import { ChainLinks } from './chain-links.ts'
import type { DiskUse } from './disk-use-adapter.ts'
import { HeldReads } from './held-reads.ts'
import { HostedStream, type ReadEffect } from './hosted-stream.ts'
import type { Sender, ServerSegment } from './journal-server-state.ts'
import { decodeMessage, encodeMessage, type ReplicationMessage } from './message-codec.ts'
import type { ReadRequest, ReportIsAnswer, ServerAnswer, ServerRequest } from './messages.ts'
import { rules } from './rules.ts'
import type { ServerLog } from './server-log.ts'
import { ServerPeer } from './server-peer.ts'

export interface JournalServerShellOptions {
  readonly log: ServerLog
  readonly environment: Environment
  /** To the next servers of chains. */
  readonly transport: Transport
  /** The log works no more: the process must end. */
  readonly failed: (error: CommanderError) => void
  /** What its directory takes on its disk. Default: it does not know. */
  readonly diskUse?: () => DiskUse
  /** How long a read waits for entries that are not committed yet. Default 1000. */
  readonly readWaitMs?: number
}

const readWaitMsDefault = 1000
const unknownUse: DiskUse = { diskBytes: 0, freeBytes: 0 }

/**
 * A journal server: takes requests from leaders, candidates, servers before it in a chain and readers, lets the pure machine of the
 * stream decide, and carries out what it decides on the log.
 *
 * J1 Nothing is acknowledged before it is flushed; one flush of a segment at a time, what comes meanwhile shares the next one.
 * J2 What a peer has sent counts against its window until it is flushed, what it is sent until it has taken it: nothing here is unbounded.
 * J3 Once the log has failed nothing is answered any more.
 */
export class JournalServerShell {
  /** Alarms since the start: somebody must look. */
  alarms = 0
  private readonly options: JournalServerShellOptions
  private readonly streams = new Map<string, HostedStream>()
  private readonly peers = new Map<Sender, ServerPeer>()
  private readonly reads: HeldReads
  private readonly chain: ChainLinks
  private isOver = false

  constructor(options: JournalServerShellOptions) {
    const { log, environment, transport } = options
    this.options = options
    this.reads = new HeldReads(environment.scheduler, options.readWaitMs ?? readWaitMsDefault)
    this.chain = new ChainLinks(transport, environment, (answer) => this.guarded(() => this.passOn(answer)))
    for (const stream of log.streams()) this.streams.set(stream, this.host(stream))
  }

  /** For the listener. */
  readonly accept = (channel: Channel): ChannelHandlers => {
    const from: Sender = `${channel.id}`
    const peer = new ServerPeer(channel)
    this.peers.set(from, peer)
    return {
      frame: (kind, body) => this.frame(from, peer, kind, body),
      writable: () => this.guarded(() => peer.drain()),
      closed: () => {
        this.peers.delete(from)
        this.reads.drop(from)
      },
    }
  }

  /** Answers nothing more. The log is its owner's to close. */
  stop(): void {
    this.isOver = true
    this.reads.close()
    this.chain.close()
    for (const peer of this.peers.values()) peer.channel.close()
  }

  private frame(from: Sender, peer: ServerPeer, kind: number, body: Buffer): void {
    if (this.isOver) return
    let request: ServerRequest
    try {
      const message = decodeMessage(kind, body)
      if (message.kind === 'report') {
        peer.release(body.length)
        this.report(from, message.id)
        return
      }
      request = requestOf(message)
    } catch (error) {
      peer.channel.close(asCommanderError(error))
      return
    }
    this.guarded(() => {
      this.streamOf(request.stream, (hosted) => {
        hosted.request(from, request)
        if (!('segmentEpoch' in request)) return peer.release(body.length)
        this.wake(hosted, request.segmentEpoch)
        this.keepUntilFlushed(peer, request, body.length, hosted.state.segments.get(request.segmentEpoch))
      })
    })
  }

  /** J2. */
  private keepUntilFlushed(
    peer: ServerPeer,
    request: ServerRequest & { readonly segmentEpoch: Epoch },
    bytes: number,
    segment: ServerSegment | undefined,
  ): void {
    const last = request.kind === 'append' ? request.batches.at(-1) : undefined
    if (last === undefined || segment === undefined || !segment.isFlushing) return peer.release(bytes)
    peer.keep(request.stream, request.segmentEpoch, { upTo: lastLsnOf(last), bytes })
  }

  /** One that nothing was stored of is not remembered: anybody may ask for any. */
  private streamOf(stream: string, run: (hosted: HostedStream) => void): void {
    const hosted = this.streams.get(stream) ?? this.host(stream)
    run(hosted)
    if (hosted.isStored) this.streams.set(stream, hosted)
    else this.streams.delete(stream)
  }

  private host(stream: string): HostedStream {
    return new HostedStream(stream, {
      log: this.options.log,
      answer: (to, answer) => this.answer(to, answer),
      forward: (to, request) => this.chain.send(to, request),
      read: (read, request) => this.read(read, request as ReadRequest),
      alarm: (of, what) => {
        this.alarms++
        this.options.environment.log.error({ stream: of }, `ALARM: ${what}`)
      },
      flushed: (of, segmentEpoch) => this.guarded(() => this.flushed(of, segmentEpoch)),
      failed: (error) => this.fail(error),
    })
  }

  private passOn(answer: ServerAnswer): void {
    this.streams.get(answer.stream)?.answered(answer)
  }

  private flushed(stream: string, segmentEpoch: Epoch): void {
    const hosted = this.streams.get(stream)
    const segment = hosted?.state.segments.get(segmentEpoch)
    const upTo = segment?.isFlushing ? segment.flushed : Number.POSITIVE_INFINITY
    for (const peer of this.peers.values()) {
      peer.flushed(stream, segmentEpoch, upTo)
      peer.channel.flush()
    }
    if (hosted !== undefined) this.wake(hosted, segmentEpoch)
  }

  private report(to: Sender, id: number): void {
    const { log, diskUse } = this.options
    const { serverId: server, identity } = log.identity
    const use = diskUse?.() ?? unknownUse
    const { alarms } = this
    this.answer(to, { kind: 'reportIs', id, server, identity, ...use, streams: this.streams.size, alarms })
  }

  private answer(to: Sender, answer: ServerAnswer | ReportIsAnswer): void {
    const peer = this.peers.get(to)
    if (peer === undefined || this.isOver) return
    const { kind, body } = encodeMessage(answer)
    peer.channel.send(kind, ...body)
  }

  private read(read: ReadEffect, request: ReadRequest, mayWait = true): void {
    const peer = this.peers.get(read.to)
    if (peer === undefined || this.isOver) return
    if (!peer.channel.writable) return peer.defer(() => this.read(read, request, mayWait))
    const hosted = this.streams.get(request.stream)
    const segment = hosted?.state.segments.get(read.segmentEpoch)
    const isEmpty = read.until < read.from
    const mayCome = segment !== undefined && (segment.finishedAt ?? Number.POSITIVE_INFINITY) >= read.from
    if (isEmpty && mayCome && mayWait && request.purpose === 'known') {
      const over = (): void => this.guarded(() => this.read(read, request, false))
      if (this.reads.hold(read.to, request, over)) return
    }
    this.answerRead(read, request)
  }

  private answerRead(read: ReadEffect, request: ReadRequest): void {
    const { log } = this.options
    const { segmentEpoch, from, until, committed, to, id } = read
    const { stream } = request
    try {
      const bytesMax = Math.min(read.bytesMax, limits.replicationReadBytesMax)
      const found = until < from ? [] : log.read(stream, segmentEpoch, from, until, bytesMax)
      const batches = found.filter((batch) => lastLsnOf(batch) <= until)
      const { serverId: server, identity } = log.identity
      this.answer(to, { kind: 'batches', id, stream, server, identity, segmentEpoch, batches, committed })
    } catch (error) {
      this.readFailed(read, request, error)
    }
  }

  private readFailed({ to, segmentEpoch }: ReadEffect, request: ReadRequest, error: unknown): void {
    const hosted = this.streams.get(request.stream)
    if (hosted === undefined || !isCommanderError(error)) throw error
    if (error.code === 'log_trimmed') {
      hosted.refuse(to, request, { reason: 'trimmed', ...(error.details as { trimLsn: ReadRequest['from'] }) })
      return
    }
    if (error.code !== 'journal_corrupt') throw error
    const range = error.details as { readonly from: ReadRequest['from']; readonly to: ReadRequest['from'] }
    hosted.damaged(segmentEpoch, range)
    hosted.refuse(to, request, { reason: 'damaged', ...range })
  }

  /** More is committed, or the segment has ended: answers those who wait for it. */
  private wake(hosted: HostedStream, segmentEpoch: Epoch): void {
    const segment = hosted.state.segments.get(segmentEpoch)
    const upTo = segment === undefined ? null : rules.readableUpTo(segment.committed, segment.flushed)
    const isDue = ({ from }: ReadRequest): boolean =>
      segment === undefined || upTo === null || from <= upTo || from > (segment.finishedAt ?? Number.POSITIVE_INFINITY)
    for (const { from, request } of this.reads.take(hosted.state.stream, segmentEpoch, isDue))
      hosted.request(from, request)
  }

  /** J3. */
  private guarded(run: () => void): void {
    if (this.isOver) return
    try {
      run()
    } catch (error) {
      // a mistake in this program too: what is half done must not go on
      this.fail(asCommanderError(error))
    }
  }

  private fail(error: CommanderError): void {
    if (this.isOver) return
    this.isOver = true
    for (const peer of this.peers.values()) peer.channel.close(error)
    this.options.failed(error)
  }
}

function requestOf(message: ReplicationMessage): ServerRequest {
  if (!('epoch' in message) || 'server' in message || message.kind === 'tailIs' || message.kind === 'notLeader')
    throw new CommanderError('protocol_violation', `a journal server takes requests, and no ${message.kind}`)
  return message
}
