import { addressesOf } from '../assembly/file-surroundings-adapter.ts'
import { askApplier } from '../ipc/applier-client.ts'
import { CommanderError } from '../kernel/errors.ts'
import { exitCodes, UsageError } from './exit-code.ts'
import type { Flags } from './settings.ts'
import { controlClient, findTarget, statusOf, timeoutOf } from './target.ts'
import type { Terminal } from './terminal.ts'

const timeoutDefaultMs = 120_000

/** Flushes the store now, so that older segments of the journal are stale. */
export async function checkpoint(terminal: Terminal, flags: Flags): Promise<number> {
  const target = await findTarget(flags)
  if (target.kind === 'url') throw new UsageError('checkpoint works by --data-dir, on the host of the database')
  const { dataDir } = target
  await statusOf(dataDir)
  const { transport, scheduler } = controlClient(dataDir)
  const timeoutMs = timeoutOf(flags, timeoutDefaultMs)
  const { upTo = 0 } = await new Promise<{ readonly upTo?: number }>((resolve, reject) => {
    const timer = scheduler.after(timeoutMs, () => reject(late(dataDir, timeoutMs)))
    askApplier(transport, addressesOf(dataDir).applier, { ask: 'checkpoint' })
      .then(resolve, reject)
      .finally(() => timer.cancel())
  })
  await terminal.out(flags['json'] === true ? `${JSON.stringify({ upTo })}\n` : `checkpoint at LSN ${upTo}\n`)
  return exitCodes.done
}

const late = (dataDir: string, timeoutMs: number): CommanderError =>
  new CommanderError('timeout', `the checkpoint of ${dataDir} is not complete after ${timeoutMs} ms; raise --timeout`)
