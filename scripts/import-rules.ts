/**
 * Who may import what, as data; scripts/check-imports.ts enforces it. Dependencies point downwards only, so that a
 * folder can be read, tested and replaced without what stands above it.
 */

const core = ['kernel', 'actions', 'state', 'ipc', 'replica']
const roles = [...core, 'sdk', 'store', 'tables', 'journal', 'workflows']

const everyFolder = [
  'actions',
  'application',
  'archive',
  'assembly',
  'backup',
  'cli',
  'client',
  'console',
  'dispatcher',
  'embedded',
  'gateway',
  'ipc',
  'journal',
  'journal-writer',
  'kernel',
  'migrator',
  'observability',
  'projection-applier',
  'replica',
  'replication',
  'sdk',
  'state',
  'store',
  'supervisor',
  'tables',
  'testing',
  'workflows',
]
const allBut = (...excluded: string[]): string[] => everyFolder.filter((folder) => !excluded.includes(folder))

/** For each folder of src/ the other folders that its files may import, for types too. */
export const folderTable: Readonly<Record<string, readonly string[]>> = {
  kernel: [],
  actions: ['kernel'],
  journal: ['kernel'],
  archive: ['kernel', 'journal', 'replication'],
  store: ['kernel'],
  observability: ['kernel'],
  state: ['kernel', 'actions'],
  ipc: ['kernel', 'actions'],
  sdk: ['kernel', 'actions'],
  workflows: ['kernel', 'actions', 'sdk'],
  tables: ['kernel', 'actions', 'state', 'store', 'sdk', 'workflows'],
  backup: ['kernel', 'actions', 'state', 'journal', 'archive', 'store', 'tables', 'sdk'],
  replica: ['kernel', 'actions', 'state', 'journal', 'ipc'],
  replication: ['kernel', 'journal', 'ipc'],
  supervisor: ['kernel', 'ipc', 'archive', 'observability', 'replication'],
  'journal-writer': ['kernel', 'actions', 'state', 'journal', 'ipc', 'replication'],
  dispatcher: [...core, 'workflows'],
  'projection-applier': [...roles, 'archive'],
  application: roles,
  gateway: roles,
  migrator: roles,
  client: ['kernel', 'sdk', 'ipc', 'workflows'],
  console: ['kernel', 'sdk', 'client'],
  cli: allBut('cli', 'console', 'testing'),
  assembly: allBut('assembly', 'cli', 'client', 'console', 'embedded', 'supervisor', 'testing'),
  embedded: allBut('embedded', 'cli', 'supervisor', 'console'),
  testing: allBut('testing', 'cli', 'supervisor'),
}

/** The public entries: re-exports only, of any folder but these. */
export const publicEntries: readonly string[] = ['src/index.ts', 'src/client.ts', 'src/testing.ts']
export const notPublic: readonly string[] = ['cli', 'console', 'supervisor']

/** What src/examples/ may import besides its own files: what a user's own application could. */
export const examplePackages: readonly string[] = ['commanderdb', 'commanderdb/client', 'commanderdb/testing']

/**
 * The one file that may import a package, so that replacing the package, or refusing a release of it, touches one file.
 * Every package of `dependencies` has its line here and in CONTRIBUTING.md.
 */
export const packageOwners: Readonly<Record<string, string>> = {
  '@aws-sdk/client-s3': 'src/archive/s3-client-adapter.ts',
  'cli-progress': 'src/cli/progress-bar.ts',
  'cli-table3': 'src/cli/table.ts',
  commander: 'src/cli/main.ts',
  croner: 'src/kernel/cron.ts',
  'csv-parse': 'src/cli/csv-adapter.ts',
  execa: 'src/supervisor/execa-spawner-adapter.ts',
  fastify: 'src/gateway/fastify-adapter.ts',
  lmdb: 'src/store/lmdb-store.ts',
  msgpackr: 'src/actions/message-pack.ts',
  'node-ipc': 'src/ipc/node-ipc-transport-adapter.ts',
  pino: 'src/observability/logger-adapter.ts',
  'prom-client': 'src/observability/metrics-exposition-adapter.ts',
}

/** Node's modules that reach the world outside the process, its clock or its timers. Types of them are free. */
export const outsideModules: readonly string[] = [
  'node:child_process',
  'node:cluster',
  'node:dgram',
  'node:dns',
  'node:fs',
  'node:fs/promises',
  'node:http',
  'node:http2',
  'node:https',
  'node:net',
  'node:perf_hooks',
  'node:timers',
  'node:timers/promises',
  'node:tls',
  'node:worker_threads',
]

/** Names imported from elsewhere that are random, while the rest of their module is not. */
export const randomNames: readonly string[] = [
  'getRandomValues',
  'randomBytes',
  'randomFill',
  'randomFillSync',
  'randomInt',
  'randomUUID',
  'webcrypto',
]

/** Variables that read the clock, randomness or the environment, or schedule work. */
export const outsideNames: readonly string[] = [
  'crypto.getRandomValues',
  'crypto.randomUUID',
  'Date.now',
  'fetch',
  'Math.random',
  'new Date()',
  'performance.now',
  'performance.timeOrigin',
  'process.env',
  'process.hrtime',
  'process.nextTick',
  'queueMicrotask',
  'setImmediate',
  'setInterval',
  'setTimeout',
  'WebSocket',
]

/** Files that may use the above. Every other file is a deterministic machine that is given what it needs. */
export const adapters: readonly { readonly pattern: RegExp; readonly reason: string }[] = [
  { pattern: /-adapter\.ts$/, reason: 'an adapter by name: it implements an interface that a machine is given' },
  { pattern: /\/file-[a-z-]+\.ts$/, reason: 'an implementation over files, beside one in memory' },
  { pattern: /^src\/kernel\/system-environment\.ts$/, reason: 'the real clock, timers and randomness' },
  { pattern: /^src\/store\/lmdb-[a-z-]+\.ts$/, reason: 'the store over LMDB, beside one in memory' },
  { pattern: /^src\/observability\/event-loop\.ts$/, reason: 'measures the event loop of its own process' },
  { pattern: /^src\/supervisor\//, reason: 'spawns, watches and limits operating-system processes' },
  { pattern: /^src\/cli\//, reason: 'reads arguments, files and the environment, and writes to a terminal' },
  { pattern: /^src\/examples\//, reason: 'applications as users write them: they call other systems' },
  { pattern: /^processes\//, reason: 'wires a machine to the real world' },
]
