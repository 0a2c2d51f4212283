import { limits } from '../kernel/limits.ts'
import { type ConfigKey, type ItemKey, integer, type ValueKind } from './config-key.ts'
import { masterKeys } from './master-keys.ts'
import { processKeys, resourceKeys } from './resource-keys.ts'

const unlimitedBytes = 2 ** 50
const gibibyte = 1_073_741_824
const mebibyte = 1_048_576
const hourMs = 3_600_000
const dayMs = 86_400_000

const boolean: ValueKind = { type: 'boolean' }
const text: ValueKind = { type: 'text' }

const applicationKeys: readonly ItemKey[] = [
  { path: 'module', kind: { type: 'path' }, required: true, help: 'path of the application module' },
  {
    path: 'instances',
    kind: integer(1, 64),
    default: 1,
    unit: 'processes',
    help: "share the application's aggregates",
  },
  ...resourceKeys.map((key) => ({ ...key, path: `resources.${key.path}` })),
]

const tokenKeys: readonly ItemKey[] = [
  { path: 'name', kind: text, required: true, help: 'who the token belongs to' },
  {
    path: 'sha256',
    kind: { type: 'text', pattern: /^[0-9a-f]{64}$/i, expected: '64 hexadecimal digits', isSecret: true },
    required: true,
    help: 'SHA-256 of the token',
  },
  {
    path: 'scopes',
    kind: { type: 'choices', choices: ['send', 'read', 'operate', 'admin'] },
    required: true,
    help: 'what the token allows',
  },
]

/** The rest of the row follows from the path. */
type Row = Omit<ConfigKey, 'variable'>

const generalKeys: readonly Row[] = [
  { path: 'dataDir', kind: { type: 'path' }, default: './data', help: 'directory of the database' },
  { path: 'http.host', kind: text, default: '127.0.0.1', help: 'name or address to listen on' },
  {
    path: 'http.port',
    kind: { type: 'integer', min: 0, max: 65_535, orFalse: true },
    default: 7400,
    help: '0 takes any free one; false: no HTTP',
  },
  {
    path: 'applications',
    kind: { type: 'list', items: applicationKeys, shorthand: 'module' },
    default: [],
    flag: '--app',
    help: 'application modules',
  },
]

const journalKeys: readonly Row[] = [
  {
    path: 'journal.segmentBytes',
    kind: { type: 'integer', min: mebibyte, max: gibibyte, multipleOf: 4096 },
    default: 64 * mebibyte,
    unit: 'bytes',
    help: 'size of one segment file (wal_segment_size)',
  },
  { path: 'journal.initZero', kind: boolean, default: true, help: 'fill new segments with zeros (wal_init_zero)' },
  { path: 'journal.recycle', kind: boolean, default: true, help: 'make new segments out of stale ones (wal_recycle)' },
  {
    path: 'journal.writerDelayMs',
    kind: integer(1, 10_000),
    default: 200,
    unit: 'ms',
    help: 'between flushes of what nobody waits for (wal_writer_delay)',
  },
  {
    path: 'journal.flushAfterBytes',
    kind: integer(0, 0x7fffffff),
    default: mebibyte,
    unit: 'bytes',
    help: 'written and not flushed, and it is flushed at once (wal_writer_flush_after)',
  },
  {
    path: 'journal.commitDelayMicros',
    kind: integer(0, 100_000),
    default: 0,
    unit: 'µs',
    help: 'wait before a flush for others to join it (commit_delay)',
  },
  {
    path: 'journal.checkpointTimeoutMs',
    kind: integer(1000, dayMs),
    default: 300_000,
    unit: 'ms',
    help: 'longest time between checkpoints (checkpoint_timeout)',
  },
  {
    path: 'journal.maxJournalBytes',
    kind: integer(2 * mebibyte, unlimitedBytes),
    default: gibibyte,
    unit: 'bytes',
    help: 'most that the journal takes; commands are refused beyond it (max_wal_size)',
  },
  {
    path: 'journal.checkpointCompletionTarget',
    kind: { type: 'number', min: 0, max: 1 },
    default: 0.9,
    help: 'share of the time between checkpoints to spread one over (checkpoint_completion_target)',
  },
  {
    path: 'journal.attestIntervalMs',
    kind: integer(0, dayMs),
    default: 10_000,
    unit: 'ms',
    help: "between comparisons of the processes' states; 0: never",
  },
  {
    path: 'journal.durability',
    kind: { type: 'choice', choices: ['flushed', 'written'] },
    default: 'flushed',
    help: 'what an answer waits for where the command does not say (synchronous_commit)',
  },
]

const limitKeys: readonly Row[] = [
  {
    path: 'limits.payloadBytes',
    kind: integer(1024, limits.payloadBytesMax),
    default: limits.payloadBytesDefault,
    unit: 'bytes',
    help: 'data of one command',
  },
  {
    path: 'limits.pendingCommands',
    kind: integer(1, 1_000_000),
    default: limits.pendingCommandsDefault,
    unit: 'commands',
    help: 'received and not yet ended',
  },
  {
    path: 'limits.pendingPerAggregate',
    kind: integer(1, 1_000_000),
    default: limits.pendingPerAggregateDefault,
    unit: 'commands',
    help: 'received and not yet ended, for one aggregate',
  },
  {
    path: 'limits.pendingBytes',
    kind: integer(mebibyte, 4 * gibibyte),
    default: limits.pendingBytesDefault,
    unit: 'bytes',
    help: 'of commands received and not yet ended',
  },
  {
    path: 'limits.applicationSilenceMs',
    kind: integer(1000, hourMs),
    default: limits.applicationSilenceMsDefault,
    unit: 'ms',
    help: 'without an end of any command, and an instance is deregistered',
  },
]

const archiveKeys: readonly Row[] = [
  { path: 'archive.directory', kind: { type: 'path' }, help: 'directory to which sealed segments are archived' },
  { path: 'archive.s3.bucket', kind: text, help: 'bucket to which sealed segments are archived' },
  { path: 'archive.s3.prefix', kind: text, help: "put before every object's key" },
  { path: 'archive.s3.endpoint', kind: text, help: 'URL of the service, where it is not AWS' },
  { path: 'archive.s3.region', kind: text, help: 'region of the bucket' },
  { path: 'archive.s3.forcePathStyle', kind: boolean, help: 'endpoint/bucket/key instead of bucket.endpoint/key' },
]

const replicationKeys: readonly Row[] = [
  {
    path: 'replication.journal',
    kind: { type: 'choice', choices: ['local', 'replicated'] },
    default: 'local',
    flag: '--journal',
    help: 'who keeps the journal: this node alone, or journal servers',
  },
  {
    path: 'replication.nodeId',
    kind: {
      type: 'text',
      pattern: /^[a-z0-9][a-z0-9-]{0,62}$/,
      expected: 'up to 63 small letters, digits and hyphens',
    },
    flag: '--node-id',
    help: 'name of this node in the cluster',
  },
  { path: 'replication.clusterId', kind: text, help: 'id of the cluster; default: that of the metadata store' },
  {
    path: 'replication.metadata',
    kind: {
      type: 'text',
      pattern: /^(file:.+|etcds?:\/\/[^/]+(\/.*)?)$/,
      expected: 'file:DIRECTORY, or etcd://HOST:PORT,HOST:PORT (etcds:// over TLS)',
      pathAfter: 'file:',
    },
    flag: '--metadata',
    help: 'where the nodes agree on who leads',
  },
  {
    path: 'replication.policy.replicas',
    kind: integer(1, limits.replicasMax),
    default: 3,
    unit: 'servers',
    help: 'that keep each segment',
  },
  {
    path: 'replication.policy.ackQuorum',
    kind: integer(1, limits.replicasMax),
    default: 2,
    unit: 'servers',
    help: 'that have flushed an entry before it is acknowledged',
  },
  {
    path: 'replication.policy.topology',
    kind: { type: 'choice', choices: ['fanout', 'chain'] },
    default: 'fanout',
    help: 'who sends to the servers: the leader, or each to the next',
  },
  {
    path: 'replication.servers',
    kind: integer(0, limits.replicasMax),
    default: 0,
    flag: '--journal-servers',
    unit: 'servers',
    help: 'journal servers that this node begins with; counts at its first start',
  },
  {
    path: 'replication.serverBytes',
    kind: integer(128 * mebibyte, unlimitedBytes),
    default: unlimitedBytes,
    unit: 'bytes',
    help: 'what the segments of each journal server of this node may take on its disk',
  },
  {
    path: 'replication.serversOnly',
    kind: boolean,
    default: false,
    flag: '--journal-servers-only',
    help: 'run journal servers and no database',
  },
  {
    path: 'replication.leaseMs',
    kind: integer(500, 60_000),
    default: 2000,
    unit: 'ms',
    help: 'of silence, and the leader is replaced',
  },
  ...masterKeys,
  {
    path: 'replication.listen',
    kind: { type: 'text', pattern: /^(\[[0-9a-fA-F:.]+\]|[\w.-]+):\d{1,5}$/, expected: 'HOST:PORT' },
    default: '127.0.0.1:7500',
    help: 'address that other nodes reach this one at; port 0 takes any free one',
  },
  { path: 'replication.tls.ca', kind: { type: 'path' }, help: 'PEM file of who signs the certificates of the cluster' },
  { path: 'replication.tls.cert', kind: { type: 'path' }, help: "PEM file of this node's certificate" },
  { path: 'replication.tls.key', kind: { type: 'path' }, help: 'PEM file of its key' },
  {
    path: 'replication.dev',
    kind: boolean,
    default: false,
    help: 'for trying it out: a shared device and no TLS are accepted',
  },
]

const securityKeys: readonly Row[] = [
  { path: 'security.tokens', kind: { type: 'list', items: tokenKeys }, default: [], help: 'who may do what over HTTP' },
]

/** Every leaf of the config, one row each. */
export const configKeys: readonly ConfigKey[] = [
  ...[...generalKeys, ...journalKeys, ...limitKeys, ...archiveKeys, ...replicationKeys].map(withFlag),
  ...securityKeys,
  ...processKeys,
].map((row) => ({ ...row, variable: `COMMANDERDB_${words(row.path).join('_').toUpperCase()}` }))

function withFlag(row: Row): Row {
  return row.flag === undefined ? { ...row, flag: `--${words(row.path).join('-')}` } : row
}

function words(path: string): readonly string[] {
  return path
    .replace(/([a-z0-9])([A-Z])/g, '$1.$2')
    .toLowerCase()
    .split('.')
}
