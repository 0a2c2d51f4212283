import { defaultJournalOptions, type JournalOptions } from '../journal/options.ts'
import type { FlushOptions } from '../journal-writer/options.ts'
import type { RetentionSettings } from '../journal-writer/retention.ts'
import type { ResolvedConfig } from '../sdk/resolved-config.ts'

export const journalOptionsOf = ({
  journal: { segmentBytes, initZero, recycle, maxJournalBytes },
}: ResolvedConfig): JournalOptions => ({
  ...defaultJournalOptions,
  segmentBytes,
  initZero,
  recycle,
  maxBytes: maxJournalBytes,
})

export const flushOptionsOf = ({
  journal: { writerDelayMs, flushAfterBytes, commitDelayMicros, durability },
}: ResolvedConfig): FlushOptions => ({ writerDelayMs, flushAfterBytes, commitDelayMicros, durability })

export const retentionSettingsOf = ({
  journal: { maxJournalBytes, checkpointTimeoutMs, checkpointCompletionTarget },
}: ResolvedConfig): RetentionSettings => ({ maxJournalBytes, checkpointTimeoutMs, checkpointCompletionTarget })
