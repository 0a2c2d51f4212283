import { actionCodes } from '../actions/action-codes.ts'
import { aggregateTypeOf } from '../actions/aggregate-key.ts'
import { eventsOf, startedLsns } from '../actions/decode.ts'
import { encodeAction, queueFlag, receivedEnvelope } from '../actions/encode.ts'
import { type EntryBatch, type EntryFields, emptyFields } from '../actions/entry-batch.ts'
import { codeOf, entryFlags, flagsOf, keyOf, lsnOf, referenceOf } from '../actions/entry-layout.ts'
import { pack } from '../actions/message-pack.ts'
import { type QueueFields, queueName } from '../actions/queue-actions.ts'
import type { Environment } from '../kernel/environment.ts'
import { hash32 } from '../kernel/hash.ts'
import { type Lsn, lsn, revision } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import type { OutboxMessage } from '../state/outbox.ts'
import type { RootState } from '../state/root.ts'
import type { WorkflowEvent } from '../workflows/workflow-events.ts'
import { tellTimers } from '../workflows/workflow-timers.ts'
import { Alarm } from './alarm.ts'
import { type CommandHold, Resumption } from './resumption.ts'
import { TimerQueue, type TimerQueueOptions } from './timer-queue.ts'

const nothing = Buffer.alloc(0)
/** Activations in one draft. */
const resumedPerDraft = 1_000
export interface WorkflowDeskOptions {
  readonly environment: Environment
  readonly state: RootState
  readonly batch: EntryBatch
  readonly takeSequence: () => number
  /** While timers wait, whether the wall clock has jumped is looked at so often. */
  readonly lookMs: number
  readonly readTimers: TimerQueueOptions['read']
  readonly commands: CommandHold
  /** Something is due: `draft` is to be called when drafts are taken. */
  readonly due: () => void
}

/**
 * What the dispatcher does for workflows: forwards the messages that entries send, fires timers, and has active workflows
 * go on elsewhere when their instance is gone. All of it is drafted from the state alone, and may be drafted twice: a
 * second message is void, a second timer decides on nothing, a second assignment replaces the first.
 */
export class WorkflowDesk {
  readonly #o: WorkflowDeskOptions
  readonly #timers: TimerQueue
  readonly #resumption: Resumption
  readonly #fields: EntryFields = emptyFields()
  /** Messages of entries up to here are drafted. */
  #forwardedUpTo: Lsn = lsn(0)
  #mayResume = true
  readonly #alarm: Alarm

  constructor(options: WorkflowDeskOptions) {
    this.#o = options
    const { environment, state, readTimers } = options
    const { timersHeldMax: heldMax, timersReadMax: readMax } = limits
    this.#timers = new TimerQueue({ clock: environment.clock, read: readTimers, heldMax, readMax })
    this.#alarm = new Alarm(environment, () => {
      this.#timers.lookAtClock()
      options.due()
    })
    this.#resumption = new Resumption(state, environment.scheduler, options.commands, () => {
      this.#mayResume = true
      options.due()
    })
  }

  stop(): void {
    this.#alarm.stop()
    this.#resumption.stop()
  }

  /** After a new connection, when drafts may have been lost. */
  restart(): void {
    this.#forwardedUpTo = lsn(0)
    this.#mayResume = true
    this.#resumption.restart()
    this.#timers.restart()
  }

  /** Where a workflow is about to go on. */
  placeOf(key: string): string | undefined {
    return this.#resumption.placeOf(key)
  }

  /** An instance came or went. */
  rebalance(): void {
    this.#mayResume = true
  }

  /** @returns whether something is due now */
  storeApplied(mark: Lsn): boolean {
    this.#timers.storeApplied(mark)
    return this.#timers.isShort
  }

  /** An entry that the state has taken in, while drafts are another's to make: the timers that it starts and ends. */
  followed(b: Buffer, o: number): void {
    if (!hasEvents(codeOf(b, o)) || (flagsOf(b, o) & entryFlags.indexed) === 0) return
    for (const event of eventsOf(b, o)) tellTimers(this.#timers, keyOf(b, o), event as WorkflowEvent, lsnOf(b, o))
  }

  /** An entry that the state has taken in. */
  applied(b: Buffer, o: number): void {
    this.followed(b, o)
    if (codeOf(b, o) === actionCodes['workflow/resumed'])
      for (const activation of startedLsns(b, o)) this.#resumption.resumed(activation)
    if (!this.#resumption.isProbing) return
    if (codeOf(b, o) === actionCodes['workflow/advanced']) this.#resumption.advanced(referenceOf(b, o))
    this.#mayResume = true
  }

  /** Drafts what is due. Only while drafts are taken. */
  draft(): void {
    this.#forward()
    if (this.#mayResume || this.#resumption.isHeldBack) this.#resume()
    this.#timers.refill()
    this.#fire()
    this.#wakeUp()
  }

  #forward(): void {
    const { bySource } = this.#o.state.outbox
    if (bySource.size === 0) return
    for (const [source, messages] of bySource) {
      if (source <= this.#forwardedUpTo) continue
      for (const message of messages) this.#draftMessage(message)
      this.#forwardedUpTo = source
    }
  }

  #draftMessage({ source, index, to, command, data, reply, expectedRevision, partition }: OutboxMessage): void {
    const fields = this.#received(to, command, data)
    const queue = this.#queueFields(to, command, partition)
    fields.flags |= entryFlags.forwarded | (reply === null ? 0 : entryFlags.replies) | queueFlag(queue)
    fields.reference = source
    fields.token = index
    const envelope = receivedEnvelope({
      idempotencyKey: null,
      expectedRevision: expectedRevision === null ? null : revision(expectedRevision),
      metadata: null,
      ...(reply === null ? {} : { reply }),
      ...queue,
    })
    fields.envelope = envelope === null ? nothing : Buffer.from(envelope)
    this.#o.batch.add(fields, this.#o.takeSequence())
  }

  /** Where the sender did not know the queue, all of its messages have one partition. */
  #queueFields(to: string, command: string, partition: string | undefined): QueueFields {
    if (partition !== undefined) return { partition }
    const { queues } = this.#o.state.applications
    return queues.size > 0 && queues.has(queueName(aggregateTypeOf(to), command)) ? { partition: '' } : {}
  }

  #resume(): void {
    this.#mayResume = false
    const { byInstance, poisonous, cleared } = this.#resumption.take()
    for (const instance of cleared) this.#draftResumed(instance, [])
    for (const [instance, activations] of byInstance) {
      for (let at = 0; at < activations.length; at += resumedPerDraft) {
        const some = activations.slice(at, at + resumedPerDraft)
        this.#draftResumed(instance, some)
      }
    }
    for (const { key } of poisonous) {
      const message =
        'the application process crashed again and again while it worked on this workflow, at last on nothing else'
      this.#o.batch.add(this.#received(key, 'park', pack({ message })), this.#o.takeSequence())
    }
  }

  #draftResumed(instance: string, activations: readonly Lsn[]): void {
    encodeAction(this.#o.batch, { type: 'workflow/resumed', instance, activations }, this.#o.takeSequence())
  }

  /** As many as there is room for: they are commands like others. */
  #fire(): void {
    for (let room = this.#room; room > 0; room--) {
      const timer = this.#timers.takeDue()
      if (timer === null) return
      const { key, operation, dueMs } = timer
      this.#o.batch.add(this.#received(key, 'timer', pack({ operation, dueMs })), this.#o.takeSequence())
    }
  }

  get #room(): number {
    const { commands, activations } = this.#o.state
    return limits.timersPendingMax - Math.max(commands.byLsn.size, activations.byKey.size)
  }

  #received(key: string, command: string, data: Buffer): EntryFields {
    const { migrations } = this.#o.state
    const fields = this.#fields
    fields.code = actionCodes['command/received']
    fields.flags = 0
    fields.reference = 0
    fields.token = 0
    fields.key = key
    fields.hash = hash32(key)
    fields.wallMs = this.#o.environment.clock.wallMs()
    fields.name = command
    // Whatever sends it knows today's form, or it is refused by the aggregate's schema.
    fields.variant = migrations.versions.get(aggregateTypeOf(key))?.version ?? 0
    fields.envelope = nothing
    fields.payload = data
    return fields
  }

  #wakeUp(): void {
    const waitMs = this.#timers.waitMs()
    // Where there is no room, there is some when an entry says so, and not by waiting.
    if (waitMs === null || this.#room <= 0) return
    this.#alarm.set(this.#o.environment.clock.monotonicMs() + Math.min(waitMs, this.#o.lookMs))
  }
}

const hasEvents = (code: number): boolean =>
  code === actionCodes['command/completed'] || code === actionCodes['workflow/advanced']
