import { extname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { assertCanListen } from '../gateway/http-listen-check.ts'
import { fromWireError, type WireError } from '../kernel/errors.ts'
import { lockDatabase } from '../observability/process-lock-adapter.ts'
import type { ResolvedConfig } from '../sdk/resolved-config.ts'
import { readIdentity } from '../store/identity-adapter.ts'
import { assertCanListenToOthers } from '../supervisor/replication-listen-check.ts'
import type { SupervisionOutcome } from '../supervisor/supervision.ts'
import { type Flags, readSettings } from './settings.ts'
import type { Terminal } from './terminal.ts'

interface SupervisorProgram {
  runSupervisor(config: ResolvedConfig): Promise<SupervisionOutcome>
}

/** Runs the database in this process, as its supervisor, until it is stopped. */
export async function start(terminal: Terminal, flags: Flags): Promise<number> {
  const { config } = await readSettings(flags)
  await checkBeforehand(config)
  if (config.applications.length === 0 && hasDatabase(config)) terminal.warn(noApplication)
  const program = new URL(`../../processes/supervisor${extname(import.meta.filename)}`, import.meta.url)
  if (flags['acceptLoss'] === true) await (await import('./accept-loss.ts')).giveUpDamage(terminal, config)
  const { runSupervisor } = (await import(program.href)) as SupervisorProgram
  const { exitCode, error } = await runSupervisor(config)
  if (error !== undefined) terminal.fail(fromWireError(error))
  return exitCode
}

/** A host of journal servers alone takes no commands, and serves no HTTP. */
const hasDatabase = ({ replication }: ResolvedConfig): boolean =>
  replication.journal === 'local' || !replication.serversOnly

const noApplication =
  'no application is loaded, so that no command will be taken: name its module by --app, or as one of applications in the config'

/**
 * What a start would fail on: nothing is made for it, no process is started, and one line says it.
 *
 * @throws CommanderError `foreign_database`, `database_locked`, `invalid_module`, `invalid_config`
 */
async function checkBeforehand(config: ResolvedConfig): Promise<void> {
  const { dataDir, http, replication, security } = config
  // Whoever has the database open has its port as well, and is the one to be named.
  if (readIdentity(dataDir) !== undefined) lockDatabase(dataDir, 'database').release()
  if (http !== false && hasDatabase(config)) await assertCanListen(http, security.tokens)
  await assertCanListenToOthers(replication, dataDir)
  await checkApplications(config)
}

const checkTimeoutMs = 10_000

/** In a thread of its own: what user code leaves behind when it is loaded must not stay in the supervisor. */
async function checkApplications(config: ResolvedConfig): Promise<void> {
  if (config.applications.length === 0) return
  const program = join(import.meta.dirname, `check-applications${extname(import.meta.filename)}`)
  const worker = new Worker(program, { workerData: config, stdout: true, stderr: true })
  const failure = await new Promise<WireError | null>((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
    // A module that ends its process or takes its time: its own process will show what is the matter.
    worker.once('exit', () => resolve(null))
    setTimeout(resolve, checkTimeoutMs, null).unref()
  })
  await worker.terminate()
  if (failure !== null) throw fromWireError(failure)
}
