import type { Restored } from '../backup/restore.ts'
import { CommanderError } from '../kernel/errors.ts'

/** Of what was restored: its state is not what was written down while the database ran. Null where it is, or nothing was. */
export function differenceOf({ hashes: { differing } }: Pick<Restored, 'hashes'>, advice = ''): CommanderError | null {
  const [first] = differing
  if (first === undefined) return null
  const { lsn, expected, found } = first
  const message = `what was restored is not what was: at LSN ${lsn} the state has the hash ${found}, but had ${expected} while the database ran`
  return new CommanderError('archive_corrupt', `${message}${advice}`, { details: { differing } })
}
