import { join, resolve } from 'node:path'
import { addressesOf } from '../assembly/file-surroundings-adapter.ts'
import { holdJournal } from '../ipc/applier-hold.ts'
import { FileStorage } from '../journal/file-storage.ts'
import { verifyJournal } from '../journal/inspect.ts'
import { JournalReader } from '../journal/reader.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { readIdentity } from '../store/identity-adapter.ts'
import { exitCodes } from './exit-code.ts'
import { floorOf, runningDatabase } from './journal-directory.ts'
import type { Outcome } from './restore-build.ts'
import type { Origin } from './restore-origin.ts'
import { differenceOf } from './restored-difference.ts'
import type { Flags } from './settings.ts'
import { list } from './table.ts'
import { controlClient, noDatabase } from './target.ts'
import type { Terminal } from './terminal.ts'

/** What would be lost if the database were gone now. */
interface Loss {
  /** Of the database: everything up to here is flushed. */
  readonly flushedLsn: number
  readonly entries: number
  /** Between the last frame that can be restored and the last one that is flushed. */
  readonly milliseconds: number
}

/** Reports on a restore that was made to see whether it can be: exit code 1 when the state is not what it was. */
export async function drilled(
  terminal: Terminal,
  origin: Origin,
  { result, milliseconds }: Outcome,
  flags: Flags,
): Promise<number> {
  const { dataDir } = flags
  const { lsn: last, time, parent, entries, events, stateHash, replayMs, hashes } = result
  const loss = typeof dataDir === 'string' ? await lossOf(resolve(dataDir), origin, last, time) : null
  const entriesPerSecond = replayMs > 0 ? Math.round((entries * 1000) / replayMs) : null
  const difference = differenceOf(result)
  const ok = difference === null
  const facts = {
    ok,
    lsn: last,
    time,
    timeline: parent,
    entries,
    events,
    stateHash,
    milliseconds,
    replayMs: Math.round(replayMs),
    entriesPerSecond,
    hashes,
    loss,
  }
  await terminal.out(flags['json'] === true ? `${JSON.stringify(facts)}\n` : textOf(facts))
  if (difference === null) return exitCodes.done
  throw difference
}

function textOf({
  ok,
  lsn: last,
  time,
  timeline,
  entries,
  events,
  milliseconds,
  entriesPerSecond,
  hashes,
  loss,
}: Pick<Outcome['result'], 'lsn' | 'time' | 'entries' | 'events' | 'hashes'> & {
  readonly ok: boolean
  readonly timeline: number
  readonly milliseconds: number
  readonly entriesPerSecond: number | null
  readonly loss: Loss | null
}): string {
  const lost =
    loss === null
      ? 'unknown: name the database with --data-dir'
      : loss.entries === 0
        ? `nothing: everything that is flushed is there, up to LSN ${loss.flushedLsn}`
        : `${loss.entries} entries of the last ${loss.milliseconds} ms (LSN ${last} of ${loss.flushedLsn})`
  return list([
    ['drill', ok ? 'ok' : 'not ok'],
    ['up to', `LSN ${last}${time === null ? '' : `, ${time}`}, timeline ${timeline}`],
    ['replayed', `${entries} entries, ${entriesPerSecond ?? '-'} a second`],
    ['events', events],
    ['took', `${milliseconds} ms`],
    ['hashes', `${hashes.compared} compared, ${hashes.differing.length} differ`],
    ['would be lost', lost],
  ])
}

async function lossOf(
  dataDir: string,
  { identity }: Origin,
  restoredLsn: number,
  restoredTime: string | null,
): Promise<Loss> {
  const found = readIdentity(dataDir)
  if (found === undefined) throw noDatabase(dataDir, null)
  if (found.databaseId !== identity.databaseId) throw foreign(dataDir, found.databaseId, identity.databaseId)
  const storage = new FileStorage(join(dataDir, 'journal'))
  const journal = { path: storage.directory, storage, dataDir }
  const status = await runningDatabase(journal)
  const flushedLsn =
    status === null ? verifyJournal(storage, await floorOf(journal)).lastLsn : await flushedNow(dataDir)
  const wallMs = wallMsOf(storage, flushedLsn)
  const restoredMs = restoredTime === null ? null : Date.parse(restoredTime)
  return {
    flushedLsn,
    entries: Math.max(0, flushedLsn - restoredLsn),
    milliseconds: wallMs === null || restoredMs === null ? 0 : Math.max(0, wallMs - restoredMs),
  }
}

/** What status says is as old as the last reports to it, and the drill must not make the loss smaller. */
async function flushedNow(dataDir: string): Promise<Lsn> {
  const { transport, scheduler } = controlClient(dataDir)
  const hold = await holdJournal(transport, addressesOf(dataDir).applier, scheduler)
  try {
    return await hold.flushed()
  } finally {
    hold.release()
  }
}

function wallMsOf(storage: FileStorage, at: Lsn): number | null {
  if (at === 0) return null
  const reader = new JournalReader(storage, at)
  try {
    return reader.read(1, at)[0]?.wallMs ?? null
  } finally {
    reader.close()
  }
}

const foreign = (dataDir: string, found: string, restored: string): CommanderError =>
  new CommanderError(
    'foreign_database',
    `${dataDir} holds the database ${found}, what was restored is ${restored}: name the directory of the same database`,
    { details: { dataDir, found, restored } },
  )
