import { defaultJournalOptions } from '../../src/journal/options.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'
import { fastPace, usualPace } from '../../src/testing/simulated-host.ts'
import type { WorkloadSettings } from './client.ts'
import type { ClusterSettings } from './cluster.ts'
import type { FaultSettings } from './faults.ts'

const minuteMs = 60_000

export interface Plan {
  readonly flushesCommits: boolean
  readonly startWallMs: number
  readonly copyBytes: boolean
  readonly windowBytes: number | undefined
  readonly instances: number
  readonly hasArchive: boolean
  /** Streams are closed, archived and deleted. */
  readonly hasKeeper: boolean
  readonly cluster: ClusterSettings
  readonly workload: WorkloadSettings
  readonly faults: FaultSettings
}

/** Calls of one client, at least and at most. */
const callsOf = { short: [3, 15], usual: [10, 45], long: [60, 120] } as const
export type Length = keyof typeof callsOf
/** Many short histories, few long ones. */
const lengths: readonly Length[] = [
  ...new Array<Length>(11).fill('short'),
  ...new Array<Length>(8).fill('usual'),
  'long',
]

/** How this history is; drawn from numbers of its own, so that a change of the plan does not change the chances within. */
export function planOf(seed: number, length: Length | undefined): Plan {
  const random = new SeededRandom(seed ^ 0x5eed)
  const isSlow = random.chance(0.15)
  const lengthOfSeed = random.pick(lengths)
  const [callsAtLeast, callsAtMost] = callsOf[length ?? lengthOfSeed]
  const limits = new SeededRandom(seed ^ 0x11317)
  const segmentBytes = 1 << 20
  const maxBytes = segmentBytes * limits.pick([2, 3, 1024])
  const checkpointTimeoutMs = limits.pick([100, 1_000, 300_000])
  const windowBytes = random.pick([undefined, undefined, 65_536, 8_192])
  const streams = new SeededRandom(seed ^ 0x57e4)
  const hasKeeper = streams.chance(0.3)
  const hasArchive = streams.chance(hasKeeper ? 0.7 : 0.05)
  const media = new SeededRandom(seed ^ 0x3ed1a).chance(1 / 6)
  const padding = random.pick([0, 0, 0, 300, 20_000])
  return {
    // Keys expire by the minute: mostly it is over soon.
    startWallMs:
      minuteMs * 28_333_333 + (random.chance(0.7) ? random.integer(58_000, 59_950) : random.integer(0, 59_999)),
    copyBytes: random.chance(0.7),
    flushesCommits: random.chance(0.6),
    windowBytes,
    instances: random.pick([1, 2]),
    hasArchive,
    hasKeeper,
    cluster: {
      journal: { ...defaultJournalOptions, segmentBytes, maxBytes, blockBytes: random.pick([512, 4096]) },
      flush: {
        writerDelayMs: random.pick([5, 50, 200]),
        flushAfterBytes: random.pick([1_000, 1_048_576]),
        commitDelayMicros: random.pick([0, 0, 500]),
        durability: 'flushed',
      },
      attestIntervalMs: 100,
      retention: {
        maxJournalBytes: maxBytes,
        checkpointTimeoutMs,
        checkpointCompletionTarget: limits.pick([0, 0.5, 0.9]),
      },
      dispatcher: {
        silenceMs: 1_000,
        sweepMs: 200,
        startedPerInstance: random.pick([1, 4, 4096]),
        keysKeptMs: limits.pick([0, 1_000]),
      },
      commitIntervalMs: random.pick([0, 5, 25]),
      checkpointTimeoutMs,
      pendingCommands: random.pick([3, 1_000, 1_000]),
      liveBytesMax: random.pick([1, 4_096, 67_108_864]),
    },
    workload: {
      clients: random.integer(1, 3),
      workers: random.integer(1, 6),
      callsPerClient: random.integer(callsAtLeast, callsAtMost),
      thinkMs: isSlow ? 2_000 : random.pick([0, 1, 5, 50]),
      keyed: random.pick([0.3, 0.3, 0.9]),
      repeated: random.pick([0.1, 0.1, 0.8]),
      accounts: random.pick([1, 2, 4, 8]),
      padding: windowBytes === undefined ? limits.pick([padding, padding, 100_000]) : padding,
      timeoutMs: 30_000,
      isStubborn: hasKeeper,
    },
    faults: {
      struck: random.integer(media ? 4 : 0, 12),
      doubled: random.pick([0, 0.2, 0.5]),
      power: random.chance(0.5) || media,
      media,
      disk: random.chance(0.25),
      clock: random.chance(0.2),
      archive: hasArchive,
      pace: random.pick([usualPace, fastPace]),
    },
  }
}
