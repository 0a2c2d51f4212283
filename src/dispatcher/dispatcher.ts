import type { Action } from '../actions/action.ts'
import { actionCodes } from '../actions/action-codes.ts'
import { encodeAction } from '../actions/encode.ts'
import { EntryBatch } from '../actions/entry-batch.ts'
import {
  codeOf,
  entryFlags,
  flagsOf,
  keyOf,
  lengthOf,
  lsnOf,
  nameOf,
  padded,
  referenceOf,
} from '../actions/entry-layout.ts'
import type { Refused, Watermark } from '../ipc/journal-protocol.ts'
import type { Environment, Timer } from '../kernel/environment.ts'
import type { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import type { Follower, FollowerRole } from '../replica/follower.ts'
import type { PendingCommand } from '../state/commands.ts'
import { forgetSavedKeys } from '../state/idempotency.ts'
import { releasesAll } from '../state/migrations.ts'
import { type RootState, reduce } from '../state/root.ts'
import { CommandDesk } from './command-desk.ts'
import { Housekeeping } from './housekeeping.ts'
import { type DispatcherOptions, defaultDispatcherOptions } from './options.ts'
import { ScheduleDesk } from './schedule-desk.ts'
import { WorkflowDesk } from './workflow-desk.ts'

const refusedDelayMs = 100

/**
 * Decides who works on what, and nothing else: from the state it drafts `command/started` for whole runs of commands,
 * each aggregate with one live owner.
 *
 * I1. It drafts from state that came out of the journal, never from what it hopes will be written.
 * I2. Nothing here is needed after a crash: `restart` builds it from the state alone.
 */
export class Dispatcher implements FollowerRole {
  readonly waitsForRoom = true
  readonly #environment: Environment
  readonly #state: RootState
  readonly #options: DispatcherOptions
  readonly #batch: EntryBatch
  readonly #housekeeping: Housekeeping
  readonly #commands: CommandDesk
  readonly #workflows: WorkflowDesk
  readonly #schedules: ScheduleDesk
  #follower: Follower | null = null
  #sweepTimer: Timer | null = null
  #restartTimer: Timer | null = null
  #keysAppliedUpTo: Lsn = lsn(0)
  #isLetGo = false
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
    this.#options = { ...defaultDispatcherOptions, ...options }
    const hooks = { environment, state, draft: (action: Action) => this.#draft(action), due: () => this.#startReady() }
    const { startedPerInstance, readTimers, lookMs } = this.#options
    const isRestarting = (): boolean => this.#restartTimer !== null
    const resuming = (key: string): string | undefined => this.#workflows.placeOf(key)
    this.#commands = new CommandDesk({ ...hooks, startedPerInstance, isRestarting, resuming })
    this.#housekeeping = new Housekeeping(environment, state, this.#commands.loads, this.#options)
    const takeSequence = (): number => this.#follower?.takeSequence() ?? 0
    const commands = {
      placeOf: (key: string) => this.#commands.placeOf(key),
      hold: (instance: string) => this.#commands.hold(instance),
      letGo: () => this.#letGo(),
    }
    this.#workflows = new WorkflowDesk({ ...hooks, batch: this.#batch, takeSequence, readTimers, lookMs, commands })
    this.#schedules = new ScheduleDesk({ ...hooks, lookMs })
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
    this.#commands.stop()
    this.#workflows.stop()
    this.#schedules.stop()
  }

  apply(b: Buffer, offset: number): void {
    const isAtWork = this.#follower?.isConnected === true
    for (let o = offset; o < b.length; o += padded(lengthOf(b, o))) {
      if (isAtWork) this.#applyEntry(b, o)
      else this.#followEntry(b, o)
    }
  }

  applied(): void {
    this.#startReady()
  }

  watermark(mark: Watermark): void {
    if (mark.applied === this.#keysAppliedUpTo) return
    this.#keysAppliedUpTo = mark.applied
    forgetSavedKeys(this.#state.idempotency, mark.applied)
    if (this.#workflows.storeApplied(mark.applied)) this.#startReady()
  }

  connected(): void {
    this.#restart()
  }

  writable(): void {
    this.#startReady()
  }

  disconnected(): void {
    this.#commands.clear()
    this.#housekeeping.roll.clear()
  }

  present(names: readonly string[]): void {
    this.#housekeeping.roll.called(names)
  }

  refused({ error }: Refused): void {
    if (error.code !== 'journal_full')
      this.#environment.log.warn({ code: error.code }, `a draft was refused: ${error.message}`)
    this.#restartTimer ??= this.#environment.scheduler.after(refusedDelayMs, () => {
      this.#restartTimer = null
      this.#restart()
    })
  }

  reset(reason: CommanderError): void {
    this.#reset(reason)
  }

  /** Another one is at work, or this one is catching up: what it would do about the entry follows from the state later (I2). */
  #followEntry(b: Buffer, o: number): void {
    reduce(this.#state, b, o)
    this.#workflows.followed(b, o)
  }

  #applyEntry(b: Buffer, o: number): void {
    const code = codeOf(b, o)
    const { commands } = this.#state
    switch (code) {
      case actionCodes['command/received']: {
        if (reduce(this.#state, b, o) === 0) this.#commands.received(commands.byLsn.get(lsnOf(b, o)) as PendingCommand)
        return
      }
      case actionCodes['command/started']:
        reduce(this.#state, b, o)
        this.#commands.started(b, o)
        return
      case actionCodes['command/completed']:
      case actionCodes['command/rejected']:
      case actionCodes['command/failed']:
      case actionCodes['command/parked']: {
        const command = commands.byLsn.get(referenceOf(b, o))
        if (command !== undefined) this.#commands.ended(command)
        if ((flagsOf(b, o) & entryFlags.ends) !== 0) this.#commands.workflowEnds(b, o)
        reduce(this.#state, b, o)
        if (code === actionCodes['command/completed']) this.#workflows.applied(b, o)
        this.#schedules.ended()
        if (command === undefined || code < actionCodes['command/failed']) return
        if (code === actionCodes['command/failed']) this.#commands.failed(command)
        this.#commands.offer(command.queue)
        return
      }
      case actionCodes['command/retried']:
      case actionCodes['command/skipped']: {
        reduce(this.#state, b, o)
        const queue = commands.byAggregate.get(keyOf(b, o))
        if (queue !== undefined) this.#commands.offer(queue)
        return
      }
      case actionCodes['application/registered']:
      case actionCodes['application/deregistered']:
        reduce(this.#state, b, o)
        this.#rebalance(nameOf(b, o))
        return
      case actionCodes['workflow/advanced']:
      case actionCodes['workflow/resumed']:
        if ((flagsOf(b, o) & entryFlags.ends) !== 0) this.#commands.workflowEnds(b, o)
        reduce(this.#state, b, o)
        this.#workflows.applied(b, o)
        this.#schedules.ended()
        return
      case actionCodes['schedule/fired']:
        reduce(this.#state, b, o)
        this.#schedules.fired(nameOf(b, o))
        return
      case actionCodes['stream/migrated']:
      case actionCodes['stream/migration-abandoned']:
      case actionCodes['journal/epoch-started']:
        reduce(this.#state, b, o)
        if (releasesAll(b, o)) this.#rebalance(null)
        return
      case actionCodes['stream/deleted']:
        this.#commands.workflowEnds(b, o)
        reduce(this.#state, b, o)
        this.#schedules.ended()
        return
      default:
        reduce(this.#state, b, o)
    }
  }

  #rebalance(instance: string | null): void {
    this.#workflows.rebalance()
    this.#schedules.changed()
    this.#commands.rebalance(instance)
  }

  /** Everything anew from the state: after a new connection, when drafts may have been lost (I2). */
  #restart(): void {
    this.#workflows.restart()
    this.#schedules.restart()
    this.#commands.restart()
    this.#startReady()
  }

  #startReady(): void {
    if (this.#follower?.isWritable === true) {
      this.#commands.draft()
      this.#workflows.draft()
      this.#schedules.draft()
      if (this.#isLetGo) this.#commands.draft()
      this.#isLetGo = false
    }
    this.#send()
  }

  /** What was held is drafted with what comes next. */
  #letGo(): void {
    this.#commands.letGo()
    this.#isLetGo = true
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
        if (this.#housekeeping.roll.isWanted) this.#follower.callRoll()
      }
      this.#sweepLater()
    })
  }
}
