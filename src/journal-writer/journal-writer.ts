import type { Channel, ChannelHandlers } from '../ipc/channel.ts'
import {
  type Applied,
  decodeApplied,
  decodeAttested,
  decodeNumber,
  decodeSubscribe,
  encodeEntriesHeader,
  encodeSubscribed,
  encodeSwitched,
  encodeWatermark,
  journalFrames,
  type Subscribe,
} from '../ipc/journal-protocol.ts'
import { CommanderError, isCommanderError, messageOf } from '../kernel/errors.ts'
import { type Lsn, lsn, nextLsn } from '../kernel/identifiers.ts'
import { Attestation, applierName, type Divergence } from './attestation.ts'
import { Bridge } from './bridge.ts'
import { DraftInbox, type Drafts, draftTooLarge } from './draft-inbox.ts'
import { DraftIntake, type GatheredBatch } from './draft-intake.ts'
import { FlushSchedule } from './flush-schedule.ts'
import { FullSpell } from './full-spell.ts'
import type { JournalWriterOptions } from './journal-writer-options.ts'
import { isOurs, storeIsBeyond } from './own-history.ts'
import { Quarantine } from './quarantine.ts'
import { Retention } from './retention.ts'
import { RollCall } from './roll-call.ts'
import { Room } from './room.ts'
import { Subscriber } from './subscriber.ts'
import { switchSegment } from './switch-segment.ts'

/**
 * The only writer: orders drafts, guards tokens, appends each gathered batch with one write, fans it out as soon as it
 * is written, and flushes once for all that gathered meanwhile. Payloads stay opaque bytes to it.
 *
 * I1. An entry is fanned out only after it was written; the flushed watermark follows only after the flush.
 * I2. A draft whose token is not the command's current assignment never becomes an entry (G5).
 * I3. After a refused draft of an ordered follower, none of its later drafts becomes an entry before it resumes.
 * I4. Of a follower's drafts that arrive before its successor of the same name subscribes, none is appended after.
 * I5. What makes room in the journal again (checkpoints) may use the room that is kept for it.
 * I6. Of a process whose state diverged nothing becomes an entry any more (G7).
 * I7. Nobody decides on what the store holds beyond this journal (R9): it is told whether the applier has compared them.
 */
export class JournalWriter {
  readonly #o: JournalWriterOptions
  readonly #subscribers = new Map<Channel, Subscriber>()
  readonly #bridge = new Bridge()
  readonly #schedule: FlushSchedule
  readonly #inbox: DraftInbox
  readonly #intake: DraftIntake
  readonly retention: Retention
  readonly #room: Room
  readonly #fullSpell: FullSpell
  readonly #rollCall = new RollCall()
  /** Compares the states of those that follow. */
  readonly attestation: Attestation
  readonly #quarantine: Quarantine
  #drainScheduled = false
  /** What the store has committed. */
  applied: Lsn
  /** The applier has said so to this writer, and not to the one before. */
  #storeAgrees = false
  #stopped = false

  constructor(options: JournalWriterOptions) {
    const { environment, journal } = options
    const { clock, scheduler, log } = environment
    this.#o = options
    this.applied = options.applied
    this.#inbox = new DraftInbox(options.batchBytesMax)
    this.#intake = new DraftIntake(options.guard, log, (from, error) => {
      this.#drop(from.channel)
      from.channel.close(error)
    })
    this.retention = new Retention({
      journal,
      environment,
      settings: options.retention,
      checkpoint: options.checkpoint,
      readers: () => this.#subscribers.values(),
    })
    this.#room = new Room(journal, environment, {
      full: () => this.#announce(false),
      over: () => this.#drain(),
    })
    this.#fullSpell = new FullSpell(log)
    this.#quarantine = new Quarantine(log)
    this.attestation = new Attestation({
      environment,
      intervalMs: options.attestIntervalMs ?? 10_000,
      referee: options.referee ?? null,
      diverged: (divergence) => this.#bar(divergence),
    })
    this.#schedule = new FlushSchedule({
      journal,
      clock,
      scheduler,
      options: options.flush,
      flushed: () => this.#announce(true),
      failed: (error) => this.#fail(error),
    })
  }

  /** Names of the processes that follow, and how far each has been sent entries. */
  followers(): { readonly name: string; readonly next: Lsn; readonly live: boolean }[] {
    return [...this.#subscribers.values()].map(({ name, next, live }) => ({ name, next, live }))
  }

  accept(channel: Channel): ChannelHandlers {
    return {
      frame: (kind, body) => this.#frame(channel, kind, body),
      writable: () => this.#resumeSending(channel),
      closed: () => this.#drop(channel),
    }
  }

  /** Takes no more drafts; what is written stays to be flushed by closing the journal. */
  stop(): void {
    this.#stopped = true
    this.#schedule.stop()
    this.retention.stop()
    this.#room.stop()
    this.#inbox.clear()
  }

  #frame(channel: Channel, kind: number, body: Buffer): void {
    const subscriber = this.#subscribers.get(channel)
    switch (kind) {
      case journalFrames.subscribe:
        channel.release(body.length)
        this.#subscribe(channel, decodeSubscribe(body))
        return
      case journalFrames.drafts:
        if (subscriber === undefined) break
        if (this.#inbox.add(subscriber, body)) this.#scheduleDrain()
        else this.#tooLarge(subscriber, body)
        return
      case journalFrames.resume:
        if (subscriber === undefined) break
        channel.release(body.length)
        this.#drain()
        for (const { body } of this.#inbox.drop(subscriber)) channel.release(body.length) // I3
        subscriber.refusing = false
        subscriber.expectedSequence = decodeNumber(body) >>> 0
        return
      case journalFrames.applied:
        channel.release(body.length)
        this.#said(decodeApplied(body))
        return
      case journalFrames.switchSegment:
        if (subscriber === undefined) break
        channel.release(body.length)
        this.#switchSegment(channel)
        return
      case journalFrames.rollCall:
        if (subscriber === undefined) break
        channel.release(body.length)
        this.#rollCall.call(subscriber, this.#subscribers.values())
        return
      case journalFrames.here:
        channel.release(body.length)
        this.#rollCall.answered(channel)
        return
      case journalFrames.attested:
        channel.release(body.length)
        if (subscriber !== undefined) this.attestation.vote(subscriber.name, decodeAttested(body))
        return
      default:
        break
    }
    const message = `${channel.peer} sent a frame of kind ${kind} before it subscribed`
    channel.close(new CommanderError('protocol_violation', message))
  }

  #said(applied: Applied): void {
    if (this.#stopped) return
    const { flushedLsn } = this.#o.journal
    if (applied.applied > flushedLsn) return this.#fail(storeIsBeyond(applied.applied, flushedLsn)) // I7
    this.#storeAgrees = true
    this.applied = applied.applied
    try {
      this.retention.said(applied)
    } catch (error) {
      if (!isCommanderError(error)) throw error
      this.#fail(error)
      return
    }
    this.#announce(false)
    const { isOfLimit, isOn, leastBytes } = this.#fullSpell
    if (isOn && isOfLimit && this.#o.journal.hasRoomFor(leastBytes)) this.#fullSpell.over()
    this.#scheduleDrain()
  }

  /** What the follower has sent before is in the sealed segment. */
  #switchSegment(channel: Channel): void {
    if (this.#stopped) return
    this.#drain()
    const switched = switchSegment(this.#o.journal)
    if (isCommanderError(switched)) {
      this.#fail(switched)
      return
    }
    channel.send(journalFrames.switched, encodeSwitched(switched))
    channel.flush()
  }

  /** Processes know the bound and keep to it; one that does not is cut off before it fills the journal's frame. */
  #tooLarge(from: Subscriber, body: Buffer): void {
    this.#drop(from.channel)
    from.channel.close(draftTooLarge(from.name, body.length, this.#o.batchBytesMax))
  }

  #subscribe(channel: Channel, hello: Subscribe): void {
    const barred = this.#quarantine.reasonFor(hello.origin)
    if (barred !== undefined) {
      channel.close(barred) // I6
      return
    }
    for (const [other, { name }] of this.#subscribers) {
      if (name !== hello.name || other === channel) continue
      this.#drop(other) // I4
      other.close(new CommanderError('connection_lost', `another process now follows as ${name}`))
    }
    this.#drain()
    const { journal } = this.#o
    const subscriber = new Subscriber(channel, hello)
    const before = this.#subscribers.get(channel)
    if (before !== undefined) this.#inbox.handOver(before, subscriber) // I3
    this.#subscribers.set(channel, subscriber)
    const ours = hello.from >= journal.firstLsn && isOurs(hello, journal.writtenLsn, this.#o.readBatch)
    const reaches = hello.from > journal.writtenLsn || this.#bridge.startingAt(lsn(hello.from)) !== null
    const { writtenLsn: written, flushedLsn: flushed } = journal
    const marks = { written, flushed, applied: this.applied, storeAgrees: this.#storeAgrees }
    const mode = ours ? (reaches ? 'live' : 'behind') : 'reset'
    channel.send(journalFrames.subscribed, encodeSubscribed({ mode, first: journal.firstLsn, ...marks }))
    if (mode === 'live') subscriber.catchUp(this.#bridge, journal.writtenLsn)
    channel.flush()
  }

  #resumeSending(channel: Channel): void {
    const subscriber = this.#subscribers.get(channel)
    if (subscriber === undefined) return
    subscriber.catchUp(this.#bridge, this.#o.journal.writtenLsn)
    if (channel.writable) channel.send(journalFrames.watermark, this.#mark())
  }

  #drop(channel: Channel): void {
    const subscriber = this.#subscribers.get(channel)
    if (subscriber === undefined) return
    this.#subscribers.delete(channel)
    this.#fullSpell.gone(channel)
    this.#rollCall.answered(channel)
    this.attestation.gone(subscriber.name)
    this.#inbox.drop(subscriber)
  }

  #scheduleDrain(): void {
    if (this.#drainScheduled) return
    this.#drainScheduled = true
    this.#o.environment.scheduler.soon(this.#drainDue)
  }

  readonly #drainDue = (): void => {
    this.#drainScheduled = false
    this.#drain()
  }

  #drain(): void {
    while (!this.#inbox.isEmpty && !this.#stopped) {
      const { count, bytes } = this.#inbox.next()
      if (this.#room.isAwaited(bytes)) return
      this.#appendBatch(this.#inbox.take(count), bytes)
    }
  }

  #appendBatch(drafts: readonly Drafts[], bytes: number): void {
    const { journal, guard } = this.#o
    guard.begin()
    const payload = Buffer.allocUnsafeSlow(bytes)
    const firstLsn = nextLsn(journal.writtenLsn)
    const batch: GatheredBatch = { payload, length: 0, next: firstLsn, flush: false }
    for (const { from, body } of drafts) {
      this.#intake.admit(from, body, batch)
      from.channel.release(body.length)
    }
    const count = batch.next - firstLsn
    if (count === 0) return
    const lastLsn = lsn(batch.next - 1)
    const written = batch.length === bytes ? payload : payload.subarray(0, batch.length)
    const isOfApplier = drafts.every(({ from }) => from.name === applierName)
    try {
      journal.append(written, firstLsn, count, journal.flushedLsn, isOfApplier) // I5
    } catch (error) {
      guard.rollback()
      this.#appendFailed(drafts, bytes, error)
      return
    }
    if (!isOfApplier && this.#fullSpell.isOn) this.#fullSpell.appended(bytes, sendersOf(drafts))
    this.#fanOut({ firstLsn, lastLsn, payload: written })
    this.#schedule.written(batch.flush)
  }

  #appendFailed(drafts: readonly Drafts[], bytes: number, cause: unknown): void {
    if (!isCommanderError(cause)) throw cause
    if (cause.code !== 'journal_full') {
      this.#fail(cause)
      return
    }
    const present = drafts.filter(({ from }) => this.#subscribers.get(from.channel) === from)
    this.#fullSpell.refused(sendersOf(present), bytes, { cause, isOfLimit: !this.#o.journal.hasRoomFor(bytes) })
    this.#intake.refuseAll(present, cause)
  }

  #fanOut(batch: { readonly firstLsn: Lsn; readonly lastLsn: Lsn; readonly payload: Buffer }): void {
    this.#bridge.add(batch)
    if (this.attestation.isDue) this.attestation.ask(batch.lastLsn, this.#subscribers.values())
    const header = encodeEntriesHeader(batch.firstLsn, batch.lastLsn)
    for (const subscriber of this.#subscribers.values()) {
      subscriber.offer(batch, header)
      subscriber.channel.flush()
    }
  }

  /** I6. */
  #bar(divergence: Divergence): void {
    const diverged = [...this.#subscribers.values()].find(({ name }) => name === divergence.name)
    if (diverged === undefined) return
    this.#drop(diverged.channel)
    diverged.channel.close(this.#quarantine.add(diverged.origin, divergence))
  }

  #announce(flushedOnly: boolean): void {
    const mark = this.#mark()
    for (const subscriber of this.#subscribers.values()) {
      if ((flushedOnly && !subscriber.followsFlush) || !subscriber.channel.writable) continue
      subscriber.channel.send(journalFrames.watermark, mark)
      if (flushedOnly) subscriber.channel.flush()
    }
  }

  #mark(): Buffer {
    const { journal } = this.#o
    return encodeWatermark({
      written: journal.writtenLsn,
      flushed: journal.flushedLsn,
      applied: this.applied,
      checkpointWanted: this.retention.checkpointWanted,
      storeAgrees: this.#storeAgrees,
    })
  }

  #fail(error: CommanderError): void {
    if (this.#stopped) return
    this.stop()
    this.#o.environment.log.error({ code: error.code, error: messageOf(error) }, `the journal failed: ${error.message}`)
    this.#o.failed(error)
  }
}

const sendersOf = (drafts: readonly Drafts[]): ReadonlySet<Subscriber> => new Set(drafts.map(({ from }) => from))
