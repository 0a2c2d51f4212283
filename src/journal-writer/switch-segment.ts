import type { Switched } from '../ipc/journal-protocol.ts'
import type { Journal } from '../journal/journal.ts'
import { type CommanderError, isCommanderError, toWireError } from '../kernel/errors.ts'

/** Seals the current segment, for whoever wants to archive it; an error when the journal cannot go on. */
export function switchSegment(journal: Journal): Switched | CommanderError {
  try {
    journal.switchSegment()
    return { sealed: journal.sealedLsn }
  } catch (error) {
    if (!isCommanderError(error)) throw error
    return error.code === 'journal_full' ? { error: toWireError(error) } : error
  }
}
