import { limits } from '../kernel/limits.ts'
import type { ConfigKey } from './config-key.ts'

const hourMs = 3_600_000

/** Keys of what watches over a cluster. */
export const masterKeys: readonly Omit<ConfigKey, 'variable'>[] = [
  {
    path: 'replication.master',
    kind: { type: 'boolean' },
    flag: '--journal-master',
    help: 'run a master here, which suggests leaders and groups; default true, but not with --journal-servers-only',
  },
  {
    path: 'replication.serverSilenceMs',
    kind: { type: 'integer', min: 500, max: hourMs },
    default: 10_000,
    unit: 'ms',
    help: 'of silence, and a journal server is replaced in its group',
  },
  {
    path: 'replication.sparesMin',
    kind: { type: 'integer', min: 0, max: limits.replicasMax },
    unit: 'servers',
    help: 'that the master at work keeps spare by starting more on its host; default: it starts and ends none',
  },
  {
    path: 'replication.sparesMax',
    kind: { type: 'integer', min: 0, max: limits.replicasMax },
    default: limits.replicasMax,
    unit: 'servers',
    help: 'that may be spare before the master ends those of its host that hold nothing',
  },
  {
    path: 'replication.metadataWaitMs',
    kind: { type: 'integer', min: 0, max: hourMs },
    default: 60_000,
    unit: 'ms',
    help: 'that a member waits for the metadata store when it starts',
  },
]
