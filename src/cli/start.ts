import { extname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { fromWireError, type WireError } from '../kernel/errors.ts'
import type { ResolvedConfig } from '../sdk/resolved-config.ts'
import { readIdentity } from '../store/identity-adapter.ts'
import type { SupervisionOutcome } from '../supervisor/supervision.ts'
import { type Flags, readSettings } from './settings.ts'
import type { Terminal } from './terminal.ts'

interface SupervisorProgram {
  runSupervisor(config: ResolvedConfig): Promise<SupervisionOutcome>
}

/** Runs the database in this process, as its supervisor, until it is stopped. */
export async function start(terminal: Terminal, flags: Flags): Promise<number> {
  const { config } = await readSettings(flags)
  // A first start with a wrong module must not leave a database behind. Later starts hear of it from their children.
  if (readIdentity(config.dataDir) === undefined) await checkApplications(config)
  const program = new URL(`../../processes/supervisor${extname(import.meta.filename)}`, import.meta.url)
  if (flags['acceptLoss'] === true) await (await import('./accept-loss.ts')).giveUpDamage(terminal, config)
  const { runSupervisor } = (await import(program.href)) as SupervisorProgram
  const { exitCode, error } = await runSupervisor(config)
  if (error !== undefined) terminal.fail(fromWireError(error))
  return exitCode
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
