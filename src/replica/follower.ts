import type { Channel, ChannelHandlers } from '../ipc/channel.ts'
import {
  type Applied,
  type Attested,
  decodeNumber,
  decodePresent,
  decodeRefused,
  decodeSubscribed,
  decodeSwitched,
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
import { assert } from '../kernel/assert.ts'
import { CommanderError, isCommanderError, messageOf } from '../kernel/errors.ts'
import { type Lsn, lsn, nextLsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import { attest } from './attest.ts'
import { foldBatch } from './fold-batch.ts'
import type { FollowerOptions } from './follower-role.ts'
import { identityOf, type QueuedBatch, queuedBatchOf } from './queued-batch.ts'
import { readSlice } from './read-slice.ts'
import { resetReason, unreadable } from './reset-reason.ts'
import { RoomWait } from './room-wait.ts'
import type { SegmentReader } from './segment-source.ts'

export type { FollowerOptions, FollowerRole } from './follower-role.ts'

const reconnectDelayMs = 20

/**
 * What every child runs: follows the journal without a gap, live from the writer and, when it is new, was cut off or
 * too slow, from the segments on disk. Batches are queued in the data callback and reduced in bounded slices, so that
 * no event loop is blocked.
 *
 * I1. Batches reach the role in LSN order, each exactly once, without a gap.
 * I2. `connected` comes only after everything that the writer had written when it accepted us was applied.
 */
export class Follower {
  readonly #o: FollowerOptions
  #channel: Channel | null = null
  #reader: SegmentReader | null = null
  #queue: QueuedBatch[] = []
  #scheduled = false
  #applied: Lsn
  #lastBatch: QueuedBatch | null = null
  #mark: Watermark
  /** The writer asks for the state's hash after this entry; 0: after none. */
  #attestAt = 0
  #attested: Attested | null = null
  /** Apply up to here before `connected` is told. */
  #connectedAt: Lsn | null = null
  #isConnected = false
  #stopped = false
  #nextSequence = 0
  readonly #roomWait: RoomWait
  readonly #drainDue: () => void

  constructor(options: FollowerOptions) {
    this.#o = options
    this.#applied = options.after
    this.#roomWait = new RoomWait(options.environment, () => {
      if (this.isWritable) options.role.writable?.()
    })
    const none = lsn(0)
    this.#mark = { written: options.after, flushed: none, applied: none, checkpointWanted: none, storeAgrees: false }
    this.#drainDue = () => {
      this.#scheduled = false
      this.#drain()
    }
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

  /** Connected and caught up with what the writer had when it accepted us. */
  get isConnected(): boolean {
    return this.#isConnected
  }

  get isWritable(): boolean {
    return this.#isConnected && this.#channel?.writable === true && !this.#roomWait.isOn
  }

  start(): void {
    this.#connect()
  }

  stop(): void {
    this.#stopped = true
    this.#roomWait.reset()
    this.#reader?.close()
    this.#reader = null
    this.#channel?.close()
    this.#channel = null
    this.#isConnected = false
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
  }

  /** Asks the writer to seal the current segment; the role's `switched` is called. False while there is no connection. */
  switchSegment(): boolean {
    if (this.#channel === null || !this.#isConnected) return false
    this.#channel.send(journalFrames.switchSegment, Buffer.alloc(0))
    this.#channel.flush()
    return true
  }

  /** Asks who of those who follow is alive; the role's `present` is called. */
  callRoll(): void {
    this.#channel?.send(journalFrames.rollCall, Buffer.alloc(0))
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
    this.#reader?.close()
    this.#reader = null
    this.#queue = []
    this.#connectedAt = null
    this.#attestAt = 0
    this.#roomWait.reset()
    const was = this.#isConnected
    this.#isConnected = false
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
      this.#enqueue(queuedBatchOf(body)) // released when it is applied
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
      case journalFrames.present:
        this.#o.role.present?.(decodePresent(body))
        return
      case journalFrames.switched:
        this.#o.role.switched?.(decodeSwitched(body))
        return
      case journalFrames.attest:
        this.#attestAt = decodeNumber(body)
        return
      case journalFrames.lagged:
        this.#readSegments()
        return
      default:
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
    if (!this.#isConnected) this.#connectedAt ??= mark.written
    if (answer.mode === 'behind') this.#readSegments()
    this.#scheduleDrain()
  }

  #readSegments(): void {
    this.#reader?.close()
    this.#reader = null
    try {
      this.#reader = this.#o.segments(nextLsn(this.#queue.at(-1)?.lastLsn ?? this.#applied))
    } catch (error) {
      this.#giveUp(unreadable(this.#applied, error))
      return
    }
    this.#scheduleDrain()
  }

  #giveUp(reason: CommanderError): void {
    this.stop()
    this.#o.role.reset(reason)
  }

  #enqueue(batch: QueuedBatch): void {
    this.#queue.push(batch)
    this.#scheduleDrain()
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
    if (this.#queue.length === 0 && this.#reader !== null && this.#accepts()) this.#readSlice(this.#reader)
    if (this.#stopped) return
    if (this.#connectedAt !== null && this.#applied >= this.#connectedAt && this.#reader === null) this.#nowConnected()
    role.watermark?.(this.#mark)
    if (this.#applied !== before) role.applied?.()
    if ((this.#queue.length > 0 || this.#reader !== null) && this.#accepts()) this.#scheduleDrain()
  }

  #accepts(): boolean {
    return this.#o.role.accepts?.() ?? true
  }

  #nowConnected(): void {
    this.#connectedAt = null
    this.#isConnected = true
    this.#o.role.connected?.()
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
  #readSlice(reader: SegmentReader): void {
    const batches = readSlice(reader, this.#applied, this.#mark.written)
    if (isCommanderError(batches)) return this.#giveUp(batches)
    for (const batch of batches) {
      this.#applyBatch(batch)
      if (this.#stopped) return
    }
    if (batches.length > 0 && this.#applied < this.#mark.written) return
    reader.close()
    this.#reader = null
    this.#subscribe()
  }
}
