import { type ItemKey, integer } from './config-key.ts'
import type { ProcessRole } from './resolved-config.ts'

const mebibyte = 1_048_576
const hourMs = 3_600_000
const dayMs = 86_400_000

/** The keys of `ProcessResources`. */
export const resourceKeys: readonly ItemKey[] = [
  { path: 'nice', kind: integer(-20, 19), help: 'scheduling priority, -20 (first) to 19 (last)' },
  { path: 'cpus', kind: { type: 'integers', min: 0, max: 4095 }, help: 'CPUs that the process may run on' },
  { path: 'maxOldSpaceMb', kind: integer(32, mebibyte), unit: 'MiB', help: "V8's old generation" },
  { path: 'maxSemiSpaceMb', kind: integer(1, 1024), unit: 'MiB', help: "one semi-space of V8's young generation" },
  { path: 'uvThreadpoolSize', kind: integer(1, 1024), unit: 'threads', help: 'for file and name look-up work' },
  {
    path: 'maxRssMb',
    kind: integer(64, mebibyte),
    unit: 'MiB',
    help: 'resident memory above which the process is restarted',
  },
  { path: 'env', kind: { type: 'record' }, help: 'further environment variables' },
  { path: 'nodeOptions', kind: { type: 'texts' }, help: "further options of Node's command line" },
  {
    path: 'restart.maxRestarts',
    kind: integer(0, 1000),
    default: 10,
    help: 'restarts within the period before giving up',
  },
  {
    path: 'restart.periodMs',
    kind: integer(1000, dayMs),
    default: 60_000,
    unit: 'ms',
    help: 'the period of maxRestarts',
  },
  {
    path: 'restart.initialDelayMs',
    kind: integer(0, 60_000),
    default: 100,
    unit: 'ms',
    help: 'before the first restart; doubles',
  },
  {
    path: 'restart.maxDelayMs',
    kind: integer(0, hourMs),
    default: 10_000,
    unit: 'ms',
    help: 'longest delay before a restart',
  },
  {
    path: 'shutdownMs',
    kind: integer(0, 600_000),
    default: 10_000,
    unit: 'ms',
    help: 'from the request to stop to SIGKILL',
  },
]

const processRoles: readonly ProcessRole[] = [
  'journalWriter',
  'dispatcher',
  'projectionApplier',
  'gateway',
  'journalServer',
  'journalMaster',
]

/** The same for each role: `processes.<role>`. */
export const processKeys: readonly ItemKey[] = processRoles.flatMap((role) =>
  resourceKeys.map((key) => ({ ...key, path: `processes.${role}.${key.path}` })),
)
