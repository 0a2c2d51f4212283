import { aggregateTypeOf } from '../actions/aggregate-key.ts'
import type { Scheduler, Timer } from '../kernel/environment.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import type { Activation } from '../state/activations.ts'
import { ownerOf } from '../state/applications.ts'
import type { PendingCommand } from '../state/commands.ts'
import type { RootState } from '../state/root.ts'

const isSuspect = ({ crashes }: PendingCommand): boolean => crashes > 0 && crashes < limits.crashesMax

/** A workflow that has not crashed its process for so long is not what crashed it. */
const probeMs = 1_000
/** Before that it has to be restored and begun, which takes long on a busy machine: no longer than this, or it has nothing to begin. */
const beginMs = 10_000

export interface Resumptions {
  readonly byInstance: ReadonlyMap<string, readonly Lsn[]>
  /** They crash their process whenever they run: to be set aside. */
  readonly poisonous: readonly Activation[]
  /** Instances whose workflows are not what crashed it: to be said, so that nobody blames them for the next crash. */
  readonly cleared: ReadonlySet<string>
}

/**
 * Which active workflows go on where, after their instance went. Those that were under way when a process crashed by itself
 * go on one by one, so that a second crash names the culprit.
 */
export class Resumption {
  readonly #state: RootState
  readonly #scheduler: Scheduler
  readonly #due: () => void
  /** In a draft that has not come back, or to be set aside. */
  readonly #underWay = new Set<Lsn>()
  #probed: Lsn | null = null
  #cleared = new Set<string>()
  #isHeldBack = false
  #hasBegun = false
  #timer: Timer | null = null

  constructor(state: RootState, scheduler: Scheduler, due: () => void) {
    this.#state = state
    this.#scheduler = scheduler
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
  }

  /** Its draft has come back. */
  resumed(activation: Lsn): void {
    this.#underWay.delete(activation)
  }

  take(): Resumptions {
    const { activations, applications } = this.#state
    const byInstance = new Map<string, Lsn[]>()
    const poisonous: Activation[] = []
    this.#lookAtProbe()
    this.#isHeldBack = false
    for (const activation of activations.byKey.values()) {
      const { lsn, key, hash, token, crashes } = activation
      if (token !== 0 || this.#underWay.has(lsn)) continue
      const owner = ownerOf(applications, aggregateTypeOf(key), hash)
      if (owner === undefined) continue
      if (crashes >= limits.crashesMax) poisonous.push(activation)
      else if (crashes > 0 && (this.#isHeldBack || !this.#mayProbe(lsn))) continue
      else {
        const resumed = byInstance.get(owner.instance)
        if (resumed === undefined) byInstance.set(owner.instance, [lsn])
        else resumed.push(lsn)
      }
      this.#underWay.add(lsn)
    }
    const cleared = this.#cleared
    this.#cleared = new Set()
    return { byInstance, poisonous, cleared }
  }

  /** Whether something waits for the one that is probed, which may have got on. */
  get isProbing(): boolean {
    return this.#probed !== null
  }

  /** A command that may be what crashed the process is run first: else a second crash would be blamed on both. */
  get isHeldBack(): boolean {
    return this.#isHeldBack
  }

  #mayProbe(activation: Lsn): boolean {
    if (this.#probed !== null) return false
    this.#isHeldBack = [...this.#state.commands.byLsn.values()].some(isSuspect)
    if (this.#isHeldBack) return false
    this.#probed = activation
    this.#hasBegun = false
    this.#clearAfter(activation, beginMs)
    return true
  }

  /** A step of it has come: from now on it is at work. */
  advanced(activation: Lsn): void {
    if (this.#probed !== activation || this.#hasBegun) return
    this.#hasBegun = true
    this.#clearAfter(activation, probeMs)
  }

  #clearAfter(activation: Lsn, delayMs: number): void {
    this.#timer?.cancel()
    this.#timer = this.#scheduler.after(delayMs, () => {
      const instance = this.#state.activations.byLsn.get(activation)?.instance ?? ''
      if (instance !== '') this.#cleared.add(instance)
      this.#endProbe()
      this.#due()
    })
  }

  #lookAtProbe(): void {
    if (this.#probed === null || this.#underWay.has(this.#probed)) return
    const activation = this.#state.activations.byLsn.get(this.#probed)
    if (activation === undefined || activation.crashes === 0) this.#endProbe()
  }

  #endProbe(): void {
    this.#probed = null
    this.#timer?.cancel()
    this.#timer = null
  }
}
