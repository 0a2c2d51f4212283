import type { ApplicationRegistered, QueueForm } from '../actions/action.ts'
import { queueName } from '../actions/queue-actions.ts'
import { partitionCount, partitionOf } from '../kernel/hash.ts'
import type { Lsn } from '../kernel/identifiers.ts'

/** An application instance that may be given work. */
export interface ApplicationInstance {
  readonly instance: string
  readonly application: string
  readonly incarnation: number
  readonly aggregateTypes: readonly string[]
  /** The version of the definition of each of these types; absent where it did not say. */
  readonly aggregateVersions?: readonly number[]
  readonly registeredLsn: Lsn
  /** Absent where it has none. */
  readonly queues?: readonly QueueForm[]
}

export interface ApplicationsSlice {
  readonly byInstance: Map<string, ApplicationInstance>
  /** Of each aggregate type, the instances that host it, by name: the owner of a partition follows from this list. */
  readonly hostsByType: Map<string, ApplicationInstance[]>
  /** The limits of each queue, by its name, as the instance says that registered last. */
  readonly queues: Map<string, QueueForm>
}

export const emptyApplications = (): ApplicationsSlice => ({
  byInstance: new Map(),
  hostsByType: new Map(),
  queues: new Map(),
})

/** Of each type that was migrated, the version that its hosts must know. */
export type RequiredVersions = ReadonlyMap<string, { readonly version: number }>

export function registerApplication(
  slice: ApplicationsSlice,
  action: ApplicationRegistered,
  at: Lsn,
  required: RequiredVersions,
): void {
  const { instance, application, incarnation, aggregateTypes, aggregateVersions, queues } = action
  const registered = { instance, application, incarnation, aggregateTypes, registeredLsn: at }
  slice.byInstance.set(instance, {
    ...registered,
    ...(aggregateVersions === undefined ? {} : { aggregateVersions }),
    ...(queues === undefined ? {} : { queues }),
  })
  rebalance(slice, required)
}

export function deregisterApplication(slice: ApplicationsSlice, instance: string, required: RequiredVersions): void {
  if (slice.byInstance.delete(instance)) rebalance(slice, required)
}

/** They are of a node that no longer leads. */
export function deregisterAll(slice: ApplicationsSlice, required: RequiredVersions): void {
  slice.byInstance.clear()
  rebalance(slice, required)
}

/**
 * Rebuilt from nothing: which instance owns what depends on who is there, never on the way there. Code that is older
 * than its type's events gets no work on it.
 */
export function rebalance(slice: ApplicationsSlice, required: RequiredVersions): void {
  slice.hostsByType.clear()
  slice.queues.clear()
  const inOrder = [...slice.byInstance.values()].sort((a, b) => a.registeredLsn - b.registeredLsn)
  for (const { queues = [] } of inOrder)
    for (const form of queues) slice.queues.set(queueName(form.type, form.command), form)
  for (const instance of slice.byInstance.values()) {
    for (const [index, type] of instance.aggregateTypes.entries()) {
      if ((instance.aggregateVersions?.[index] ?? 0) < (required.get(type)?.version ?? 0)) continue
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
