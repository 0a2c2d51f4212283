import { CommanderError } from '../kernel/errors.ts'
import type { Action } from './action.ts'
import type { ActionType } from './action-codes.ts'

/** From one version of an action's form to the next. */
export type Upcast = (action: Action) => Action

/** Of each action whose form has changed: the step from version 1 to 2, from 2 to 3, and so on. */
export type Upcasts = Partial<Record<ActionType, readonly Upcast[]>>

/** No form has changed since version 1. */
const upcasts: Upcasts = {}

/** The version that this software writes for an action. */
export const currentVersion = (type: ActionType, table: Upcasts = upcasts): number => (table[type]?.length ?? 0) + 1

/**
 * Brings a decoded action from the version that it was written in to today's.
 * @throws CommanderError `unsupported_version` when it was written by a newer CommanderDB.
 */
export function upcast(type: ActionType, version: number, action: Action, table: Upcasts = upcasts): Action {
  const current = currentVersion(type, table)
  if (version === current) return action
  if (version > current || version < 1) {
    throw new CommanderError(
      'unsupported_version',
      `${type} of version ${version} is newer than ${current}, which this version knows: use a newer CommanderDB`,
    )
  }
  const steps = table[type] ?? []
  return steps.slice(version - 1).reduce((form, step) => step(form), action)
}
