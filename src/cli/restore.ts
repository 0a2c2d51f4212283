import { resolve } from 'node:path'
import type { ArchiveTarget } from '../archive/archive-target.ts'
import type { RestoreGoal } from '../backup/restore-goal.ts'
import { lsn } from '../kernel/identifiers.ts'
import { openPlace } from './archive-place.ts'
import { parseInteger } from './arguments.ts'
import { seenAsOne } from './cluster-archive.ts'
import { drilled } from './drill.ts'
import { exitCodes, UsageError } from './exit-code.ts'
import { whenInterrupted } from './interruption.ts'
import { build, type Outcome } from './restore-build.ts'
import { directoryBeside, scratchDirectory } from './restore-directory.ts'
import { originOf } from './restore-origin.ts'
import type { Flags } from './settings.ts'
import { list } from './table.ts'
import type { Terminal } from './terminal.ts'

/** Makes a database from a backup or an archive; or, as a drill, only shows that it can be made. */
export async function restore(terminal: Terminal, from: string, flags: Flags): Promise<number> {
  const goal = goalOf(flags)
  const isDrill = flags['drill'] === true
  const { dataDir } = flags
  if (!isDrill && typeof dataDir !== 'string') throw new UsageError('name the directory to restore to with --data-dir')
  const opened: ArchiveTarget[] = []
  const place = async (name: string): Promise<ArchiveTarget> => {
    const target = await openPlace(name, flags)
    opened.push(target)
    return seenAsOne(target)
  }
  try {
    const origin = await originOf(terminal, from, flags, place)
    const directory = isDrill ? scratchDirectory() : directoryBeside(dataDir as string)
    const forget = whenInterrupted(() => {
      directory.abandon()
      terminal.warn('the restore was interrupted: nothing was made')
    })
    try {
      const outcome = await build(terminal, origin, goal, flags, directory)
      return isDrill ? await drilled(terminal, origin, outcome, flags) : await restored(terminal, outcome, flags)
    } finally {
      forget()
      directory.abandon()
    }
  } finally {
    for (const target of opened) await target.close()
  }
}

const timePattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/

function goalOf({ toLsn, toTime }: Flags): RestoreGoal {
  if (toLsn !== undefined && toTime !== undefined) throw new UsageError('give one of --to-lsn and --to-time, not both')
  if (typeof toLsn === 'string') return { to: 'lsn', lsn: lsn(parseInteger('--to-lsn', toLsn, 1)) }
  if (typeof toTime !== 'string') return { to: 'end' }
  const wallMs = timePattern.test(toTime) ? Date.parse(toTime) : Number.NaN
  if (!Number.isNaN(wallMs)) return { to: 'time', wallMs }
  throw new UsageError(
    `--to-time is "${toTime}", but must be a time with its zone, such as 2026-01-31T12:00:00Z or 2026-01-31T14:00:00.250+02:00`,
  )
}

async function restored(terminal: Terminal, { result, claim, milliseconds }: Outcome, flags: Flags): Promise<number> {
  const dataDir = resolve(String(flags['dataDir']))
  const { lsn: last, time, parent, entries, events, stateHash, replayMs, hashes } = result
  const { timeline = parent } = claim ?? {}
  for (const { lsn: at, expected, found } of hashes.differing)
    terminal.warn(`at LSN ${at} the state has the hash ${found}, but had ${expected} while the database ran`)
  const facts = {
    dataDir,
    lsn: last,
    time,
    timeline,
    parent,
    entries,
    events,
    stateHash,
    milliseconds,
    replayMs: Math.round(replayMs),
    hashes,
  }
  if (flags['json'] === true) await terminal.out(`${JSON.stringify(facts)}\n`)
  else
    await terminal.out(
      list([
        ['restored', dataDir],
        ['up to', `LSN ${last}${time === null ? '' : `, ${time}`}`],
        ['timeline', `${timeline}, from ${parent}`],
        ['replayed', `${entries} entries in ${milliseconds} ms`],
        ['events', events],
      ]),
    )
  return exitCodes.done
}
