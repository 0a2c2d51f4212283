import { addressesOf } from '../assembly/file-surroundings-adapter.ts'
import { askApplier } from '../ipc/applier-client.ts'
import type { ApplierAnswer } from '../ipc/applier-protocol.ts'
import { CommanderError } from '../kernel/errors.ts'
import { exitCodes, UsageError } from './exit-code.ts'
import type { Flags } from './settings.ts'
import { controlClient, findTarget, statusOf, timeoutOf } from './target.ts'
import type { Terminal } from './terminal.ts'

const timeoutDefaultMs = 300_000

/** Everything that is written by now is in the archive when it returns. */
export async function archive(terminal: Terminal, flags: Flags): Promise<number> {
  const target = await findTarget(flags)
  if (target.kind === 'url') throw new UsageError('archive works by --data-dir, on the host of the database')
  const { dataDir } = target
  await statusOf(dataDir)
  const { upTo = 0, location = '' } = await ask(dataDir, timeoutOf(flags, timeoutDefaultMs))
  const text = `archived up to LSN ${upTo} in ${location}\n`
  await terminal.out(flags['json'] === true ? `${JSON.stringify({ upTo, location })}\n` : text)
  return exitCodes.done
}

async function ask(dataDir: string, timeoutMs: number): Promise<ApplierAnswer> {
  const { transport, scheduler } = controlClient(dataDir)
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = scheduler.after(timeoutMs, () => reject(late(dataDir, timeoutMs)))
  try {
    return await Promise.race([askApplier(transport, addressesOf(dataDir).applier, { ask: 'archive' }), promise])
  } finally {
    timer.cancel()
  }
}

const late = (dataDir: string, timeoutMs: number): CommanderError =>
  new CommanderError('timeout', `${dataDir} is not archived after ${timeoutMs} ms; see status, or raise --timeout`)
