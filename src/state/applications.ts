import type { ApplicationRegistered } from '../actions/action.ts'
import { partitionCount, partitionOf } from '../kernel/hash.ts'
import type { Lsn } from '../kernel/identifiers.ts'

/** An application instance that may be given work. */
export interface ApplicationInstance {
  readonly instance: string
  readonly application: string
  readonly incarnation: number
  readonly aggregateTypes: readonly string[]
  readonly registeredLsn: Lsn
}

export interface ApplicationsSlice {
  readonly byInstance: Map<string, ApplicationInstance>
  /** Of each aggregate type, the instances that host it, by name: the owner of a partition follows from this list. */
  readonly hostsByType: Map<string, ApplicationInstance[]>
}

export const emptyApplications = (): ApplicationsSlice => ({ byInstance: new Map(), hostsByType: new Map() })

export function registerApplication(slice: ApplicationsSlice, action: ApplicationRegistered, at: Lsn): void {
  slice.byInstance.set(action.instance, {
    instance: action.instance,
    application: action.application,
    incarnation: action.incarnation,
    aggregateTypes: action.aggregateTypes,
    registeredLsn: at,
  })
  rebalance(slice)
}

export function deregisterApplication(slice: ApplicationsSlice, instance: string): void {
  if (slice.byInstance.delete(instance)) rebalance(slice)
}

/** Rebuilt from nothing: which instance owns what depends on who is there, never on the way there. */
export function rebalance(slice: ApplicationsSlice): void {
  slice.hostsByType.clear()
  for (const instance of slice.byInstance.values()) {
    for (const type of instance.aggregateTypes) {
      const hosts = slice.hostsByType.get(type)
      if (hosts === undefined) slice.hostsByType.set(type, [instance])
      else hosts.push(instance)
    }
  }
  for (const hosts of slice.hostsByType.values()) hosts.sort((a, b) => (a.instance < b.instance ? -1 : 1))
}

/** The instance that owns the aggregate's partition: contiguous, equal ranges over the hosts in the order of their names. */
export function ownerOf(slice: ApplicationsSlice, type: string, hash: number): ApplicationInstance | undefined {
  const hosts = slice.hostsByType.get(type)
  if (hosts === undefined) return undefined
  return hosts.length === 1 ? hosts[0] : hosts[Math.floor((partitionOf(hash) * hosts.length) / partitionCount)]
}
