import { limits } from '../kernel/limits.ts'
import { type ConfigKey, integer } from './config-key.ts'

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
    kind: integer(500, hourMs),
    default: 10_000,
    unit: 'ms',
    help: 'of silence, and a journal server is replaced in its group',
  },
  {
    path: 'replication.sparesMin',
    kind: integer(0, limits.replicasMax),
    unit: 'servers',
    help: 'that the master at work keeps spare by starting more on its host; default: it starts and ends none',
  },
  {
    path: 'replication.sparesMax',
    kind: integer(0, limits.replicasMax),
    default: limits.replicasMax,
    unit: 'servers',
    help: 'that may be spare before the master ends those of its host that hold nothing',
  },
  {
    path: 'replication.metadataWaitMs',
    kind: integer(0, hourMs),
    default: 60_000,
    unit: 'ms',
    help: 'that a member waits for the metadata store when it starts',
  },
]
