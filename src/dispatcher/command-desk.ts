import type { Action } from '../actions/action.ts'
import { startedCount, startedLsns } from '../actions/decode.ts'
import { entryEnd, keyOf, lsnOf, nameOf, payloadStart } from '../actions/entry-layout.ts'
import type { Environment } from '../kernel/environment.ts'
import { lsn } from '../kernel/identifiers.ts'
import { readUint64 } from '../kernel/integers.ts'
import { limits } from '../kernel/limits.ts'
import { NumberMap } from '../kernel/number-map.ts'
import { type AggregateQueue, dispatcherName, type PendingCommand } from '../state/commands.ts'
import type { RootState } from '../state/root.ts'
import { type InstanceLoad, InstanceLoads } from './instance-loads.ts'
import { Lanes } from './lanes.ts'
import { parkingOf } from './parking.ts'
import { instanceFor, type PlaceOf, placeOfCommands } from './placement.ts'
import { Retries } from './retries.ts'

export interface CommandDeskOptions {
  readonly environment: Environment
  readonly state: RootState
  /** Commands started on one instance and not yet terminal. */
  readonly startedPerInstance: number
  readonly draft: (action: Action) => void
  /** Where a workflow is about to go on. */
  readonly resuming: PlaceOf
  /** Something is due: `draft` is to be called when drafts are taken. */
  readonly due: () => void
  /** Everything is about to be built anew. */
  readonly isRestarting: () => boolean
}

/**
 * What the dispatcher does for commands: starts them, in whole runs, each aggregate's on one instance.
 *
 * I1. A command is started only when every earlier pending command of its aggregate is started on the same instance,
 *     so that an aggregate's commands reach one process in LSN order (G2).
 */
export class CommandDesk {
  readonly #o: CommandDeskOptions
  readonly #state: RootState
  readonly loads: InstanceLoads = new InstanceLoads()
  /** Ready to be started, or in a draft that has not come back yet, each with its instance. */
  readonly #scheduled = new NumberMap<string>()
  readonly #retries: Retries
  readonly #lanes: Lanes

  constructor(options: CommandDeskOptions) {
    this.#o = options
    this.#state = options.state
    this.#retries = new Retries(options.environment)
    const offer = ({ queue, lsn: at }: PendingCommand): boolean => {
      this.offer(queue)
      return this.#scheduled.has(at)
    }
    this.#lanes = new Lanes({ ...options, offer })
  }

  stop(): void {
    this.#retries.stop()
    this.#lanes.stop()
  }

  clear(): void {
    this.#scheduled.clear()
    this.#lanes.clear()
    this.loads.clear()
  }

  /** A new command, which the state has taken in. */
  received(command: PendingCommand): void {
    const { commands, blockedBy } = command.queue
    if (command.retryAtMs !== 0) this.#retries.received(command)
    if (blockedBy !== 0) return
    const before = commands.length > 1 ? (commands[commands.length - 2] as PendingCommand) : null
    if (before !== null && before.token === 0 && !this.#scheduled.has(before.lsn)) return // I1
    if (command.retryAtMs !== 0) this.offer(command.queue)
    else if (this.#lanes.mayStart(command)) this.#schedule(command)
  }

  /** A `command/started`, which the state has taken in. */
  started(b: Buffer, o: number): void {
    const instance = nameOf(b, o)
    const load = this.loads.of(instance)
    load.cameBack(startedCount(b, o))
    if (instance === dispatcherName) {
      this.#parkOwn(b, o)
      return
    }
    // Only where it had nothing to do: to be given more and more is no progress, and a silent instance is.
    if (load.started === 0) load.lastProgressMs = this.#o.environment.clock.monotonicMs()
    const token = lsnOf(b, o)
    const end = entryEnd(b, o)
    for (let i = payloadStart(b, o); i + 8 <= end; i += 8) {
      const at = lsn(readUint64(b, i))
      this.#scheduled.delete(at)
      this.#lanes.settled(at)
      const command = this.#state.commands.byLsn.get(at)
      if (command === undefined) continue
      if (command.token === (token as number)) load.started++
      else this.#voided(load, command)
    }
  }

  /** An attempt is about to end, in the state as well. */
  ended(command: PendingCommand): void {
    this.#retries.ended(command.lsn)
    this.#lanes.ended(command)
    if (command.token === 0 || command.instance === dispatcherName) return
    const load = this.loads.of(command.instance)
    load.started--
    load.lastProgressMs = this.#o.environment.clock.monotonicMs()
    if (load.started === 0) load.probing = false
  }

  failed(command: PendingCommand): void {
    this.#retries.failed(command)
  }

  /** Schedules what may be started of one aggregate, in order, up to the first command that has to wait. */
  offer(queue: AggregateQueue): void {
    if (queue.blockedBy !== 0) return
    for (const command of queue.commands) {
      if (command.token !== 0 || this.#scheduled.has(command.lsn)) continue
      const waitMs = this.#retries.waitMs(command)
      if (waitMs > 0) {
        this.#retryLater(queue, waitMs)
        return
      }
      if (!this.#lanes.mayStart(command) || !this.#schedule(command)) return
    }
  }

  /** The entry at `o` ends or removes a workflow, and is about to be taken in: somebody may wait for its slot. */
  workflowEnds(b: Buffer, o: number): void {
    const { holders } = this.#state.queues
    const lane = holders.size === 0 ? undefined : holders.get(keyOf(b, o))
    if (lane !== undefined) this.#lanes.freed(lane)
  }

  /** An instance came or went, or with null all were released: what is not drafted yet goes to whoever owns it now. */
  rebalance(instance: string | null): void {
    for (const load of this.loads.values()) {
      for (const { lsn: at } of load.takeReady()) {
        this.#scheduled.delete(at)
        this.#lanes.settled(at)
      }
    }
    this.#lanes.changed()
    if (instance === null) this.loads.clear()
    else this.loads.delete(instance)
    this.#offerAll()
  }

  /** Everything anew from the state. */
  restart(): void {
    this.clear()
    const nowMs = this.#o.environment.clock.monotonicMs()
    for (const command of this.#state.commands.byLsn.values()) {
      if (command.token === 0) continue
      if (command.instance === dispatcherName) {
        this.#draftPark(command)
        continue
      }
      const load = this.loads.of(command.instance)
      load.started++
      load.lastProgressMs = nowMs
      if (command.crashes > 0) load.probing = true
    }
    this.#offerAll()
  }

  /** Where commands of an aggregate are under way, or about to be started. */
  placeOf(key: string): string | undefined {
    const queue = this.#state.commands.byAggregate.get(key)
    return queue === undefined ? undefined : placeOfCommands(this.#state, this.#scheduled, queue)
  }

  /** No further command is started on an instance, until `letGo`. @returns whether none is under way there */
  hold(instance: string): boolean {
    const load = this.loads.of(instance)
    load.isHeld = true
    return load.given === 0
  }

  letGo(): void {
    for (const load of this.loads.values()) load.isHeld = false
  }

  /** Drafts what is due. Only while drafts are taken. */
  draft(): void {
    this.#lanes.open()
    for (const load of this.loads.values()) if (load.waiting > 0) this.#draftStarted(load)
  }

  #offerAll(): void {
    for (const queue of this.#state.commands.byAggregate.values()) this.offer(queue)
  }

  /** Without an instance that hosts the aggregate's type the command waits for one to register. */
  #schedule(command: PendingCommand): boolean {
    const instance =
      command.crashes >= limits.crashesMax
        ? dispatcherName
        : instanceFor(this.#state, this.#scheduled, this.#o.resuming, command)
    if (instance === null) return false
    this.#scheduled.set(command.lsn, instance)
    this.loads.of(instance).push(command)
    return true
  }

  /** Its instance has gone, or the command before it was released; before a restart, that offers it anew. */
  #voided(load: InstanceLoad, command: PendingCommand): void {
    if (command.crashes > 0) load.probing = false
    if (!this.#o.isRestarting()) this.offer(command.queue)
  }

  #retryLater({ key }: AggregateQueue, delayMs: number): void {
    this.#retries.later(key, delayMs, () => {
      const queue = this.#state.commands.byAggregate.get(key)
      if (queue !== undefined) this.offer(queue)
      this.#o.due()
    })
  }

  #draftStarted(load: InstanceLoad): void {
    const commands = load.takeStartable(this.#o.startedPerInstance)
    if (commands.length === 0) return
    const time = this.#lanes.isCounting ? { atMs: this.#lanes.nowMs() } : {}
    this.#o.draft({ type: 'command/started', instance: load.instance, commands, ...time })
  }

  #parkOwn(b: Buffer, o: number): void {
    for (const at of startedLsns(b, o)) {
      const command = this.#state.commands.byLsn.get(at)
      this.#scheduled.delete(at)
      if (command !== undefined) this.#draftPark(command)
    }
  }

  #draftPark(command: PendingCommand): void {
    this.#o.draft(parkingOf(command, this.#o.environment.clock.wallMs()))
  }
}
