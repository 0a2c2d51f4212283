import type { Action } from '../actions/action.ts'
import { actionCodes } from '../actions/action-codes.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'

/** What operators decide on parked commands. */
export type CommandAction = Extract<Action, { type: 'command/retried' | 'command/skipped' }>

/** What operators decide on streams. */
export type StreamAction = Extract<Action, { type: 'stream/archived' | 'stream/closed' | 'stream/deleted' }>

export const isOperation = (code: number): boolean =>
  code === actionCodes['command/retried'] || code === actionCodes['command/skipped']

/**
 * Which parked commands an operator has decided on so lately that the store may still show them as parked. Deciding on
 * one twice would bring back a command that has ended since (G3).
 */
export class Operations {
  readonly #underWay = new Set<Lsn>()
  /** By command, the entry that says so; until the store has applied it. */
  readonly #decided = new Map<Lsn, Lsn>()

  /** @returns `invalid_input` when what the store says of the command is out of date. */
  begin(command: Lsn): CommanderError | null {
    if (this.#underWay.has(command) || this.#decided.has(command)) {
      const message = `command ${command} was retried or skipped a moment ago; only a parked command can be retried or skipped`
      return new CommanderError('invalid_input', message)
    }
    this.#underWay.add(command)
    return null
  }

  /** It never became an entry. */
  failed(command: Lsn): void {
    this.#underWay.delete(command)
  }

  /** The entry at `at` says that the command was retried or skipped, by whomever. */
  decided(command: Lsn, at: Lsn): void {
    this.#underWay.delete(command)
    this.#decided.set(command, at)
  }

  storeApplied(mark: Lsn): void {
    for (const [command, at] of this.#decided) if (at <= mark) this.#decided.delete(command)
  }
}
