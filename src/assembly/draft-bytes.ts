import { defaultJournalOptions, framePayloadBytesMax, type JournalOptions } from '../journal/options.ts'
import { limits } from '../kernel/limits.ts'

/** The largest draft that such a journal takes: one frame holds it. */
export const draftBytesMax = (journal: JournalOptions = defaultJournalOptions): number =>
  Math.min(limits.appendBatchBytesMax, framePayloadBytesMax(journal))
