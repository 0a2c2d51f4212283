import type { Log } from '../kernel/environment.ts'
import type { NodeRecord, NodeStates } from './node-record.ts'

/** Whether another node has the state that this one has, as far as both said so of the same entry. */
export interface NodeComparison {
  readonly node: string
  /** The last entry after which both had the same state; 0 before there was one. */
  readonly agreedLsn: number
  /** The first entry after that at which they did not; null where they agree. */
  readonly difference: StateDifference | null
}

export interface StateDifference {
  readonly lsn: number
  readonly hash: string
  readonly ownHash: string
}

/**
 * Compares what the nodes of a cluster say of their states (G7). Within a node the processes are compared already, so what differs here
 * differs in all processes of a node, or was wrong in what they began from. Which node is right cannot be known from two: people are told.
 *
 * Holds one short record for each node that is there, or has gone with another state (G10): it is said once of one that comes and goes.
 */
export class StateComparison {
  readonly #log: Log
  readonly #nodes = new Map<string, NodeComparison>()
  #present: ReadonlyMap<string, NodeRecord> = new Map()

  constructor(log: Log) {
    this.#log = log
  }

  /** Of those that are there, by their names. */
  get all(): readonly NodeComparison[] {
    const present = [...this.#nodes.values()].filter(({ node }) => this.#present.has(node))
    return present.sort((a, b) => (a.node < b.node ? -1 : 1))
  }

  /** @param nodes - all that are there, this one or not */
  compare(own: Pick<NodeRecord, 'id' | 'states'>, nodes: ReadonlyMap<string, NodeRecord>): void {
    this.#present = new Map(nodes)
    for (const { node, difference } of this.#nodes.values())
      if (difference === null && !nodes.has(node)) this.#nodes.delete(node)
    for (const { id, states } of nodes.values())
      if (id !== own.id && own.states !== undefined && states !== undefined) this.#compareWith(id, own.states, states)
  }

  #compareWith(node: string, own: NodeStates, other: NodeStates): void {
    // One of another version may make another state of the same entries.
    if (own.form !== other.form) return
    for (const { lsn, hash } of other.points) {
      const before = this.#nodes.get(node) ?? { node, agreedLsn: 0, difference: null }
      const ownHash = own.points.find((point) => point.lsn === lsn)?.hash
      if (ownHash === undefined || lsn <= Math.max(before.agreedLsn, before.difference?.lsn ?? 0)) continue
      if (ownHash === hash) this.#agree(before, lsn)
      else this.#differ(before, { lsn, hash, ownHash })
    }
  }

  #agree({ node, difference }: NodeComparison, lsn: number): void {
    this.#nodes.set(node, { node, agreedLsn: lsn, difference: null })
    if (difference !== null) this.#log.info({ node, lsn }, `node ${node} has the same state as this one again`)
  }

  #differ(before: NodeComparison, difference: StateDifference): void {
    if (before.difference !== null) return
    const { node, agreedLsn } = before
    this.#nodes.set(node, { ...before, difference })
    const since = agreedLsn === 0 ? 'they were not compared before' : `after entry ${agreedLsn} they had the same`
    this.#log.error(
      { node, ...difference, agreedLsn },
      `node ${node} has another state than this one after entry ${difference.lsn}; ${since}. One of the two is wrong, and two cannot tell ` +
        'which: where a third node agrees with one of them it is the other one. Stop that one, and start it again with an empty data ' +
        'directory, so that it takes the store of another node; and please report this',
    )
  }
}

/** The states of all nodes after the newest entry of which each of them says its own; empty where there is none. */
export function commonStates(nodes: readonly NodeRecord[]): ReadonlyMap<string, NodeStates['points'][number]> {
  const pointOf = ({ states }: NodeRecord, lsn: number): NodeStates['points'][number] | undefined =>
    states?.points.find((point) => point.lsn === lsn)
  const form = nodes[0]?.states?.form
  const isCommon = (lsn: number): boolean =>
    nodes.every((node) => node.states?.form === form && pointOf(node, lsn) !== undefined)
  const newest = Math.max(0, ...(nodes[0]?.states?.points ?? []).map(({ lsn }) => lsn).filter(isCommon))
  return new Map(nodes.flatMap((node) => [pointOf(node, newest)].flatMap((point) => (point ? [[node.id, point]] : []))))
}
