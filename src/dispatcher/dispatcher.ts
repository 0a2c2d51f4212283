import type { Action } from '../actions/action.ts'
import { actionCodes } from '../actions/action-codes.ts'
import { startedCount, startedLsns } from '../actions/decode.ts'
import { encodeAction } from '../actions/encode.ts'
import { EntryBatch } from '../actions/entry-batch.ts'
import {
  codeOf,
  entryEnd,
  keyOf,
  lengthOf,
  lsnOf,
  nameOf,
  padded,
  payloadStart,
  referenceOf,
} from '../actions/entry-layout.ts'
import type { Refused, Watermark } from '../ipc/journal-protocol.ts'
import type { Environment, Timer } from '../kernel/environment.ts'
import type { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { readUint64 } from '../kernel/integers.ts'
import { limits } from '../kernel/limits.ts'
import { NumberMap } from '../kernel/number-map.ts'
import type { Follower, FollowerRole } from '../replica/follower.ts'
import { type AggregateQueue, dispatcherName, type PendingCommand } from '../state/commands.ts'
import { forgetSavedKeys } from '../state/idempotency.ts'
import { releasesAll } from '../state/migrations.ts'
import { type RootState, reduce } from '../state/root.ts'
import { Housekeeping } from './housekeeping.ts'
import { type InstanceLoad, InstanceLoads } from './instance-loads.ts'
import { type DispatcherOptions, defaultDispatcherOptions } from './options.ts'
import { parkingOf } from './parking.ts'
import { instanceFor } from './placement.ts'
import { Retries } from './retries.ts'
import { WorkflowDesk } from './workflow-desk.ts'

const refusedDelayMs = 100

/**
 * Decides who works on what, and nothing else: from the state it drafts `command/started` for whole runs of commands,
 * each aggregate with one live owner.
 *
 * I1. A command is started only when every earlier pending command of its aggregate is started on the same instance,
 *     so that an aggregate's commands reach one process in LSN order (G2).
 * I2. It drafts from state that came out of the journal, never from what it hopes will be written.
 * I3. Nothing here is needed after a crash: `restart` builds it from the state alone.
 */
export class Dispatcher implements FollowerRole {
  readonly #environment: Environment
  readonly #state: RootState
  readonly #options: DispatcherOptions
  readonly #loads = new InstanceLoads()
  readonly #batch: EntryBatch
  readonly #housekeeping: Housekeeping
  readonly #desk: WorkflowDesk
  #follower: Follower | null = null
  /** Ready to be started, or in a draft that has not come back yet, each with its instance. */
  readonly #scheduled = new NumberMap<string>()
  readonly #retries: Retries
  #sweepTimer: Timer | null = null
  #restartTimer: Timer | null = null
  #keysAppliedUpTo: Lsn = lsn(0)
  readonly #reset: (reason: CommanderError) => void

  constructor(
    environment: Environment,
    state: RootState,
    origin: number,
    reset: (reason: CommanderError) => void,
    options: Partial<DispatcherOptions> = {},
  ) {
    this.#environment = environment
    this.#state = state
    this.#batch = new EntryBatch(origin)
    this.#reset = reset
    this.#retries = new Retries(environment)
    this.#options = { ...defaultDispatcherOptions, ...options }
    this.#housekeeping = new Housekeeping(environment, state, this.#loads, this.#options)
    this.#desk = new WorkflowDesk({
      environment,
      state,
      batch: this.#batch,
      takeSequence: () => this.#follower?.takeSequence() ?? 0,
      readTimers: this.#options.readTimers,
      lookMs: this.#options.lookMs,
      due: () => this.#startReady(),
    })
  }

  get state(): RootState {
    return this.#state
  }

  start(follower: Follower): void {
    this.#follower = follower
    this.#sweepLater()
    follower.start()
  }

  stop(): void {
    this.#follower?.stop()
    this.#sweepTimer?.cancel()
    this.#restartTimer?.cancel()
    this.#retries.stop()
    this.#desk.stop()
  }

  apply(b: Buffer, offset: number): void {
    for (let o = offset; o < b.length; o += padded(lengthOf(b, o))) this.#applyEntry(b, o)
  }

  applied(): void {
    this.#startReady()
  }

  watermark(mark: Watermark): void {
    if (mark.applied === this.#keysAppliedUpTo) return
    this.#keysAppliedUpTo = mark.applied
    forgetSavedKeys(this.#state.idempotency, mark.applied)
    if (this.#desk.storeApplied(mark.applied)) this.#startReady()
  }

  connected(): void {
    this.#restart()
  }

  writable(): void {
    this.#startReady()
  }

  disconnected(): void {
    this.#scheduled.clear()
    this.#loads.clear()
  }

  refused({ error }: Refused): void {
    this.#environment.log.warn({ code: error.code }, `a draft was refused: ${error.message}`)
    this.#restartTimer ??= this.#environment.scheduler.after(refusedDelayMs, () => {
      this.#restartTimer = null
      this.#restart()
    })
  }

  reset(reason: CommanderError): void {
    this.#reset(reason)
  }

  #applyEntry(b: Buffer, o: number): void {
    const code = codeOf(b, o)
    const { commands } = this.#state
    switch (code) {
      case actionCodes['command/received']: {
        if (reduce(this.#state, b, o) === 0) this.#received(commands.byLsn.get(lsnOf(b, o)) as PendingCommand)
        return
      }
      case actionCodes['command/started']:
        reduce(this.#state, b, o)
        this.#started(b, o)
        return
      case actionCodes['command/completed']:
      case actionCodes['command/rejected']:
      case actionCodes['command/failed']:
      case actionCodes['command/parked']: {
        const command = commands.byLsn.get(referenceOf(b, o))
        if (command !== undefined) this.#ended(command)
        reduce(this.#state, b, o)
        if (code === actionCodes['command/completed']) this.#desk.applied(b, o)
        if (command === undefined || code < actionCodes['command/failed']) return
        if (code === actionCodes['command/failed']) this.#retries.failed(command)
        this.#offer(command.queue)
        return
      }
      case actionCodes['command/retried']:
      case actionCodes['command/skipped']: {
        reduce(this.#state, b, o)
        const queue = commands.byAggregate.get(keyOf(b, o))
        if (queue !== undefined) this.#offer(queue)
        return
      }
      case actionCodes['application/registered']:
      case actionCodes['application/deregistered']:
        reduce(this.#state, b, o)
        this.#rebalance(nameOf(b, o))
        return
      case actionCodes['workflow/advanced']:
      case actionCodes['workflow/resumed']:
        reduce(this.#state, b, o)
        this.#desk.applied(b, o)
        return
      case actionCodes['stream/migrated']:
      case actionCodes['stream/migration-abandoned']:
        reduce(this.#state, b, o)
        if (releasesAll(b, o)) this.#rebalance(null)
        return
      default:
        reduce(this.#state, b, o)
    }
  }

  #received(command: PendingCommand): void {
    const { commands, blockedBy } = command.queue
    if (blockedBy !== 0) return
    const before = commands.length > 1 ? (commands[commands.length - 2] as PendingCommand) : null
    if (before !== null && before.token === 0 && !this.#scheduled.has(before.lsn)) return // I1
    this.#schedule(command)
  }

  /** Without an instance that hosts the aggregate's type the command waits for one to register. */
  #schedule(command: PendingCommand): boolean {
    const instance =
      command.crashes >= limits.crashesMax ? dispatcherName : instanceFor(this.#state, this.#scheduled, command)
    if (instance === null) return false
    this.#scheduled.set(command.lsn, instance)
    this.#loads.of(instance).push(command)
    return true
  }

  #started(b: Buffer, o: number): void {
    const instance = nameOf(b, o)
    const load = this.#loads.of(instance)
    load.cameBack(startedCount(b, o))
    if (instance === dispatcherName) {
      this.#parkOwn(b, o)
      return
    }
    // Only where it had nothing to do: to be given more and more is no progress, and a silent instance is.
    if (load.started === 0) load.lastProgressMs = this.#environment.clock.monotonicMs()
    const token = lsnOf(b, o)
    const end = entryEnd(b, o)
    for (let i = payloadStart(b, o); i + 8 <= end; i += 8) {
      const at = lsn(readUint64(b, i))
      this.#scheduled.delete(at)
      const command = this.#state.commands.byLsn.get(at)
      if (command === undefined) continue
      if (command.token === (token as number)) load.started++
      else this.#voided(load, command)
    }
  }

  /** Its instance has gone, or the command before it was released; where a draft was refused, `#restart` offers it anew. */
  #voided(load: InstanceLoad, command: PendingCommand): void {
    if (command.crashes > 0) load.probing = false
    if (this.#restartTimer === null) this.#offer(command.queue)
  }

  #ended(command: PendingCommand): void {
    this.#retries.ended(command.lsn)
    if (command.token === 0 || command.instance === dispatcherName) return
    const load = this.#loads.of(command.instance)
    load.started--
    load.lastProgressMs = this.#environment.clock.monotonicMs()
    if (load.started === 0) load.probing = false
  }

  /** Schedules what may be started of one aggregate, in order, up to the first command that has to wait. */
  #offer(queue: AggregateQueue): void {
    if (queue.blockedBy !== 0) return
    for (const command of queue.commands) {
      if (command.token !== 0 || this.#scheduled.has(command.lsn)) continue
      const waitMs = this.#retries.waitMs(command)
      if (waitMs > 0) {
        this.#retryLater(queue, waitMs)
        return
      }
      if (!this.#schedule(command)) return
    }
  }

  #offerAll(): void {
    for (const queue of this.#state.commands.byAggregate.values()) this.#offer(queue)
  }

  /** An instance came or went, or with null all were released: what is not drafted yet goes to whoever owns it now. */
  #rebalance(instance: string | null): void {
    for (const load of this.#loads.values()) {
      for (const command of load.takeReady()) this.#scheduled.delete(command.lsn)
    }
    if (instance === null) this.#loads.clear()
    else this.#loads.delete(instance)
    this.#desk.rebalance()
    this.#offerAll()
  }

  #retryLater({ key }: AggregateQueue, delayMs: number): void {
    this.#retries.later(key, delayMs, () => {
      const queue = this.#state.commands.byAggregate.get(key)
      if (queue !== undefined) this.#offer(queue)
      this.#startReady()
    })
  }

  /** Everything anew from the state: after a new connection, when drafts may have been lost (I3). */
  #restart(): void {
    this.#desk.restart()
    this.#scheduled.clear()
    this.#loads.clear()
    const nowMs = this.#environment.clock.monotonicMs()
    for (const command of this.#state.commands.byLsn.values()) {
      if (command.token === 0) continue
      if (command.instance === dispatcherName) {
        this.#draftPark(command)
        continue
      }
      const load = this.#loads.of(command.instance)
      load.started++
      load.lastProgressMs = nowMs
      if (command.crashes > 0) load.probing = true
    }
    this.#offerAll()
    this.#startReady()
  }

  #startReady(): void {
    if (this.#follower?.isWritable === true) {
      for (const load of this.#loads.values()) if (load.waiting > 0) this.#draftStarted(load)
      this.#desk.draft()
    }
    this.#send()
  }

  #draftStarted(load: InstanceLoad): void {
    const commands = load.takeStartable(this.#options.startedPerInstance)
    if (commands.length > 0) this.#draft({ type: 'command/started', instance: load.instance, commands })
  }

  #parkOwn(b: Buffer, o: number): void {
    for (const at of startedLsns(b, o)) {
      const command = this.#state.commands.byLsn.get(at)
      this.#scheduled.delete(at)
      if (command !== undefined) this.#draftPark(command)
    }
  }

  #draftPark(command: PendingCommand): void {
    this.#draft(parkingOf(command, this.#environment.clock.wallMs()))
  }

  #draft(action: Action): void {
    if (this.#follower === null) return
    const flush = action.type === 'command/parked' ? 1 : 0
    encodeAction(this.#batch, action, this.#follower.takeSequence(), flush)
  }

  #send(): void {
    if (this.#batch.count > 0) this.#follower?.sendDrafts(this.#batch.take())
  }

  #sweepLater(): void {
    this.#sweepTimer = this.#environment.scheduler.after(this.#options.sweepMs, () => {
      if (this.#follower?.isWritable === true) {
        for (const action of this.#housekeeping.due()) this.#draft(action)
        this.#send()
      }
      this.#sweepLater()
    })
  }
}
