import { randomUUID } from 'node:crypto'
import { statSync } from 'node:fs'
import { extname, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../client/options.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { loadImportMap } from '../sdk/load-module-adapter.ts'
import { parseInteger } from './arguments.ts'
import { LineError } from './csv-adapter.ts'
import { exitCodes, UsageError } from './exit-code.ts'
import { oneLine } from './failure-text.ts'
import { readImport } from './import-source.ts'
import { Importer } from './importer.ts'
import { createProgressBar, type Progress } from './progress-bar.ts'
import type { Rejections } from './rejections.ts'
import type { Flags } from './settings.ts'
import { list, table } from './table.ts'
import { timeoutOf, withDatabase } from './target.ts'
import type { Terminal } from './terminal.ts'

const concurrencyDefault = 256
const concurrencyMax = 16_384
/** Longer than a database needs to come back after a crash. */
const timeoutDefaultMs = 120_000
/** After that a row is asked again: an answer may have been lost. */
const askMs = 20_000

/**
 * Sends the commands of a file. Exit code 1 where a line is malformed or refused, or a command is parked; 3 where the
 * application rejected commands and nothing else went wrong. All rows are sent in either case, up to a line that is wrong.
 */
export async function importFile(terminal: Terminal, file: string, flags: Flags): Promise<number> {
  const { map: mapModule, concurrency } = flags as { readonly map?: string; readonly concurrency?: string }
  const bytes = file === '-' ? 0 : sizeOf(file)
  if (mapModule === undefined && extname(file).toLowerCase() === '.csv') {
    throw new UsageError(`${file} is CSV: name the module with toCommand(row) by --map`)
  }
  const map = mapModule === undefined ? undefined : await loadImportMap(mapModule)
  const atOnce = concurrency === undefined ? concurrencyDefault : parseInteger('--concurrency', concurrency, 1)
  if (atOnce > concurrencyMax) throw new UsageError(`--concurrency is ${atOnce}, but must be at most ${concurrencyMax}`)
  return withDatabase(flags, async (db) => {
    const startedMs = performance.now()
    const isWatched = terminal.isInteractive && flags['json'] !== true && bytes > 0
    const bar = isWatched ? createProgressBar(bytes, startedMs, () => performance.now()) : null
    const importer = importerOf(db, atOnce, timeoutOf(flags, timeoutDefaultMs), bar)
    const interrupted = stopOnInterrupt(importer)
    let failure: LineError | null = null
    try {
      await importer.run(readImport(file, map))
    } catch (error) {
      if (!(error instanceof LineError)) throw error
      failure = error
    } finally {
      bar?.stop()
      interrupted.forget()
    }
    await terminal.out(reportOf(importer, (performance.now() - startedMs) / 1000, flags['json'] === true))
    return conclude(terminal, file, importer, failure, interrupted.isSo)
  })
}

function conclude(
  terminal: Terminal,
  file: string,
  { counts: { parked }, rejections }: Importer,
  failure: LineError | null,
  isInterrupted: boolean,
): number {
  const { count, byCode, first } = rejections
  const rejected = `${rejections.summary}; the first at line ${first[0]?.line}: ${first[0]?.code}: ${first[0]?.message}`
  if (count > 0) terminal.fail(new CommanderError('command_rejected', rejected, { details: { byCode, first } }))
  if (failure !== null) terminal.fail(failureOf(file, failure))
  else if (isInterrupted) terminal.warn('interrupted; run the same import again to go on')
  else if (parked > 0) {
    const message = `${parked} ${parked === 1 ? 'command is' : 'commands are'} parked; see commanderdb command list`
    terminal.fail(new CommanderError('command_parked', message, { details: { parked } }))
  } else return count > 0 ? exitCodes.rejected : exitCodes.done
  return exitCodes.failed
}

function failureOf(file: string, { line, message, cause }: LineError): CommanderError {
  const details = { file, line, ...(isCommanderError(cause) ? { details: cause.details } : {}) }
  const code = isCommanderError(cause) ? cause.code : 'invalid_input'
  const options = { details, retryable: isCommanderError(cause) && cause.retryable, cause }
  return new CommanderError(code, `${file} line ${line}: ${message}`, options)
}

function sizeOf(file: string): number {
  try {
    const stats = statSync(file)
    if (stats.isDirectory()) throw new UsageError(`${resolve(file)} is a directory; name a file`)
    return stats.size
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(`there is no file ${resolve(file)} that can be read`, { cause: error })
  }
}

function importerOf(db: Database, concurrency: number, timeoutMs: number, bar: Progress | null): Importer {
  return new Importer({
    execute: ({ aggregate, id, command, data, priority, delayMs = 0 }, idempotencyKey) =>
      db.execute(aggregate, id, command, data, {
        idempotencyKey,
        timeoutMs: Math.min(askMs, timeoutMs),
        ...(priority === undefined ? {} : { priority }),
        ...(delayMs > 0 ? { delayMs, wait: 'received' } : {}),
      }),
    newKey: randomUUID,
    concurrency,
    timeoutMs,
    nowMs: () => performance.now(),
    sleep: (delayMs) => sleep(delayMs),
    progress: ({ read }, bytes) => bar?.update({ bytes, rows: read }),
  })
}

/** The first interrupt lets what is under way finish; the second one ends the process as usual. */
function stopOnInterrupt(importer: Importer): { readonly isSo: boolean; forget(): void } {
  let isSo = false
  const stop = (): void => {
    isSo = true
    importer.stop()
  }
  process.once('SIGINT', stop).once('SIGTERM', stop)
  return {
    get isSo() {
      return isSo
    },
    forget: () => void process.off('SIGINT', stop).off('SIGTERM', stop),
  }
}

function reportOf({ counts, rejections }: Importer, seconds: number, isJson: boolean): string {
  const rounded = Math.round(seconds * 1000) / 1000
  const commandsPerSecond = seconds > 0 ? Math.round(counts.read / seconds) : 0
  const { byCode, first } = rejections
  const facts = { ...counts, seconds: rounded, commandsPerSecond, rejections: { byCode, first } }
  if (isJson) return `${JSON.stringify(facts)}\n`
  const summary = list([...Object.entries(counts), ['seconds', rounded], ['commands/s', commandsPerSecond]])
  return rejections.count === 0 ? summary : `${summary}\n${rejectionsTable(rejections)}`
}

function rejectionsTable({ count, first }: Rejections): string {
  const rows = first.map(({ line, aggregate, id, command, code, message }) => {
    return [line, `${aggregate}/${id}`, command, oneLine(`${code}: ${message}`)]
  })
  const left = count > first.length ? `and ${count - first.length} more\n` : ''
  return table(['line', 'aggregate', 'rejected', 'reason'], rows) + left
}
