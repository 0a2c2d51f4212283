import { setTimeout as sleep } from 'node:timers/promises'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { readLockHolder } from '../observability/process-lock-adapter.ts'
import { requestStatus, requestStop } from '../supervisor/status-client.ts'
import { exitCodes, UsageError } from './exit-code.ts'
import type { Flags } from './settings.ts'
import { controlClient, findTarget, noDatabase, timeoutOf } from './target.ts'
import type { Terminal } from './terminal.ts'

const timeoutDefaultMs = 60_000
const lookMs = 50

/** Asks the supervisor to drain and stop, and waits until the directory is free again. */
export async function stop(terminal: Terminal, flags: Flags): Promise<number> {
  const target = await findTarget(flags)
  if (target.kind === 'url') throw new UsageError('stop works by --data-dir, on the host of the database; --url cannot')
  const { dataDir } = target
  const timeoutMs = timeoutOf(flags, timeoutDefaultMs)
  const client = controlClient(dataDir)
  const { processes } = await requestStop(client).catch((error: unknown) => {
    throw isCommanderError(error) && error.code === 'no_database' ? noDatabase(dataDir, error) : error
  })
  const pid = processes.find(({ role }) => role === 'supervisor')?.pid ?? null
  const endsAtMs = performance.now() + timeoutMs
  while ((await isListening(client)) || holdsLock(dataDir, pid)) {
    if (performance.now() > endsAtMs) throw notStopped(dataDir, pid, timeoutMs)
    await sleep(lookMs)
  }
  const stopped = { stopped: true, dataDir, pid }
  const line = `stopped  pid=${pid} dataDir=${dataDir}`
  await terminal.out(`${flags['json'] === true ? JSON.stringify(stopped) : line}\n`)
  return exitCodes.done
}

async function isListening(client: Parameters<typeof requestStatus>[0]): Promise<boolean> {
  try {
    await requestStatus(client)
    return true
  } catch (error) {
    // It may go while it is asked.
    if (isCommanderError(error)) return error.code === 'timeout'
    throw error
  }
}

/** A killed holder leaves its name behind, and a new one may have come. */
function holdsLock(dataDir: string, pid: number | null): boolean {
  if (pid === null || readLockHolder(dataDir, 'database')?.pid !== pid) return false
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

function notStopped(dataDir: string, pid: number | null, timeoutMs: number): CommanderError {
  const message = `the database in ${dataDir} (process ${pid}) is still stopping after ${timeoutMs} ms; wait, or look at its log`
  return new CommanderError('timeout', message)
}
