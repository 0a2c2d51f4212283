import type { Channel, ChannelHandlers } from '../ipc/channel.ts'
import {
  type Applied,
  type Attested,
  decodeNumber,
  decodeRefused,
  decodeSubscribed,
  decodeWatermark,
  encodeApplied,
  encodeAttested,
  encodeNumber,
  encodeSubscribe,
  journalFrames,
  type Refused,
  type Subscribed,
  type Watermark,
} from '../ipc/journal-protocol.ts'
import { decodeLeading, type Leading } from '../ipc/leadership.ts'
import { assert } from '../kernel/assert.ts'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import { attest } from './attest.ts'
import { CatchUp } from './catch-up.ts'
import { foldBatch } from './fold-batch.ts'
import type { FollowerOptions } from './follower-role.ts'
import { identityOf, type QueuedBatch, queuedBatchOf } from './queued-batch.ts'
import { resetReason } from './reset-reason.ts'
import { RoomWait } from './room-wait.ts'
import { Standing } from './standing.ts'
import { tellRole } from './tell-role.ts'

export type { FollowerOptions, FollowerRole } from './follower-role.ts'

const reconnectDelayMs = 20

/**
 * What every child runs: follows the journal without a gap, live from the writer and, when it is new, was cut off or
 * too slow, from the segments on disk. Batches are queued in the data callback and reduced in bounded slices, so that
 * no event loop is blocked.
 *
 * I1. Batches reach the role in LSN order, each exactly once, without a gap.
 * I2. `connected` comes only after everything that the writer had written when it accepted us, or came to lead, was applied.
 */
export class Follower {
  readonly #o: FollowerOptions
  #channel: Channel | null = null
  readonly #catchUp: CatchUp
  #queue: QueuedBatch[] = []
  #scheduled = false
  #applied: Lsn
  #lastBatch: QueuedBatch | null = null
  #mark: Watermark
  /** The writer asks for the state's hash after this entry; 0: after none. */
  #attestAt = 0
  #attested: Attested | null = null
  readonly standing: Standing = new Standing()
  #stopped = false
  #nextSequence = 0
  readonly #roomWait: RoomWait

  constructor(options: FollowerOptions) {
    this.#o = options
    this.#catchUp = new CatchUp(options.segments)
    this.#applied = options.after
    this.#roomWait = new RoomWait(options.environment, () => {
      if (this.isWritable) options.role.writable?.()
    })
    const none = lsn(0)
    this.#mark = { written: options.after, flushed: none, applied: none, checkpointWanted: none, storeAgrees: false }
  }

  get applied(): Lsn {
    return this.#applied
  }

  get mark(): Watermark {
    return this.#mark
  }

  /** What it said of its state last. */
  get attested(): Attested | null {
    return this.#attested
  }

  /** Connected to a writer that leads, and caught up with what it had when it accepted us. */
  get isConnected(): boolean {
    return this.standing.state === 'connected'
  }

  get isWritable(): boolean {
    return this.isConnected && this.#channel?.writable === true && !this.#roomWait.isOn
  }

  start(): void {
    this.#connect()
  }

  stop(): void {
    this.#stopped = true
    this.#roomWait.reset()
    this.#catchUp.stop()
    this.#channel?.close()
    this.#channel = null
    this.standing.lost()
  }

  /** The role accepts batches again. */
  resume(): void {
    this.#scheduleDrain()
  }

  /** The number for the next draft; the caller encodes it and sends the drafts in this order. */
  takeSequence(): number {
    const sequence = this.#nextSequence
    this.#nextSequence = (sequence + 1) >>> 0
    return sequence
  }

  /** Drafts that could not be sent are lost; `connected` says when to look for them. */
  sendDrafts(drafts: Buffer): void {
    if (this.#channel === null || drafts.length === 0) return
    this.#channel.send(journalFrames.drafts, drafts)
    this.#channel.flush()
  }

  /** After a refused draft: everything that was built on it is dropped, and the next draft has the next sequence. */
  resumeDrafts(): void {
    this.#channel?.send(journalFrames.resume, encodeNumber(this.#nextSequence))
  }

  sendApplied(applied: Applied): void {
    this.#channel?.send(journalFrames.applied, encodeApplied(applied))
    // Readers wait for it, and the next transaction may take all of the turn.
    this.#channel?.flush()
  }

  /** Asks the writer to seal the current segment; the role's `switched` is called. False while there is no connection. */
  switchSegment(): boolean {
    if (this.#channel === null || !this.isConnected) return false
    this.#channel.send(journalFrames.switchSegment, Buffer.alloc(0))
    this.#channel.flush()
    return true
  }

  /** Asks who of those who follow is alive; the role's `present` is called. */
  callRoll(): void {
    this.#channel?.send(journalFrames.rollCall, Buffer.alloc(0))
  }

  /** Asks how far a linearizable read has to wait; the role's `readPoint` is called. False while there is no connection. */
  askReadPoint(id: number): boolean {
    if (this.#channel === null || !this.standing.isCaughtUp) return false
    this.#channel.send(journalFrames.readPoint, encodeNumber(id))
    this.#channel.flush()
    return true
  }

  sendAttested(at: Lsn, hash: string): void {
    this.#attested = { at, hash }
    this.#channel?.send(journalFrames.attested, encodeAttested(this.#attested))
  }

  #connect(): void {
    if (this.#stopped) return
    this.#o.transport.connect(this.#o.address, (channel) => this.#open(channel))
  }

  #open(channel: Channel): ChannelHandlers {
    this.#channel = channel
    this.#subscribe()
    return {
      frame: (kind, body) => {
        if (this.#channel === channel) this.#frame(channel, kind, body)
      },
      writable: () => {
        if (this.#channel === channel && this.isWritable) this.#o.role.writable?.()
      },
      closed: (error) => {
        if (this.#channel === channel) this.#closed(error)
      },
    }
  }

  #closed(error: CommanderError | null): void {
    this.#channel = null
    this.#catchUp.stop()
    this.#queue = []
    this.#attestAt = 0
    this.#roomWait.reset()
    const was = this.standing.lost()
    if (this.#stopped) return
    if (error?.code === 'state_diverged') return this.#giveUp(error)
    if (was) {
      this.#o.environment.log.warn({ error: error === null ? null : messageOf(error) }, 'the journal writer is gone')
      this.#o.role.disconnected?.()
    }
    this.#o.environment.scheduler.after(reconnectDelayMs, () => {
      if (this.#channel === null) this.#connect()
    })
  }

  #subscribe(): void {
    const { name, origin, ordered, followsFlush } = this.#o
    const place = { from: this.#applied + 1, nextSequence: this.#nextSequence, last: identityOf(this.#lastBatch) }
    const hello = encodeSubscribe({ name, origin, ordered, followsFlush, ...place })
    this.#channel?.send(journalFrames.subscribe, hello)
  }

  #frame(channel: Channel, kind: number, body: Buffer): void {
    if (kind === journalFrames.entries) {
      this.#queue.push(queuedBatchOf(body)) // released when it is applied
      this.#scheduleDrain()
      return
    }
    channel.release(body.length)
    switch (kind) {
      case journalFrames.watermark:
        this.#queueMark(decodeWatermark(body))
        return
      case journalFrames.subscribed:
        this.#subscribed(decodeSubscribed(body))
        return
      case journalFrames.refused:
        this.#refused(decodeRefused(body))
        return
      case journalFrames.room:
        this.#roomWait.end()
        return
      case journalFrames.areYouThere:
        channel.send(journalFrames.here, Buffer.alloc(0))
        return
      case journalFrames.attest:
        this.#attestAt = decodeNumber(body)
        return
      case journalFrames.leading:
        this.#leading(decodeLeading(body))
        return
      case journalFrames.lagged:
        this.#readSegments()
        return
      default:
        if (tellRole(this.#o.role, kind, body)) return
        channel.close(new CommanderError('protocol_violation', `the journal writer sent a frame of kind ${kind}`))
    }
  }

  #refused(refused: Refused): void {
    const { role } = this.#o
    if (role.waitsForRoom === true && refused.error.code === 'journal_full') this.#roomWait.refused()
    role.refused?.(refused)
  }

  #subscribed(answer: Subscribed): void {
    if (answer.mode === 'reset') return this.#giveUp(resetReason(this.#applied, answer))
    const { written, flushed, applied, storeAgrees } = answer
    const mark = { ...this.#mark, written: lsn(written), flushed: lsn(flushed), applied: lsn(applied), storeAgrees }
    this.#mark = mark
    this.standing.accepted(answer.leadership, written)
    if (answer.mode === 'behind') this.#readSegments()
    this.#scheduleDrain()
  }

  #leading({ written, ...leadership }: Leading): void {
    const was = this.standing.state
    this.standing.heard(leadership, written)
    if (leadership.leads) this.resumeDrafts()
    else if (was === 'following') this.#o.role.following?.(leadership)
    this.#scheduleDrain()
  }

  #readSegments(): void {
    const reason = this.#catchUp.begin(this.#queue.at(-1)?.lastLsn ?? this.#applied, this.#applied)
    if (reason === null) this.#scheduleDrain()
    else this.#giveUp(reason)
  }

  #giveUp(reason: CommanderError): void {
    this.stop()
    this.#o.role.reset(reason)
  }

  #queueMark(mark: Watermark): void {
    this.#mark = mark
    this.#scheduleDrain()
  }

  #scheduleDrain(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#o.environment.scheduler.soon(this.#drainDue)
  }

  readonly #drainDue = (): void => {
    this.#scheduled = false
    this.#drain()
  }

  #drain(): void {
    if (this.#stopped) return
    const before = this.#applied
    const { role } = this.#o
    let entries = 0
    let taken = 0
    while (taken < this.#queue.length && entries < limits.reduceSliceEntries && this.#accepts()) {
      const batch = this.#queue[taken++] as QueuedBatch
      entries += batch.lastLsn - batch.firstLsn + 1
      this.#applyBatch(batch)
      if (this.#stopped) return
    }
    if (taken > 0) this.#queue = taken === this.#queue.length ? [] : this.#queue.slice(taken)
    if (this.#queue.length === 0 && this.#catchUp.isUnderWay && this.#accepts()) this.#readSlice()
    if (this.#stopped) return
    if (!this.#catchUp.isUnderWay && this.standing.applied(this.#applied)) this.#caughtUp()
    role.watermark?.(this.#mark)
    if (this.#applied !== before) role.applied?.()
    if ((this.#queue.length > 0 || this.#catchUp.isUnderWay) && this.#accepts()) this.#scheduleDrain()
  }

  #accepts(): boolean {
    return this.#o.role.accepts?.() ?? true
  }

  #caughtUp(): void {
    if (this.isConnected) this.#o.role.connected?.()
    else this.#o.role.following?.(this.standing.leadership)
  }

  #applyBatch(batch: QueuedBatch): void {
    if (batch.lastLsn <= this.#applied) {
      this.#channel?.release(batch.bytes)
      return
    }
    assert(batch.firstLsn === this.#applied + 1, `batch ${batch.firstLsn} follows entry ${this.#applied}`) // I1
    const reason = foldBatch(this.#o.role, batch)
    if (reason !== null) return this.#giveUp(reason)
    this.#applied = batch.lastLsn
    this.#lastBatch = batch
    if (batch.lastLsn === this.#attestAt) attest(this.#o.role, batch.lastLsn, this)
    if (batch.bytes > 0) this.#channel?.release(batch.bytes)
  }

  /** One slice from disk; at its end the writer is asked for what came after. */
  #readSlice(): void {
    const batches = this.#catchUp.slice(this.#applied, this.#mark.written)
    if (!Array.isArray(batches)) return this.#giveUp(batches)
    for (const batch of batches) {
      this.#applyBatch(batch)
      if (this.#stopped) return
    }
    if (batches.length > 0 && this.#applied < this.#mark.written) return
    this.#catchUp.stop()
    this.#subscribe()
  }
}
