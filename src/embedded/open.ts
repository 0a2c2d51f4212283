import { resolve } from 'node:path'
import {
  createWorkflowDetector,
  detectorInDevelopment,
  type Finding,
  type WorkflowDetector,
} from '../application/workflow-detector-adapter.ts'
import { type ArchiveLocation, openArchiveTarget } from '../archive/open-target-adapter.ts'
import { addressesOf, fileSurroundings, makeStore } from '../assembly/file-surroundings-adapter.ts'
import { startApplication } from '../assembly/start-application.ts'
import { startDispatcher } from '../assembly/start-dispatcher.ts'
import { type RunningGateway, startGateway } from '../assembly/start-gateway.ts'
import { startJournalWriter } from '../assembly/start-journal-writer.ts'
import { startProjectionApplier } from '../assembly/start-projection-applier.ts'
import type { RunningRole, Surroundings } from '../assembly/surroundings.ts'
import type { Database } from '../client/options.ts'
import { SocketDatabase } from '../client/socket-database.ts'
import type { AdmissionLimits } from '../gateway/admission.ts'
import { askApplier } from '../ipc/applier-client.ts'
import { createMemoryTransport } from '../ipc/memory-transport.ts'
import { defaultJournalOptions, type JournalOptions } from '../journal/options.ts'
import { defaultFlushOptions, type FlushOptions } from '../journal-writer/options.ts'
import { defaultRetentionSettings, type RetentionSettings } from '../journal-writer/retention.ts'
import type { Environment, Log } from '../kernel/environment.ts'
import { asCommanderError, type CommanderError } from '../kernel/errors.ts'
import { createSystemEnvironment, keepProcessAlive } from '../kernel/system-environment.ts'
import { lockDatabase, type ProcessLock } from '../observability/process-lock-adapter.ts'
import type { Application } from '../sdk/application.ts'
import { assertApplicationsFit } from '../sdk/application-set.ts'
import { loadApplication } from '../sdk/load-module-adapter.ts'
import { assertOfNoCluster } from '../store/cluster-place-adapter.ts'
import { openIdentity, readIdentity } from '../store/identity-adapter.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { EmbeddedDatabase } from './embedded-database.ts'

export interface OpenOptions {
  /** Made when absent. The same directory can be served by `commanderdb start`, one after the other. */
  readonly dataDir: string
  /** Applications, or paths of their modules. At least one. */
  readonly applications: readonly (Application | string)[]
  readonly limits?: Partial<AdmissionLimits>
  /** Where sealed segments go, and archived streams: a directory, or a bucket of S3. Default: nowhere. */
  readonly archive?: ArchiveLocation
  /** `attestIntervalMs`: time between two comparisons of the roles' states; 0: never. Default 10,000. */
  readonly journal?: Partial<JournalOptions & FlushOptions & RetentionSettings & { readonly attestIntervalMs: number }>
  /** Default: nowhere. */
  readonly log?: Log
  /**
   * Names in the log, or as a warning of the process where there is no log, what the code of workflows calls and must not,
   * such as `Date.now`. Default: unless `NODE_ENV` is `production`.
   */
  readonly detector?: boolean
  /** Told when the database cannot go on, once; calls then fail with the same error. */
  readonly onFailure?: (error: CommanderError) => void
}

/** A database that is open in this process. */
export interface OpenDatabase extends Database {
  /** Flushes the store now, so that older segments of the journal are stale. Returns the LSN that the store holds everything up to. */
  checkpoint(): Promise<{ readonly upTo: number }>
  /**
   * Brings everything that is written by now to the archive, without waiting for its segment to be full.
   * @throws CommanderError `invalid_config` where there is no archive, `archive_unavailable`, `archive_conflict`
   */
  archive(): Promise<{ readonly upTo: number; readonly location: string }>
}

/**
 * Runs the whole database inside the calling process: the same roles over the same files with the same guarantees, and
 * no other process. User code shares the event loop with the journal, so a slow `decide` slows everything.
 *
 * @throws CommanderError `database_locked`, `foreign_database`, `unsupported_version`, `invalid_module`, `journal_corrupt`
 * @example
 * const db = await open({ dataDir: './data', applications: [bank] })
 * await db.execute(account, '42', 'deposit', { amountCents: 500 })
 * await db.close()
 */
export async function open(options: OpenOptions): Promise<OpenDatabase> {
  const applications = await Promise.all(
    options.applications.map((one) => (typeof one === 'string' ? loadApplication(resolve(one)) : one)),
  )
  assertApplicationsFit(applications)
  const dataDir = resolve(options.dataDir)
  // Before the lock, so that nothing is made in a directory that is not ours.
  readIdentity(dataDir)
  assertOfNoCluster(dataDir)
  const stop = new StopSequence()
  stop.add(keepProcessAlive())
  try {
    return await start({ ...options, dataDir }, applications, stop)
  } catch (error) {
    await stop.run()
    throw error
  }
}

/** Until its end, what a role says that it fails of is for the opener, and no end of a database that is open. */
class StartFailure {
  error: Error | null = null
  #isOver = false
  readonly #surroundings: Surroundings

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings
  }

  readonly failed = (error: Error): void => {
    if (this.#isOver) this.#surroundings.failed(error)
    else this.error ??= error
  }

  end(): void {
    this.#isOver = true
    if (this.error !== null) throw this.error
  }
}

/** What has been started, to be stopped in reverse. */
class StopSequence {
  #steps: (() => Promise<void> | void)[] = []

  add(step: () => Promise<void> | void): void {
    this.#steps.push(step)
  }

  async run(): Promise<void> {
    const steps = this.#steps.reverse()
    this.#steps = []
    for (const step of steps) await step()
  }
}

async function start(
  options: OpenOptions,
  applications: readonly Application[],
  stop: StopSequence,
): Promise<EmbeddedDatabase> {
  const { dataDir } = options
  const archive = locationOf(options.archive)
  const locks: ProcessLock[] = [lockDatabase(dataDir, 'database'), lockDatabase(dataDir, 'journal-writer')]
  stop.add(() => {
    for (const lock of locks) lock.release()
  })
  const environment = createSystemEnvironment(options.log)
  const { databaseId } = openIdentity(dataDir, environment)
  const database = new EmbeddedDatabase(stop, options.onFailure)
  const surroundings = await surroundingsOf(environment, dataDir, databaseId, database, stop, archive)
  const gateway = await startRoles(surroundings, options, applications, stop)
  await caughtUp(environment, () => gateway.gateway.isReady)
  const client = new SocketDatabase({
    environment,
    transport: surroundings.transport,
    addresses: [surroundings.addresses.gateway],
  })
  await client.open()
  database.serve(client, (ask) => askApplier(surroundings.transport, surroundings.addresses.applier, { ask }))
  return database
}

/** LMDB wants the writing handle of a process first: it is opened here, and handed to the role that writes. */
async function surroundingsOf(
  environment: Environment,
  dataDir: string,
  databaseId: string,
  database: EmbeddedDatabase,
  stop: StopSequence,
  archive: ArchiveLocation | null,
): Promise<Surroundings> {
  const transport = createMemoryTransport(environment)
  const failed = (error: Error): void => database.fail(asCommanderError(error))
  const files = fileSurroundings({ environment, transport, dataDir, databaseId, archive, failed })
  await makeStore(files, dataDir)
  const writing: KeyValueStore = files.openStore('write')
  stop.add(() => writing.close())
  return {
    ...files,
    addresses: addressesOf(dataDir),
    openStore: (access) => (access === 'write' ? writing : files.openStore('read')),
  }
}

async function startRoles(
  surroundings: Surroundings,
  { journal: journalOptions = {}, limits, archive, detector: isWanted, log }: OpenOptions,
  applications: readonly Application[],
  stop: StopSequence,
): Promise<RunningGateway> {
  const started = <Role extends RunningRole>(role: Role): Role => {
    stop.add(role.stop)
    return role
  }
  const retention = { ...defaultRetentionSettings, ...pick(journalOptions, defaultRetentionSettings) }
  const { maxJournalBytes: maxBytes, checkpointTimeoutMs } = retention
  const journal = { ...defaultJournalOptions, ...pick(journalOptions, defaultJournalOptions), maxBytes }
  const flush = { ...defaultFlushOptions, ...pick(journalOptions, defaultFlushOptions) }
  const { attestIntervalMs } = journalOptions
  const attestation = attestIntervalMs === undefined ? {} : { attestIntervalMs }
  started(await startJournalWriter(surroundings, { journal, flush, retention, ...attestation }))
  started(startDispatcher(surroundings))
  const at = locationOf(archive)
  const openArchive = at === null ? {} : { openArchive: () => openArchiveTarget(at) }
  const start = new StartFailure(surroundings)
  const applying = { applications, checkpointTimeoutMs, ...openArchive }
  const { archiver } = started(await startProjectionApplier({ ...surroundings, failed: start.failed }, applying))
  // Nobody may append before the archive had its chance to say that entries are missing here.
  await caughtUp(surroundings.environment, () => start.error !== null || (archiver?.isAsked ?? true))
  start.end()
  const detector = detectorOf(applications, isWanted, log)
  if (detector !== null) stop.add(() => detector.close())
  const isolation = detector === null ? {} : { isolation: detector }
  const hosts = applications.map((application) =>
    started(startApplication(surroundings, { application, instance: 1, former: 'unknown', journal, ...isolation })),
  )
  await caughtUp(surroundings.environment, () => hosts.every(({ runtime }) => runtime.isRegistered))
  return started(
    await startGateway(surroundings, { applications, journal, ...(limits === undefined ? {} : { limits }) }),
  )
}

const locationOf = (archive: ArchiveLocation | undefined): ArchiveLocation | null =>
  archive !== undefined && 'directory' in archive ? { directory: resolve(archive.directory) } : (archive ?? null)

function detectorOf(
  applications: readonly Application[],
  isWanted: boolean | undefined,
  log: Log | undefined,
): WorkflowDetector | null {
  const report = ({ workflow, place, message }: Finding): void => {
    if (log === undefined) process.emitWarning(message, 'WorkflowWarning')
    else log.warn({ code: 'non_deterministic_call', workflow, place }, message)
  }
  if (isWanted === undefined) return detectorInDevelopment(applications, report)
  return isWanted ? createWorkflowDetector(report) : null
}

/** The options that belong to one of the two kinds. */
function pick<Kind extends object>(given: object, kind: Kind): Partial<Kind> {
  const entries = Object.entries(given).filter(([key, value]) => key in kind && value !== undefined)
  return Object.fromEntries(entries) as Partial<Kind>
}

const lookMs = 5

async function caughtUp({ scheduler }: Environment, isCaughtUp: () => boolean): Promise<void> {
  while (!isCaughtUp()) await new Promise<void>((done) => scheduler.after(lookMs, done))
}
