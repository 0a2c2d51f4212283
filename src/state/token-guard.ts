import { actionCodes } from '../actions/action-codes.ts'
import {
  codeOf,
  entryEnd,
  entryFlags,
  flagsOf,
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
  /** What the drafts applied since `begin` replaced, so that a batch that could not be written can be taken back. */
  #undo: [Lsn, Assignment | undefined][] = []

  static of(state: RootState): TokenGuard {
    const guard = new TokenGuard()
    const { commands, activations } = state
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
  }

  rollback(): void {
    for (const [command, former] of this.#undo.reverse()) {
      if (former === undefined) this.#assignments.delete(command)
      else this.#assignments.set(command, former)
    }
    this.#undo = []
  }

  /** Whether the draft at `o` may become an entry now. */
  admits(b: Buffer, o: number): boolean {
    return !isUnderToken(codeOf(b, o)) || this.#assignments.get(referenceOf(b, o))?.token === tokenOf(b, o)
  }

  /** Folds an entry that has its LSN. */
  apply(b: Buffer, o: number): void {
    const code = codeOf(b, o)
    if (endsAttempt(code)) {
      // What activates a workflow keeps its assignment, for the workflow.
      if ((flagsOf(b, o) & entryFlags.activates) === 0) this.#end(referenceOf(b, o))
    } else if (code === actionCodes['workflow/advanced']) {
      if ((flagsOf(b, o) & entryFlags.releases) !== 0) this.#end(referenceOf(b, o))
    } else if (code === actionCodes['command/started'] || code === actionCodes['workflow/resumed']) this.#start(b, o)
    else if (code === actionCodes['application/registered'] || code === actionCodes['application/deregistered']) {
      this.#release(nameOf(b, o))
    } else if (releasesAll(b, o)) this.#releaseAll()
  }

  #start(b: Buffer, o: number): void {
    const assignment = { token: lsnOf(b, o), instance: nameOf(b, o) }
    const end = entryEnd(b, o)
    for (let i = payloadStart(b, o); i + 8 <= end; i += 8) {
      const command = lsn(readUint64(b, i))
      this.#undo.push([command, this.#assignments.get(command)])
      this.#assignments.set(command, assignment)
    }
  }

  #releaseAll(): void {
    for (const command of [...this.#assignments.keys()]) this.#end(lsn(command))
  }

  #end(command: Lsn): void {
    this.#undo.push([command, this.#assignments.get(command)])
    this.#assignments.delete(command)
  }

  #release(instance: string): void {
    for (const [command, assignment] of this.#assignments.entries())
      if (assignment.instance === instance) this.#end(lsn(command))
  }
}

const isUnderToken = (code: number): boolean => endsAttempt(code) || code === actionCodes['workflow/advanced']

const endsAttempt = (code: number): boolean =>
  code >= actionCodes['command/completed'] && code <= actionCodes['command/parked']
