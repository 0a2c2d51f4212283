import { CommanderError } from '../kernel/errors.ts'

/** Why an append is refused before anything of it is written. */

export function limitReached(maxBytes: number, oldest: string | undefined): CommanderError {
  return new CommanderError(
    'journal_full',
    `the journal has reached journal.maxJournalBytes (${maxBytes}), and its oldest segment ${oldest} is still needed: see status for what is behind, or raise the limit`,
    { details: { maxBytes, oldest } },
  )
}

export function tooLarge(bytes: number, bytesMax: number): CommanderError {
  return new CommanderError(
    'payload_too_large',
    `${bytes} bytes do not fit into one frame of the journal (at most ${bytesMax}): write less at once or raise journal.segmentBytes`,
    { details: { bytes, bytesMax } },
  )
}
