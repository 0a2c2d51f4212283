import { CommanderError } from '../kernel/errors.ts'
import type { JournalStorage } from './storage.ts'

/** What is being given up. It is there before anything is changed, and until a record of the loss is kept elsewhere. */
const name = 'giving-up'

export function readGivingUp(storage: JournalStorage): object | null {
  const bytes = storage.readWhole(name)
  return bytes === null ? null : (JSON.parse(bytes.toString('utf8')) as object)
}

export const writeGivingUp = (storage: JournalStorage, what: object): void =>
  storage.writeWhole(name, Buffer.from(`${JSON.stringify(what, undefined, 2)}\n`))

export const forgetGivingUp = (storage: JournalStorage): void => storage.remove(name)

/** @throws CommanderError `journal_corrupt` where that was cut short: the journal may look sound, and not be on its new timeline */
export function assertNothingIsBeingGivenUp(storage: JournalStorage): void {
  if (storage.readWhole(name) === null) return
  throw new CommanderError(
    'journal_corrupt',
    `a start with --accept-loss was interrupted, and may have given up a part of the journal already (the file ${name} in its directory says which): ` +
      'start once more with --accept-loss, which ends what was begun and leaves a record of it',
    { details: { segment: null, offset: null, lsn: null, rule: 'R6', floorLsn: 0 } },
  )
}
