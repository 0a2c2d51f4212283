import type { Entry } from '../actions/action.ts'
import type { InspectRow, JournalSummary } from '../journal/inspect.ts'
import { inspectJournal, verifyJournal, verifyRunningJournal } from '../journal/inspect.ts'
import { JournalReader } from '../journal/reader.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { lsn } from '../kernel/identifiers.ts'
import { isArchive, verifyArchiveAt } from './archive-verify.ts'
import { parseInteger } from './arguments.ts'
import { entriesOf, entryLine, toJson } from './entry-text.ts'
import { exitCodes } from './exit-code.ts'
import { assertStopped, findJournal, floorOf, type JournalDirectory, runningDatabase } from './journal-directory.ts'
import type { Flags } from './settings.ts'
import { list } from './table.ts'
import type { Terminal } from './terminal.ts'

const entriesDefault = 20
const readBytes = 1_048_576

/** Prints the last entries: of a running database those that are flushed. */
export async function tail(terminal: Terminal, directory: string | undefined, flags: Flags): Promise<number> {
  const { entries } = flags as { readonly entries?: string }
  const most = entries === undefined ? entriesDefault : parseInteger('--entries', entries, 1)
  const journal = await findJournal(directory, flags)
  const status = await runningDatabase(journal)
  const last = status === null ? verifyJournal(journal.storage).lastLsn : status.lsn.flushed
  for (const entry of lastEntries(journal, last, most)) {
    await terminal.out(`${flags['json'] === true ? toJson(entry) : entryLine(entry)}\n`)
  }
  return exitCodes.done
}

function* lastEntries({ storage }: JournalDirectory, last: number, most: number): Generator<Entry> {
  let first = Math.max(1, last - most + 1)
  let reader = new JournalReader(storage, lsn(first))
  try {
    for (;;) {
      const batches = readOn(reader, last)
      if (typeof batches === 'number') {
        first = batches
        reader.close()
        reader = new JournalReader(storage, lsn(first))
        continue
      }
      if (batches.length === 0) return
      for (const { payload } of batches) for (const entry of entriesOf(payload)) if (entry.lsn >= first) yield entry
    }
  } finally {
    reader.close()
  }
}

/** The next batches, or where the journal begins, if what is wanted is no longer in it. */
function readOn(reader: JournalReader, last: number): ReturnType<JournalReader['read']> | number {
  try {
    return reader.read(readBytes, lsn(last))
  } catch (error) {
    const details = isCommanderError(error) && error.code === 'not_found' ? error.details : null
    const { firstLsn } = (details ?? {}) as { readonly firstLsn?: number | null }
    if (typeof firstLsn !== 'number' || firstLsn > last) throw error
    return firstLsn
  }
}

/** Prints every segment, frame and entry. */
export async function inspect(terminal: Terminal, directory: string | undefined, flags: Flags): Promise<number> {
  const journal = await findJournal(directory, flags)
  await assertStopped(journal)
  const isJson = flags['json'] === true
  const rows = inspectJournal(journal.storage, await floorOf(journal))
  for (let step = rows.next(); ; step = rows.next()) {
    if (step.done === true) return conclude(terminal, journal, step.value, isJson)
    await terminal.out(isJson ? rowJson(step.value) : rowText(step.value))
    if (terminal.isClosed) return exitCodes.done
  }
}

/** Checks every byte: of a running database of all that is flushed. */
export async function verify(terminal: Terminal, directory: string | undefined, flags: Flags): Promise<number> {
  if (directory !== undefined && isArchive(directory)) return verifyArchiveAt(terminal, directory, flags)
  const journal = await findJournal(directory, flags)
  const status = await runningDatabase(journal)
  const summary =
    status === null
      ? verifyJournal(journal.storage, await floorOf(journal))
      : verifyRunningJournal(journal.storage, lsn(status.lsn.flushed))
  return conclude(terminal, journal, summary, flags['json'] === true)
}

async function conclude(
  terminal: Terminal,
  { path }: JournalDirectory,
  summary: JournalSummary,
  isJson: boolean,
): Promise<number> {
  const { status, rule, place, segments, frames, bytes, firstLsn, lastLsn, floorLsn } = summary
  const facts = list([
    ['status', status === 'torn' ? 'torn: the end was never flushed, and the next start cuts it off' : status],
    ['rule', rule],
    ['segments', segments],
    ['frames', frames],
    ['bytes', bytes],
    ['entries', `LSN ${firstLsn} to ${lastLsn}`],
    ['flushed', `at least up to LSN ${floorLsn}`],
  ])
  await terminal.out(isJson ? `${toJson({ kind: 'summary', path, ...summary })}\n` : facts)
  if (status !== 'corrupt') return exitCodes.done
  const where =
    place === null ? '' : ` in segment ${place.segment} at byte ${place.offset}, LSN ${place.lsn}: ${place.reason}`
  throw new CommanderError(
    'journal_corrupt',
    `the journal ${path} is damaged${where} (rule ${rule}); restore it from a backup`,
  )
}

function rowJson(row: InspectRow): string {
  if (row.kind === 'segment') return `${toJson(row)}\n`
  const { payload, ...frame } = row
  return `${toJson({ ...frame, entries: entriesOf(payload) })}\n`
}

function rowText(row: InspectRow): string {
  if (row.kind === 'segment') {
    const { baseLsn, segmentBytes, timeline, createdWallMs } = row.header
    const facts = `from LSN ${baseLsn}, ${segmentBytes} bytes, timeline ${timeline}, ${new Date(createdWallMs).toISOString()}`
    return `segment ${row.segment}  ${facts}\n`
  }
  const { firstLsn, entryCount, durableLsn } = row.header
  const line = `  frame at byte ${row.offset}  ${entryCount} from LSN ${firstLsn}, ${row.payload.length} bytes, flushed up to ${durableLsn}\n`
  return (
    line +
    entriesOf(row.payload)
      .map((entry) => `  ${entryLine(entry)}\n`)
      .join('')
  )
}
