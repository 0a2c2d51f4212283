import { actionCodes } from '../actions/action-codes.ts'
import { startedLsns } from '../actions/decode.ts'
import { encodeAction } from '../actions/encode.ts'
import { EntryBatch } from '../actions/entry-batch.ts'
import {
  codeOf,
  keyOf,
  lengthOf,
  lsnOf,
  nameOf,
  originOf,
  padded,
  referenceOf,
  sequenceOf,
} from '../actions/entry-layout.ts'
import type { Refused, Watermark } from '../ipc/journal-protocol.ts'
import type { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import type { Follower, FollowerRole } from '../replica/follower.ts'
import { forgetSavedKeys } from '../state/idempotency.ts'
import { releasesAll } from '../state/migrations.ts'
import { isVoidDeletion, type RootState, reduce } from '../state/root.ts'
import { AggregatesOnHand } from './aggregates-on-hand.ts'
import { type ApplicationRuntimeOptions, sendBytes, sendDrafts } from './application-runtime-options.ts'
import { createWorkflowRunner } from './create-workflow-runner.ts'
import { DraftOutcomes } from './draft-outcomes.ts'
import { insertInOrder, type LiveAggregate, markEnded, type Work } from './live-aggregates.ts'
import { DelayedRegistration, registrationOf } from './registration.ts'
import { Speculation } from './speculation.ts'
import { WorkQueue } from './work-queue.ts'
import type { WorkflowRunner } from './workflow-runner.ts'

const usualRefusals: ReadonlySet<string> = new Set(['stale_token', 'journal_full'])

/**
 * Runs user code: follows the journal, decides the commands that are started here, and drafts what they decide.
 *
 * I1. An aggregate's commands are decided in LSN order, each on the state that the one before left (G2).
 * I2. It speculates: the next command of an aggregate does not wait for the draft before it to be written. When a
 *     draft is refused or lost, what was built on it is dropped, and decided again from the store.
 */
export class ApplicationRuntime implements FollowerRole {
  readonly waitsForRoom = true
  readonly #o: ApplicationRuntimeOptions
  readonly #aggregates: AggregatesOnHand
  readonly #batch: EntryBatch
  readonly #outcomes: DraftOutcomes
  readonly #workflows: WorkflowRunner
  readonly #speculation = new Speculation()
  #follower: Follower | null = null
  readonly #work: WorkQueue
  #registered = false
  readonly #registrar: DelayedRegistration

  constructor(options: ApplicationRuntimeOptions) {
    this.#o = options
    this.#work = new WorkQueue({
      scheduler: options.environment.scheduler,
      isOpen: () => this.#canSend,
      take: (work) => this.#take(work),
      taken: () => this.#send(),
    })
    this.#registrar = new DelayedRegistration(options.environment.scheduler, () => this.#register())
    this.#batch = new EntryBatch(options.origin, 65_536)
    this.#workflows = createWorkflowRunner(options, this.#batch, {
      takeSequence: () => this.#follower?.takeSequence() ?? 0,
      canSend: () => this.#canSend,
      send: () => this.#send(),
      reload: (aggregate) => this.#aggregates.chill(aggregate),
      restore: () => this.applied(),
    })
    this.#outcomes = new DraftOutcomes(this.#batch, options, this.#workflows)
    this.#aggregates = new AggregatesOnHand({
      ...options,
      workflows: this.#workflows,
      sizeOf: (state) => this.#outcomes.sizeOf(state),
      arrived: () => this.applied(),
    })
  }

  get state(): RootState {
    return this.#o.state
  }

  /** Whether commands are given to this process. */
  get isRegistered(): boolean {
    return this.#registered
  }

  get liveAggregates(): number {
    return this.#aggregates.size
  }

  start(follower: Follower): void {
    this.#follower = follower
    follower.start()
  }

  stop(): void {
    this.#workflows.abandonAll()
    this.#registrar.cancel()
    this.#follower?.stop()
  }

  /** Says goodbye, so that what is started here is given to others at once. */
  deregister(): void {
    if (!this.#registered || this.#follower === null) return
    this.#registered = false
    const action = { type: 'application/deregistered', instance: this.#o.instance, reason: 'stopped' } as const
    encodeAction(this.#batch, action, this.#follower.takeSequence())
    this.#send()
  }

  apply(b: Buffer, offset: number): void {
    for (let o = offset; o < b.length; o += padded(lengthOf(b, o))) this.#applyEntry(b, o)
  }

  applied(): void {
    if (this.#canSend) this.#restoreWaiting()
    this.#work.run()
    this.#workflows.requests.carryOut()
  }

  watermark(mark: Watermark): void {
    this.#workflows.requests.flushedUpTo(mark.flushed)
    if (!this.#aggregates.storeApplied(mark)) return
    forgetSavedKeys(this.#o.state.idempotency, mark.applied)
    this.#restoreWaiting()
    this.#aggregates.passivate()
  }

  connected(): void {
    this.#dropSpeculation(null)
    this.#register()
  }

  writable(): void {
    this.applied()
    this.#workflows.turn()
  }

  disconnected(): void {
    this.#registered = false
    this.#work.clear()
  }

  refused({ sequence, error }: Refused): void {
    if (!usualRefusals.has(error.code)) this.#o.environment.log.warn({ code: error.code, sequence }, error.message)
    this.#dropSpeculation(sequence)
    // Before anything is decided anew: what is sent ahead of it is dropped with the rest.
    this.#follower?.resumeDrafts()
    this.#restoreWaiting()
    if (!this.#registered) this.#registrar.later()
  }

  reset(reason: CommanderError): void {
    this.#o.reset(reason)
  }

  #applyEntry(b: Buffer, o: number): void {
    const { state, instance, origin } = this.#o
    const code = codeOf(b, o)
    const isVoid = code === actionCodes['stream/deleted'] && isVoidDeletion(state, b, o)
    reduce(state, b, o)
    switch (code) {
      case actionCodes['command/started']:
        // What was started under this name before it registered was another's, and is released by the registration.
        if (this.#registered && nameOf(b, o) === instance) this.#started(b, o)
        return
      case actionCodes['command/completed']:
        this.#aggregates.note(b, o, originOf(b, o) === origin)
        if (originOf(b, o) === origin) this.#confirmed(referenceOf(b, o), lsnOf(b, o))
        return
      case actionCodes['command/rejected']:
      case actionCodes['command/failed']:
      case actionCodes['command/parked']:
        if (originOf(b, o) === origin) this.#confirmed(referenceOf(b, o), lsn(0))
        return
      case actionCodes['command/skipped']:
        this.#unblock(keyOf(b, o), referenceOf(b, o), 'ready')
        return
      case actionCodes['command/retried']:
        this.#unblock(keyOf(b, o), referenceOf(b, o), 'held')
        return
      case actionCodes['workflow/advanced']:
        this.#aggregates.note(b, o, originOf(b, o) === origin)
        if (originOf(b, o) === origin) this.#advanced(sequenceOf(b, o), lsnOf(b, o))
        return
      case actionCodes['workflow/resumed']:
        if (this.#registered && nameOf(b, o) === instance) this.#resumed(b, o)
        return
      case actionCodes['stream/closed']:
      case actionCodes['stream/deleted']:
        if (!isVoid) this.#streamEnded(b, o, code === actionCodes['stream/deleted'])
        return
      case actionCodes['application/registered']:
      case actionCodes['application/deregistered']:
        this.#membershipChanged(code, nameOf(b, o), originOf(b, o))
        return
      default:
        if (!releasesAll(b, o)) return
        this.#forgetAll(lsnOf(b, o))
        if (code !== actionCodes['journal/epoch-started']) return
        this.#registered = false
        this.#registrar.later()
    }
  }

  #started(b: Buffer, o: number): void {
    const token = lsnOf(b, o)
    for (const at of startedLsns(b, o)) {
      const command = this.#o.state.commands.byLsn.get(at)
      if (command?.token === (token as number)) this.#work.push({ command, token })
    }
  }

  #confirmed(command: Lsn, endLsn: Lsn): void {
    const aggregate = this.#speculation.confirm(command)
    if (aggregate === undefined) return
    if (endLsn !== 0) aggregate.lastLsn = endLsn
    this.#aggregates.confirmed(aggregate)
  }

  #advanced(sequence: number, at: Lsn): void {
    const aggregate = this.#workflows.confirmed(sequence, at)
    if (aggregate !== undefined) this.#aggregates.confirmed(aggregate)
  }

  #resumed(b: Buffer, o: number): void {
    for (const at of startedLsns(b, o)) {
      const activation = this.#o.state.activations.byLsn.get(at)
      if (activation?.token !== (lsnOf(b, o) as number)) continue
      const aggregate = this.#aggregates.get(activation.key)
      // One that is not in memory, or is to be restored, goes on once it is.
      if (aggregate === undefined) this.#aggregates.obtain(activation.key, activation.hash)
      else if (aggregate.readiness !== 'cold') this.#workflows.resumed(aggregate, activation)
    }
  }

  /** Those not in memory are restored from a store that knows of it. */
  #streamEnded(b: Buffer, o: number, isDeleted: boolean): void {
    this.#aggregates.note(b, o, false)
    const aggregate = this.#aggregates.get(keyOf(b, o))
    if (aggregate !== undefined) markEnded(aggregate, lsnOf(b, o), isDeleted)
  }

  /** Instances came or went. */
  #membershipChanged(code: number, instance: string, origin: number): void {
    if (instance !== this.#o.instance) return this.#aggregates.forgetIdle()
    // Whatever was started under this name is released, and is started again if it still has to be done.
    this.#forgetAll()
    this.#registered = code === actionCodes['application/registered'] && origin === this.#o.origin
    if (code === actionCodes['application/deregistered'] && origin !== this.#o.origin) this.#registrar.later()
  }

  /** Until the store has applied `at`, it shows what no longer counts. */
  #forgetAll(at = lsn(0)): void {
    this.#work.clear()
    this.#speculation.clear()
    this.#workflows.abandonAll()
    this.#aggregates.forgetAll(at)
  }

  #register(): void {
    this.#registrar.cancel()
    if (this.#follower?.isConnected !== true) return
    if (!this.#canSend) return this.#registrar.later()
    encodeAction(this.#batch, registrationOf(this.#o), this.#follower.takeSequence())
    this.#send()
  }

  #take(work: Work): void {
    if (this.#speculation.renew(work)) return
    const { command } = work
    const { key, hash } = command.queue
    const aggregate = this.#aggregates.obtain(key, hash)
    if (aggregate === null) return
    aggregate.touched = true
    if (aggregate.readiness === 'held' && aggregate.heldBy === command.lsn) aggregate.readiness = 'ready'
    if (aggregate.defect !== null && aggregate.readiness === 'ready') this.#aggregates.restore(aggregate)
    const isNext = aggregate.readiness === 'ready' && aggregate.backlog.length === 0 && this.#canSend
    if (isNext && this.#decide(aggregate, work)) return
    insertInOrder(aggregate.backlog, work)
    this.#runBacklog(aggregate)
  }

  #restoreWaiting(): void {
    if (!this.#aggregates.hasWaiting) return
    this.#aggregates.restoreWaiting(
      () => this.#canSend,
      (aggregate) => this.#runBacklog(aggregate),
    )
    this.#send()
  }

  /** As far as it goes; when the journal writer takes no more for now, the rest waits for its turn (G10). */
  #runBacklog(aggregate: LiveAggregate): void {
    const { backlog } = aggregate
    let taken = 0
    while (taken < backlog.length && aggregate.readiness === 'ready' && this.#canSend) {
      if (!this.#decide(aggregate, backlog[taken] as Work)) break
      taken++
    }
    aggregate.backlog = backlog.slice(taken)
    if (aggregate.readiness === 'ready' && aggregate.backlog.length > 0) this.#aggregates.wait(aggregate)
  }

  get #canSend(): boolean {
    return this.#follower?.isWritable === true
  }

  /** @returns false when it has to wait for a command before it (I1), which may have failed in an aggregate forgotten since. */
  #decide(aggregate: LiveAggregate, work: Work): boolean {
    const { command, token } = work
    if (command.token !== token || this.#follower === null) return true
    const obstacle = this.#speculation.obstacleTo(command)
    if (obstacle !== 0) {
      aggregate.readiness = obstacle === command.queue.blockedBy ? 'blocked' : 'held'
      aggregate.heldBy = obstacle
      return false
    }
    if (aggregate.workflow !== null) this.#workflows.flush(aggregate)
    const sequence = this.#follower.takeSequence()
    const readiness = this.#outcomes.add(aggregate, work, sequence)
    this.#speculation.add(aggregate, work, sequence)
    aggregate.readiness = readiness
    if (readiness !== 'ready') aggregate.heldBy = command.lsn
    if (aggregate.workflow !== null) this.#workflows.decided(aggregate)
    if (aggregate.revision % 64 === 0) this.#aggregates.weigh(aggregate)
    if (this.#batch.count >= sendDrafts || this.#batch.byteLength >= sendBytes) this.#send()
    return true
  }

  /** A retried command is started again, and then goes first; a skipped one is out of the way. */
  #unblock(key: string, command: Lsn, readiness: 'ready' | 'held'): void {
    const aggregate = this.#aggregates.get(key)
    if (aggregate === undefined || aggregate.readiness !== 'blocked' || aggregate.heldBy !== command) return
    aggregate.readiness = readiness
    this.#aggregates.wait(aggregate)
  }

  /** What was built on a draft that never became an entry is decided again, from the store (I2). */
  #dropSpeculation(sequence: number | null): void {
    for (const aggregate of this.#workflows.drop(sequence)) this.#dropped(aggregate)
    for (const aggregate of this.#speculation.drop(sequence)) this.#dropped(aggregate)
  }

  #dropped(aggregate: LiveAggregate): void {
    if (aggregate.workflow !== null) this.#workflows.abandon(aggregate)
    this.#aggregates.chill(aggregate)
  }

  #send(): void {
    if (this.#batch.count > 0) this.#follower?.sendDrafts(this.#batch.take())
  }
}
