import { aggregateTypeOf } from '../actions/aggregate-key.ts'
import type { Scheduler, Timer } from '../kernel/environment.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import type { Activation } from '../state/activations.ts'
import { ownerOf } from '../state/applications.ts'
import type { PendingCommand } from '../state/commands.ts'
import type { RootState } from '../state/root.ts'
import type { PlaceOf } from './placement.ts'

const isSuspect = ({ crashes }: PendingCommand): boolean => crashes > 0 && crashes < limits.crashesMax
const isSuspected = ({ crashes }: Activation): boolean => crashes > 0 && crashes < limits.crashesMax

/** A workflow that has not crashed its process for so long is not what crashed it; each time that it is suspected again, twice as long. */
const probeMs = 1_000
const doublingsMax = 4
/** Before that it has to be restored and begun, which takes long on a busy machine: no longer than this, or it has nothing to begin. */
const beginMs = 10_000

export interface Resumptions {
  readonly byInstance: ReadonlyMap<string, readonly Lsn[]>
  /** They crash their process whenever they run: to be set aside. */
  readonly poisonous: readonly Activation[]
  /** Instances whose workflows are not what crashed it: to be said, so that nobody blames them for the next crash. */
  readonly cleared: ReadonlySet<string>
}

/** What commands are at while workflows go on. */
export interface CommandHold {
  /** A workflow goes on where commands on it are under way: one live owner for each aggregate. */
  readonly placeOf: PlaceOf
  /** No further one is started there. @returns whether none is under way */
  hold(instance: string): boolean
  /** They go on. */
  letGo(): void
}

/**
 * Which active workflows go on where, after their instance went. Those that were under way when a process crashed by itself
 * go on one by one, so that a second crash names the culprit. Where something else was at work beside it by then, it names
 * nobody: who was on probation is doubtful, and is the next to go on, all alone.
 */
export class Resumption {
  readonly #state: RootState
  readonly #scheduler: Scheduler
  readonly #commands: CommandHold
  readonly #due: () => void
  /** In a draft that has not come back, with its instance, or to be set aside. */
  readonly #underWay = new Map<Lsn, string>()
  /** Were on probation when their process ended. */
  readonly #doubtful = new Set<Lsn>()
  /** How often each was cleared by time alone. */
  readonly #clearances = new Map<Lsn, number>()
  #probed: Lsn | null = null
  #cleared = new Set<string>()
  #heldInstance: string | null = null
  #isHeldBack = false
  #hasBegun = false
  /** One may be on probation since before everything was begun anew. */
  #mustAdopt = true
  #timer: Timer | null = null

  constructor(state: RootState, scheduler: Scheduler, commands: CommandHold, due: () => void) {
    this.#state = state
    this.#scheduler = scheduler
    this.#commands = commands
    this.#due = due
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  restart(): void {
    this.#underWay.clear()
    this.#cleared.clear()
    this.#endProbe()
    this.#mustAdopt = true
  }

  /** Its draft has come back. */
  resumed(activation: Lsn): void {
    this.#underWay.delete(activation)
  }

  /** Where the workflow is about to go on. */
  placeOf(key: string): string | undefined {
    const activation = this.#state.activations.byKey.get(key)
    return activation === undefined ? undefined : this.#underWay.get(activation.lsn)
  }

  take(): Resumptions {
    const { activations } = this.#state
    const byInstance = new Map<string, Lsn[]>()
    const poisonous: Activation[] = []
    this.#lookAtProbe()
    this.#isHeldBack = false
    const doubtful = this.#doubtfulOnes()
    if (doubtful.length === 0 && this.#probed === null) this.#letGo()
    for (const activation of activations.byKey.values()) {
      const { lsn, token, crashes } = activation
      if (token !== 0 || this.#underWay.has(lsn)) continue
      const instance = this.#ownerOf(activation)
      if (instance === undefined) continue
      if (crashes >= limits.crashesMax) poisonous.push(activation)
      else if (crashes > 0 && !this.#mayProbe(lsn, instance, doubtful)) continue
      else {
        const resumed = byInstance.get(instance)
        if (resumed === undefined) byInstance.set(instance, [lsn])
        else resumed.push(lsn)
      }
      this.#underWay.set(lsn, instance)
    }
    const cleared = this.#cleared
    this.#cleared = new Set()
    return { byInstance, poisonous, cleared }
  }

  /** Whether something waits for the one that is probed, which may have got on. */
  get isProbing(): boolean {
    return this.#probed !== null
  }

  /**
   * One waits for commands to end: a command that may be what crashed the process is run first, else a second crash would be
   * blamed on both; and who is doubtful waits to be alone.
   */
  get isHeldBack(): boolean {
    return this.#isHeldBack
  }

  #ownerOf({ key, hash }: Activation): string | undefined {
    return this.#commands.placeOf(key) ?? ownerOf(this.#state.applications, aggregateTypeOf(key), hash)?.instance
  }

  /** Those that can go on now, and are forgotten when they are suspected no longer. */
  #doubtfulOnes(): readonly Lsn[] {
    const { byLsn } = this.#state.activations
    const waiting: Lsn[] = []
    for (const lsn of this.#doubtful) {
      const activation = byLsn.get(lsn)
      if (activation === undefined || !isSuspected(activation)) this.#doubtful.delete(lsn)
      else if (activation.token === 0 && this.#ownerOf(activation) !== undefined) waiting.push(lsn)
    }
    for (const lsn of this.#clearances.keys()) if (!byLsn.has(lsn)) this.#clearances.delete(lsn)
    return waiting
  }

  #mayProbe(activation: Lsn, instance: string, doubtful: readonly Lsn[]): boolean {
    if (this.#probed !== null || this.#isHeldBack) return false
    // They come first: beside one that was cleared meanwhile they would not be alone.
    if (doubtful.length > 0 && !doubtful.includes(activation)) return false
    const isSuspectPending = [...this.#state.commands.byLsn.values()].some(isSuspect)
    // It may have come to the instance that is held.
    if (isSuspectPending) this.#letGo()
    this.#isHeldBack = isSuspectPending || (doubtful.length > 0 && !this.#hold(instance))
    if (this.#isHeldBack) return false
    this.#probe(activation)
    return true
  }

  #hold(instance: string): boolean {
    if (this.#heldInstance !== instance) this.#letGo()
    this.#heldInstance = instance
    return this.#commands.hold(instance)
  }

  #letGo(): void {
    if (this.#heldInstance === null) return
    this.#heldInstance = null
    this.#commands.letGo()
  }

  #probe(activation: Lsn): void {
    this.#probed = activation
    this.#hasBegun = false
    this.#clearAfter(activation, beginMs)
  }

  /** A step of it has come: from now on it is at work. */
  advanced(activation: Lsn): void {
    if (this.#probed !== activation || this.#hasBegun) return
    this.#hasBegun = true
    const doublings = Math.min(this.#clearances.get(activation) ?? 0, doublingsMax)
    this.#clearAfter(activation, probeMs * 2 ** doublings)
  }

  #clearAfter(activation: Lsn, delayMs: number): void {
    this.#timer?.cancel()
    this.#timer = this.#scheduler.after(delayMs, () => {
      const instance = this.#state.activations.byLsn.get(activation)?.instance ?? ''
      if (instance !== '') {
        this.#cleared.add(instance)
        this.#clearances.set(activation, (this.#clearances.get(activation) ?? 0) + 1)
      }
      this.#endProbe()
      this.#due()
    })
  }

  #lookAtProbe(): void {
    if (this.#mustAdopt) this.#adopt()
    if (this.#probed === null || this.#underWay.has(this.#probed)) return
    const activation = this.#state.activations.byLsn.get(this.#probed)
    if (activation?.token === 0) this.#doubtful.add(activation.lsn)
    if (activation === undefined || activation.crashes === 0 || activation.token === 0) this.#endProbe()
  }

  #adopt(): void {
    this.#mustAdopt = false
    for (const activation of this.#state.activations.byKey.values())
      if (activation.token !== 0 && isSuspected(activation)) return this.#probe(activation.lsn)
  }

  #endProbe(): void {
    this.#probed = null
    this.#timer?.cancel()
    this.#timer = null
    this.#letGo()
  }
}
