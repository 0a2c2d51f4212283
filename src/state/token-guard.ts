import { actionCodes } from '../actions/action-codes.ts'
import {
  codeOf,
  entryEnd,
  lsnOf,
  nameOf,
  payloadStart,
  referenceOf,
  tokenOf,
} from '../actions/entry-layout.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { readUint64 } from '../kernel/integers.ts'
import type { RootState } from './root.ts'

/**
 * Which token each started command may end under: all that the journal writer knows of the state. It follows from
 * the same entries as everybody's state, and holds no more than what is started (G5, G3: a command that has ended
 * is not here, so it cannot end twice).
 */
export class TokenGuard {
  readonly #tokens = new Map<Lsn, number>()
  readonly #instances = new Map<Lsn, string>()

  static of(state: RootState): TokenGuard {
    const guard = new TokenGuard()
    for (const command of state.commands.byLsn.values()) {
      if (command.token !== 0) guard.#start(command.lsn, command.token, command.instance)
    }
    return guard
  }

  get size(): number {
    return this.#tokens.size
  }

  /** Whether the draft at `o` may become an entry now. */
  admits(b: Buffer, o: number): boolean {
    switch (codeOf(b, o)) {
      case actionCodes['command/completed']:
      case actionCodes['command/rejected']:
      case actionCodes['command/failed']:
      case actionCodes['command/parked']:
        return this.#tokens.get(referenceOf(b, o)) === tokenOf(b, o)
      default:
        return true
    }
  }

  /** Folds an entry that has its LSN. */
  apply(b: Buffer, o: number): void {
    switch (codeOf(b, o)) {
      case actionCodes['command/completed']:
      case actionCodes['command/rejected']:
      case actionCodes['command/failed']:
      case actionCodes['command/parked'] : {
        const command = referenceOf(b, o)
        this.#tokens.delete(command)
        this.#instances.delete(command)
        return
      }
      case actionCodes['command/started']: {
        const instance = nameOf(b, o)
        const assignment = lsnOf(b, o)
        const end = entryEnd(b, o)
        for (let i = payloadStart(b, o); i + 8 <= end; i += 8) this.#start(lsn(readUint64(b, i)), assignment, instance)
        return
      }
      case actionCodes['application/registered']:
      case actionCodes['application/deregistered']:
        this.#release(nameOf(b, o))
        return
      default:
        return
    }
  }

  #start(command: Lsn, assignment: number, instance: string): void {
    this.#tokens.set(command, assignment)
    this.#instances.set(command, instance)
  }

  #release(instance: string): void {
    for (const [command, holder] of this.#instances) {
      if (holder !== instance) continue
      this.#instances.delete(command)
      this.#tokens.delete(command)
    }
  }
}
