import { CommanderError } from '../kernel/errors.ts'
import { lsn } from '../kernel/identifiers.ts'
import type { BackupManifest } from './backup-manifest.ts'
import { lineageOf, newestWithSegments, type Stock } from './lineage.ts'
import { goalText, type RestoreGoal } from './restore-goal.ts'

interface Wish {
  readonly manifest: BackupManifest | null
  readonly goal: RestoreGoal
  readonly timeline: number | null
  readonly source: { readonly location: string }
  readonly warn: (what: string) => void
}

/**
 * The timeline to restore: the one asked for, or the newest that has segments.
 * @throws CommanderError `not_found`: there is none; `invalid_input`: the backup is not a part of it
 */
export function chosenTimeline(stock: Stock, { manifest, goal, timeline, source, warn }: Wish): number {
  if (stock.segments.length === 0)
    throw new CommanderError(
      'not_found',
      `${source.location} holds no segments of a journal: there is nothing to restore`,
    )
  const newest = newestWithSegments(stock)
  const chosen = timeline ?? newest
  const known = new Set([...stock.segments.map((segment) => segment.timeline), ...stock.beginnings.keys()])
  if (!known.has(chosen)) {
    const there = [...known].sort((a, b) => a - b).join(', ')
    throw new CommanderError('not_found', `there is no timeline ${chosen} in ${source.location}; there are: ${there}`)
  }
  if (timeline === null && goal.to === 'end' && stock.newestTimeline > newest)
    warn(
      `timeline ${stock.newestTimeline} began, and none of its segments is there yet: restoring timeline ${newest}; ` +
        `--timeline ${stock.newestTimeline} ends where it began`,
    )
  if (manifest !== null) checkLineage(stock, manifest, chosen)
  return chosen
}

/** The store of a backup can only go on along the history that it is of. */
function checkLineage(stock: Stock, { timeline: own, appliedLsn }: BackupManifest, chosen: number): void {
  const lineage = lineageOf(stock, chosen)
  const at = lineage.indexOf(own)
  const leftAt = at > 0 ? stock.beginnings.get(lineage[at - 1] as number)?.fromLsn : undefined
  if (at >= 0 && (leftAt === undefined || leftAt > appliedLsn)) return
  const left = leftAt === undefined ? '' : `, which was left after LSN ${leftAt - 1}`
  throw new CommanderError(
    'invalid_input',
    `the backup holds everything up to LSN ${appliedLsn} of timeline ${own}${left}, so timeline ${chosen} cannot be reached from it: ` +
      `restore --timeline ${own}, or an older backup, or the archive from its beginning`,
    { details: { timeline: chosen, backup: own, appliedLsn } },
  )
}

/**
 * What is asked for, within a timeline that may have ended before it.
 * @throws CommanderError `invalid_input`, `not_found`
 */
export function checkedGoal(stock: Stock, { manifest, goal, source }: Wish, timeline: number): RestoreGoal {
  if (manifest === null) checkBeginning(stock, timeline, source.location)
  else checkAgainstBackup(manifest, goal)
  const beginning = stock.beginnings.get(timeline)
  const isEmpty = !stock.segments.some((segment) => segment.timeline === timeline)
  if (!isEmpty || beginning === undefined) return goal
  const end = lsn(beginning.fromLsn - 1)
  if (goal.to === 'time')
    throw new CommanderError(
      'invalid_input',
      `timeline ${timeline} began at LSN ${beginning.fromLsn} and has no entries of its own by whose times ${goalText(goal)} could be found: ` +
        'name the timeline before it, or an entry with --to-lsn',
      { details: { timeline, fromLsn: beginning.fromLsn } },
    )
  if (goal.to === 'end') return { to: 'lsn', lsn: end }
  if (goal.lsn <= end) return goal
  const message = `there is no LSN ${goal.lsn}: of timeline ${timeline} there is nothing behind LSN ${end}, where it began`
  throw new CommanderError('invalid_input', message, { details: { lsn: goal.lsn, lastLsn: end } })
}

function checkBeginning(stock: Stock, timeline: number, location: string): void {
  const lineage = new Set(lineageOf(stock, timeline))
  const first = Math.min(...stock.segments.filter((one) => lineage.has(one.timeline)).map(({ baseLsn }) => baseLsn))
  if (first <= 1) return
  const message = `the archive ${location} begins at LSN ${first}: restore a backup that holds what came before, with --archive ${location}`
  throw new CommanderError('not_found', message, { details: { firstLsn: first } })
}

function checkAgainstBackup({ appliedLsn, appliedTime, startedAt }: BackupManifest, goal: RestoreGoal): void {
  const isBefore =
    (goal.to === 'lsn' && goal.lsn < appliedLsn) || (goal.to === 'time' && goal.wallMs < Date.parse(appliedTime))
  if (!isBefore) return
  throw new CommanderError(
    'invalid_input',
    `${goalText(goal)} is before the backup of ${startedAt}: it can be restored to LSN ${appliedLsn} (${appliedTime}) and later. ` +
      'Restore an older backup, or the archive from its beginning',
    { details: { appliedLsn, appliedTime } },
  )
}
