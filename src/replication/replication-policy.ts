import { CommanderError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'

/** How a segment of a replicated stream is kept. */
export interface ReplicationPolicy {
  /** Servers of a group, 1 to 16. */
  readonly replicas: number
  /** Of them so many have flushed an entry before it counts as committed, 1 to `replicas`. */
  readonly ackQuorum: number
  /** Who carries entries from server to server; what is acknowledged and sealed is the same. */
  readonly topology: Topology
}

export type Topology = 'fanout' | 'chain'

const topologies: readonly unknown[] = ['fanout', 'chain'] satisfies Topology[]

/** So many sealed servers of a group leave too few for another commit, and one of them has each committed entry. */
export const sealQuorum = ({ replicas, ackQuorum }: Pick<ReplicationPolicy, 'replicas' | 'ackQuorum'>): number =>
  replicas - ackQuorum + 1

/** @throws CommanderError `invalid_config` */
export function checkPolicy(value: unknown): ReplicationPolicy {
  const { replicas, ackQuorum, topology } = (value ?? {}) as Partial<ReplicationPolicy>
  const isCount = (count: unknown, most: number): count is number =>
    Number.isInteger(count) && (count as number) >= 1 && (count as number) <= most
  if (!isCount(replicas, limits.replicasMax)) throw wrong('replicas', replicas, `1 to ${limits.replicasMax}`)
  if (!isCount(ackQuorum, replicas)) throw wrong('ackQuorum', ackQuorum, `1 to ${replicas}, the replicas`)
  if (topology !== 'fanout' && topology !== 'chain') throw wrong('topology', topology, topologies.join(' or '))
  return { replicas, ackQuorum, topology }
}

function wrong(name: string, value: unknown, expected: string): CommanderError {
  const message = `the ${name} of the replication policy is ${JSON.stringify(value)}: it must be ${expected}`
  return new CommanderError('invalid_config', message)
}
