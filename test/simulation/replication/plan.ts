import { checkPolicy, type ReplicationPolicy } from '../../../src/replication/replication-policy.ts'
import { SeededRandom } from '../../../src/testing/seeded-random.ts'

/** How a history is; all of it follows from the seed. */
export interface Plan {
  readonly seed: number
  readonly mode: 'faults' | 'slowServer'
  readonly policy: ReplicationPolicy
  readonly nodes: number
  readonly servers: number
  /** Servers, the first ones, whose disk may be damaged or lost: no more than the policy covers. */
  readonly fragile: number
  readonly leaseMs: number
  /** Until everything heals. */
  readonly faultsMs: number
  readonly appendEveryMs: number
  readonly readEveryMs: number
  readonly network: NetworkPlan
  readonly flushMs: number
  readonly clockDrift: number
  /** Of answers of the metadata store that are old, that are lost, or whose request is. */
  readonly staleReads: number
  readonly lostSwaps: number
  readonly hasArchive: boolean
  readonly hasMaster: boolean
  /** Of appends, that nobody waits for: they are sent with others, or by the next tick. */
  readonly unawaited: number
  /** Of servers: those that no quorum needs get their entries later. */
  readonly isDeviceShared: boolean
  /** Mean time between two faults of each kind; 0 for none of it. Milliseconds. */
  readonly faults: Readonly<Record<FaultKind, number>>
}

export interface NetworkPlan {
  readonly delayMs: number
  readonly jitterMs: number
  readonly loss: number
  readonly duplication: number
}

export const faultKinds = [
  'crashServer',
  'powerServer',
  'crashNode',
  'crashMaster',
  'pauseServer',
  'pauseNode',
  'partition',
  'oneWay',
  'split',
  'lostRoll',
  'clockJump',
  'metadataOutage',
  'diskFull',
  'damageMiddle',
  'damageEnd',
  'wipe',
  'duel',
  'resign',
  'roll',
  'regroup',
  'trim',
] as const
export type FaultKind = (typeof faultKinds)[number]

const noFaults = Object.fromEntries(faultKinds.map((kind) => [kind, 0])) as Record<FaultKind, number>

export function planOf(seed: number): Plan {
  const random = new SeededRandom(seed ^ 0x5eed)
  const replicas = random.pick([1, 2, 3, 3, 3, 3, 4, 5])
  const mode = replicas > 1 && random.chance(0.1) ? 'slowServer' : 'faults'
  const ackQuorum = random.integer(1, mode === 'slowServer' ? replicas - 1 : replicas)
  const policy = checkPolicy({ replicas, ackQuorum, topology: random.chance(0.3) ? 'chain' : 'fanout' })
  // A loss of so many copies leaves one of each acknowledged entry, and enough servers to seal.
  const fragile = mode === 'slowServer' ? 0 : ackQuorum - 1
  const isCalm = mode === 'slowServer' || random.chance(0.1)
  const often = random.pick([400, 800, 1600])
  const each = (kind: FaultKind): number =>
    isCalm || random.chance(0.45) ? 0 : often * random.pick([1, 2, 4]) * (kind === 'trim' || kind === 'roll' ? 0.5 : 1)
  const faults = Object.fromEntries(faultKinds.map((kind) => [kind, each(kind)])) as Record<FaultKind, number>
  return {
    seed,
    mode,
    policy,
    nodes: random.integer(2, 3),
    servers: replicas + fragile + random.integer(0, 2),
    fragile,
    leaseMs: random.pick([600, 1_000]),
    faultsMs: random.pick([2_000, 3_000, 5_000]),
    appendEveryMs: random.pick([15, 30, 80]),
    readEveryMs: random.pick([30, 60, 120]),
    network: {
      delayMs: random.pick([0.3, 1, 5, 20]),
      jitterMs: random.pick([0.1, 2, 20]),
      loss: isCalm ? 0 : random.pick([0, 0.01, 0.05, 0.15]),
      duplication: isCalm ? 0 : random.pick([0, 0.02, 0.1]),
    },
    flushMs: random.pick([0.5, 3, 15]),
    clockDrift: random.pick([0, 0.01, 0.2]),
    staleReads: random.pick([0, 0.2, 0.6]),
    lostSwaps: isCalm ? 0 : random.pick([0, 0.1, 0.4]),
    hasArchive: random.chance(0.3),
    hasMaster: random.chance(0.7),
    faults: isCalm ? noFaults : faults,
    unawaited: mode === 'slowServer' ? 0 : random.pick([0, 0, 0.3]),
    isDeviceShared: random.chance(0.4),
  }
}
