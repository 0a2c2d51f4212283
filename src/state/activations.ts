import type { Lsn, Token } from '../kernel/identifiers.ts'
import { token } from '../kernel/identifiers.ts'
import { NumberMap } from '../kernel/number-map.ts'

/** A workflow that has something to do, and so belongs to one application instance. Sleeping and waiting ones are not here. */
export interface Activation {
  /** The command that gave it something to do; names the activation. */
  readonly lsn: Lsn
  /** The workflow's aggregate key. */
  readonly key: string
  readonly hash: number
  /** The application instance that it is assigned to; '' while it waits to be resumed. */
  instance: string
  /** LSN of the entry that assigned it; 0 while it waits to be resumed. */
  token: Token
  /** How often its process has crashed by itself since it last got on: it may be what crashes it. */
  crashes: number
}

export interface ActivationsSlice {
  readonly byLsn: NumberMap<Activation>
  readonly byKey: Map<string, Activation>
}

export const emptyActivations = (): ActivationsSlice => ({ byLsn: new NumberMap(), byKey: new Map() })

/** Void while the workflow is active. */
export function activate(
  slice: ActivationsSlice,
  lsn: Lsn,
  key: string,
  hash: number,
  instance: string,
  assignment: Token,
): void {
  if (!slice.byKey.has(key)) addActivation(slice, { lsn, key, hash, instance, token: assignment, crashes: 0 })
}

export function addActivation(slice: ActivationsSlice, activation: Activation): void {
  slice.byLsn.set(activation.lsn, activation)
  slice.byKey.set(activation.key, activation)
}

export function deactivate(slice: ActivationsSlice, key: string): void {
  const activation = slice.byKey.get(key)
  if (activation === undefined) return
  slice.byKey.delete(key)
  slice.byLsn.delete(activation.lsn)
}

export function markResumed(slice: ActivationsSlice, at: Lsn, instance: string, assignment: Token): void {
  const activation = slice.byLsn.get(at)
  if (activation === undefined) return
  activation.instance = instance
  activation.token = assignment
}

export const isSuspect = (slice: ActivationsSlice, at: Lsn): boolean => (slice.byLsn.get(at)?.crashes ?? 0) > 0

/**
 * Those that an instance works on have not crashed it for long enough: it is not them. Without this a slow request would be
 * blamed for every crash that happens while it waits.
 */
export function clearSuspects(slice: ActivationsSlice, instance: string): void {
  for (const activation of slice.byKey.values())
    if (activation.token !== 0 && activation.instance === instance) activation.crashes = 0
}

/** How many workflows are at work on an instance. */
export function activeOn({ byKey }: ActivationsSlice, instance: string): number {
  let count = 0
  for (const activation of byKey.values()) if (activation.token !== 0 && activation.instance === instance) count++
  return count
}

/** It has got on: whatever crashes its process now is something else. */
export function markAdvanced(slice: ActivationsSlice, at: Lsn): void {
  const activation = slice.byLsn.get(at)
  if (activation !== undefined) activation.crashes = 0
}

/**
 * Those of one instance, or with null all, are to be resumed.
 *
 * @param isSure nothing else was at work there. Otherwise one that is suspected is not found guilty yet.
 */
export function releaseActivations(
  slice: ActivationsSlice,
  instance: string | null,
  crashed: boolean,
  isSure = true,
): void {
  for (const activation of slice.byKey.values()) {
    if (activation.token === 0 || (instance !== null && activation.instance !== instance)) continue
    activation.instance = ''
    activation.token = token(0)
    if (crashed && (isSure || activation.crashes === 0)) activation.crashes++
  }
}
