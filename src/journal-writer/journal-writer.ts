import type { Channel, ChannelHandlers } from '../ipc/channel.ts'
import {
  type Applied,
  encodeSubscribed,
  encodeSwitched,
  journalFrames,
  type Subscribe,
  type Watermark,
} from '../ipc/journal-protocol.ts'
import type { LeaderAddress, Leadership } from '../ipc/leadership.ts'
import { assert } from '../kernel/assert.ts'
import { CommanderError, isCommanderError, messageOf } from '../kernel/errors.ts'
import { type Lsn, lsn, nextLsn } from '../kernel/identifiers.ts'
import { Attestation, applierName, type Divergence } from './attestation.ts'
import { Audience, type FollowerPlace } from './audience.ts'
import type { WrittenBatch } from './bridge.ts'
import type { CommittedBatches } from './committed-batches.ts'
import { DraftInbox, type Drafts, draftTooLarge } from './draft-inbox.ts'
import { DraftIntake, type GatheredBatch } from './draft-intake.ts'
import { FlushSchedule } from './flush-schedule.ts'
import { FullSpell, sendersOf } from './full-spell.ts'
import type { JournalWriterOptions } from './journal-writer-options.ts'
import { isOurs, storeIsBeyond } from './own-history.ts'
import { Quarantine } from './quarantine.ts'
import { type ReadPoint, tellReadPoint } from './read-point.ts'
import { ReplicationPromise } from './replication-promise.ts'
import { Retention } from './retention.ts'
import { RollCall } from './roll-call.ts'
import { Room } from './room.ts'
import { Standby } from './standby.ts'
import { Subscriber } from './subscriber.ts'
import { switchSegment } from './switch-segment.ts'
import { Tenure } from './tenure.ts'
import { takeFrame, type WriterFrames } from './writer-frames.ts'

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
 * I7. While another node leads no draft becomes an entry: what it appends is what that one has committed.
 * I8. Nobody decides on what the store holds beyond this journal (R9): it is told whether the applier has compared them.
 */
export class JournalWriter {
  readonly #o: JournalWriterOptions
  readonly #audience: Audience
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
  readonly #tenure: Tenure
  /** Null once this writer leads. */
  #standby: Standby | null = null
  readonly #frames: WriterFrames = {
    subscribe: (channel, hello) => this.#subscribe(channel, hello),
    drafts: (from, body) => this.#drafts(from, body),
    resume: (from, sequence) => this.#resumeDrafts(from, sequence),
    applied: (applied) => this.#said(applied),
    switchSegment: ({ channel }) => this.#switchSegment(channel),
    rollCall: (from) => this.#rollCall.call(from, this.#audience.values()),
    here: (channel) => this.#rollCall.answered(channel),
    attested: ({ name }, attested) => this.attestation.vote(name, attested),
    readPoint: ({ channel }, id) => tellReadPoint(channel, id, this.#readPoint),
  }
  /** Of a journal that this node keeps alone: all that it has flushed. */
  readonly #readPoint: ReadPoint
  readonly #promise: ReplicationPromise | null
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
    this.#readPoint = options.standby?.readPoint ?? (async () => journal.flushedLsn)
    this.#promise = options.standby === undefined ? null : new ReplicationPromise(options.standby.replicationRefusal)
    this.#audience = new Audience(() => this.#mark())
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
      readers: () => this.#audience.values(),
    })
    this.#room = new Room(journal, environment, {
      full: () => this.#audience.announce(false),
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
      flushed: (flushed) => {
        this.#audience.announce(true)
        this.#tenure.flushedUpTo(flushed)
        // What waited for others to acknowledge something may be appended now.
        if (!this.#inbox.isEmpty) this.#scheduleDrain()
      },
      failed: (error) => this.fail(error),
    })
    this.#tenure = new Tenure(options.standby?.leadership ?? null, (leadership) =>
      this.#audience.tellLeadership(leadership),
    )
    if (options.standby !== undefined) this.#standBy(options.standby.batches)
  }

  get leadership(): Leadership {
    return this.#tenure.leadership
  }

  /** Another node leads, or none is known to. */
  heardOf(epoch: number, leader: LeaderAddress | null): void {
    this.#tenure.heard(epoch, leader)
  }

  /** Whether `replicated` can be promised may be another answer than before. */
  readonly groupChanged = (): void => this.#promise?.look(this.#audience.values())

  /** This node leads, by the journal that this one writes: drafts are taken once the entry that says so is flushed. */
  lead(epoch: number, leader: LeaderAddress): void {
    if (this.#stopped) return
    assert(this.#standby !== null, 'a writer that stands by comes to lead')
    try {
      const batch = this.#standby.promote(epoch, leader.id)
      this.#standby = null
      this.#tenure.begin(batch.lastLsn, epoch, leader)
      this.#written(batch, true)
    } catch (error) {
      if (!isCommanderError(error)) throw error
      this.fail(error)
    }
  }

  /** Names of the processes that follow, and how far each has been sent entries. */
  followers(): readonly FollowerPlace[] {
    return this.#audience.places()
  }

  accept(channel: Channel): ChannelHandlers {
    return {
      frame: (kind, body) => takeFrame(this.#frames, channel, this.#audience.get(channel), kind, body),
      writable: () => this.#audience.resume(channel),
      closed: () => this.#drop(channel),
    }
  }

  /** Takes no more drafts; what is written stays to be flushed by closing the journal. */
  stop(): void {
    this.#stopped = true
    this.#schedule.stop()
    this.#standby?.stop()
    this.retention.stop()
    this.#room.stop()
    this.#inbox.clear()
  }

  #drafts(from: Subscriber, body: Buffer): void {
    if (!this.#tenure.leads)
      from.channel.release(body.length) // I7
    else if (this.#inbox.add(from, body)) this.#scheduleDrain()
    else this.#tooLarge(from, body)
  }

  #resumeDrafts(from: Subscriber, sequence: number): void {
    this.#drain()
    for (const { body } of this.#inbox.drop(from)) from.channel.release(body.length) // I3
    from.refusing = false
    from.expectedSequence = sequence
  }

  #said(applied: Applied): void {
    if (this.#stopped) return
    // What a writer that stands by has written is committed, and so flushed.
    const durable = this.#tenure.leads ? this.#o.journal.flushedLsn : this.#o.journal.writtenLsn
    if (applied.applied > durable) return this.fail(storeIsBeyond(applied.applied, durable)) // I8
    this.#storeAgrees = true
    this.applied = applied.applied
    try {
      this.retention.said(applied)
    } catch (error) {
      if (!isCommanderError(error)) throw error
      return this.fail(error)
    }
    this.#audience.announce(false)
    this.#standby?.goOn()
    const { isOfLimit, isOn, leastBytes } = this.#fullSpell
    if (isOn && isOfLimit && this.#o.journal.hasRoomFor(leastBytes)) this.#fullSpell.over()
    this.#scheduleDrain()
  }

  /** What the follower has sent before is in the sealed segment. */
  #switchSegment(channel: Channel): void {
    if (this.#stopped) return
    this.#drain()
    const switched = switchSegment(this.#o.journal)
    if (isCommanderError(switched)) return this.fail(switched)
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
    const subscriber = new Subscriber(channel, hello)
    for (const { channel: other, name } of this.#audience.namesakes(subscriber)) {
      this.#drop(other) // I4
      other.close(new CommanderError('connection_lost', `another process now follows as ${name}`))
    }
    this.#drain()
    const { journal, readBatch } = this.#o
    const before = this.#audience.get(channel)
    if (before !== undefined) this.#inbox.handOver(before, subscriber) // I3
    this.#audience.add(subscriber)
    const ours = hello.from >= journal.firstLsn && isOurs(hello, journal.writtenLsn, readBatch)
    const mode = ours ? (this.#audience.reaches(subscriber) ? 'live' : 'behind') : 'reset'
    const { leadership } = this
    const answer = { mode, first: journal.firstLsn, ...this.#mark(), leadership } as const
    channel.send(journalFrames.subscribed, encodeSubscribed(answer))
    this.#promise?.tell(channel)
    if (mode === 'live') this.#audience.catchUp(subscriber)
    channel.flush()
  }

  #drop(channel: Channel): void {
    const subscriber = this.#audience.get(channel)
    if (subscriber === undefined) return
    this.#audience.delete(channel)
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
    this.#written({ firstLsn, lastLsn, payload: written }, batch.flush)
  }

  #written(batch: WrittenBatch, somebodyWaits: boolean): void {
    this.#audience.fanOut(batch, this.attestation)
    this.#schedule.written(somebodyWaits)
  }

  #standBy(batches: CommittedBatches): void {
    this.#standby = new Standby({
      ...this.#o,
      batches,
      appended: (batch) => this.#written(batch, true),
      full: () => this.#audience.announce(false),
      failed: (error) => this.fail(error),
    })
  }

  #appendFailed(drafts: readonly Drafts[], bytes: number, cause: unknown): void {
    if (!isCommanderError(cause)) throw cause
    if (cause.code !== 'journal_full') return this.fail(cause)
    const present = drafts.filter(({ from }) => this.#audience.get(from.channel) === from)
    this.#fullSpell.refused(sendersOf(present), bytes, { cause, isOfLimit: !this.#o.journal.hasRoomFor(bytes) })
    this.#intake.refuseAll(present, cause)
  }

  /** I6. */
  #bar(divergence: Divergence): void {
    const diverged = [...this.#audience.values()].find(({ name }) => name === divergence.name)
    if (diverged === undefined) return
    this.#drop(diverged.channel)
    diverged.channel.close(this.#quarantine.add(diverged.origin, divergence))
  }

  #mark(): Watermark {
    const { writtenLsn: written, flushedLsn: flushed } = this.#o.journal
    const { checkpointWanted } = this.retention
    return { written, flushed, applied: this.applied, checkpointWanted, storeAgrees: this.#storeAgrees }
  }

  /** The journal takes nothing more: what was written and not flushed may be lost. */
  fail(error: CommanderError): void {
    if (this.#stopped) return
    this.stop()
    this.#o.environment.log.error({ code: error.code, error: messageOf(error) }, `the journal failed: ${error.message}`)
    this.#o.failed(error)
  }
}
