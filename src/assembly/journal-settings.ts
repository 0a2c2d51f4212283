import { defaultJournalOptions, type JournalOptions } from '../journal/options.ts'
import type { FlushOptions } from '../journal-writer/options.ts'
import type { ResolvedConfig } from '../sdk/resolved-config.ts'

export const journalOptionsOf = ({ journal: { segmentBytes, initZero, recycle } }: ResolvedConfig): JournalOptions => ({
  ...defaultJournalOptions,
  segmentBytes,
  initZero,
  recycle,
})

export const flushOptionsOf = ({
  journal: { writerDelayMs, flushAfterBytes, commitDelayMicros, durability },
}: ResolvedConfig): FlushOptions => ({ writerDelayMs, flushAfterBytes, commitDelayMicros, durability })
