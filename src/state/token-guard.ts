import { actionCodes } from '../actions/action-codes.ts'
import {
  codeOf,
  entryEnd,
  entryFlags,
  flagsOf,
  keyOf,
  lsnOf,
  nameOf,
  payloadStart,
  referenceOf,
  tokenOf,
} from '../actions/entry-layout.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { readUint64 } from '../kernel/integers.ts'
import { NumberMap } from '../kernel/number-map.ts'
import { releasesAll } from './migrations.ts'
import type { RootState } from './root.ts'

interface Assignment {
  readonly token: number
  readonly instance: string
}

/**
 * Which token each started command may end under: all that the journal writer knows of the state. It follows from
 * the same entries as everybody's state, and holds no more than what is started (G5, G3: a command that has ended
 * is not here, so it cannot end twice).
 */
export class TokenGuard {
  readonly #assignments = new NumberMap<Assignment>()
  /** The activation of each workflow that has something to do, by key; and the other way round. */
  readonly #activeByKey = new Map<string, Lsn>()
  readonly #active = new NumberMap<string>()
  readonly #instances = new Set<string>()
  /** What the drafts applied since `begin` replaced, so that a batch that could not be written can be taken back. */
  #undo: [Lsn, Assignment | undefined][] = []
  /** The same for what is seldom replaced. */
  #undoRare: (() => void)[] = []

  static of(state: RootState): TokenGuard {
    const guard = new TokenGuard()
    const { commands, activations, applications } = state
    for (const instance of applications.byInstance.keys()) guard.#instances.add(instance)
    for (const { lsn: activation, key } of activations.byKey.values()) guard.#setActive(key, activation)
    for (const { lsn: command, token, instance } of [...commands.byLsn.values(), ...activations.byKey.values()]) {
      if (token !== 0) guard.#assignments.set(command, { token, instance })
    }
    return guard
  }

  get size(): number {
    return this.#assignments.size
  }

  begin(): void {
    this.#undo = []
    this.#undoRare = []
  }

  rollback(): void {
    for (const [command, former] of this.#undo.reverse()) {
      if (former === undefined) this.#assignments.delete(command)
      else this.#assignments.set(command, former)
    }
    for (const undo of this.#undoRare.reverse()) undo()
    this.begin()
  }

  /** Whether the draft at `o` may become an entry now. */
  admits(b: Buffer, o: number): boolean {
    return !isUnderToken(codeOf(b, o)) || this.#assignments.get(referenceOf(b, o))?.token === tokenOf(b, o)
  }

  /** Folds an entry that has its LSN. */
  apply(b: Buffer, o: number): void {
    const code = codeOf(b, o)
    if (endsAttempt(code)) {
      const flags = flagsOf(b, o)
      // What activates a workflow keeps its assignment, for the workflow.
      if ((flags & entryFlags.activates) === 0 || !this.#activate(b, o)) this.#end(referenceOf(b, o))
      if ((flags & entryFlags.releases) !== 0) this.#deactivate(keyOf(b, o))
    } else if (code === actionCodes['workflow/advanced']) {
      if ((flagsOf(b, o) & entryFlags.releases) !== 0) this.#deactivate(keyOf(b, o))
    } else if (code === actionCodes['command/started'] || code === actionCodes['workflow/resumed']) this.#start(b, o)
    else if (code === actionCodes['application/registered'] || code === actionCodes['application/deregistered'])
      this.#membership(nameOf(b, o), code === actionCodes['application/registered'])
    else if (releasesAll(b, o)) this.#releaseAll(code === actionCodes['journal/epoch-started'])
  }

  /** False for a workflow that is active: void. */
  #activate(b: Buffer, o: number): boolean {
    const key = keyOf(b, o)
    if (this.#activeByKey.has(key)) return false
    const activation = referenceOf(b, o)
    this.#setActive(key, activation)
    this.#undoRare.push(() => this.#setInactive(key, activation))
    return true
  }

  #deactivate(key: string): void {
    const activation = this.#activeByKey.get(key)
    if (activation === undefined) return
    this.#end(activation)
    this.#setInactive(key, activation)
    this.#undoRare.push(() => this.#setActive(key, activation))
  }

  #setActive(key: string, activation: Lsn): void {
    this.#activeByKey.set(key, activation)
    this.#active.set(activation, key)
  }

  #setInactive(key: string, activation: Lsn): void {
    this.#activeByKey.delete(key)
    this.#active.delete(activation)
  }

  /** Resumption is void for an instance that has gone, and for workflows that have nothing to do any more. */
  #start(b: Buffer, o: number): void {
    const assignment = { token: lsnOf(b, o), instance: nameOf(b, o) }
    const isResumption = codeOf(b, o) === actionCodes['workflow/resumed']
    if (isResumption && !this.#instances.has(assignment.instance)) return
    const end = entryEnd(b, o)
    for (let i = payloadStart(b, o); i + 8 <= end; i += 8) {
      const command = lsn(readUint64(b, i))
      if (isResumption && !this.#active.has(command)) continue
      this.#undo.push([command, this.#assignments.get(command)])
      this.#assignments.set(command, assignment)
    }
  }

  /** With another leader the instances are gone as well. */
  #releaseAll(withInstances: boolean): void {
    for (const command of [...this.#assignments.keys()]) this.#end(lsn(command))
    if (!withInstances) return
    const former = [...this.#instances]
    this.#instances.clear()
    this.#undoRare.push(() => {
      for (const instance of former) this.#instances.add(instance)
    })
  }

  #end(command: Lsn): void {
    this.#undo.push([command, this.#assignments.get(command)])
    this.#assignments.delete(command)
  }

  /** An instance came or went: what it was assigned is nobody's. */
  #membership(instance: string, isMember: boolean): void {
    const was = this.#instances.has(instance)
    if (isMember) this.#instances.add(instance)
    else this.#instances.delete(instance)
    this.#undoRare.push(() => (was ? this.#instances.add(instance) : this.#instances.delete(instance)))
    for (const [command, assignment] of this.#assignments.entries())
      if (assignment.instance === instance) this.#end(lsn(command))
  }
}

const isUnderToken = (code: number): boolean => endsAttempt(code) || code === actionCodes['workflow/advanced']

const endsAttempt = (code: number): boolean =>
  code >= actionCodes['command/completed'] && code <= actionCodes['command/parked']
