import { makeStore, surroundingsOf } from '../src/assembly/file-surroundings-adapter.ts'
import { startJournalWriter } from '../src/assembly/start-journal-writer.ts'
import { defaultJournalOptions } from '../src/journal/options.ts'
import { lockDatabase } from '../src/observability/process-lock-adapter.ts'
import type { ResolvedConfig } from '../src/sdk/resolved-config.ts'
import { runChild } from '../src/supervisor/child-main.ts'
import type { ChildSettings } from '../src/supervisor/database-children.ts'

await runChild<ChildSettings<ResolvedConfig>>(async (child) => {
  const { dataDir, journal } = child.config.config
  lockDatabase(dataDir, 'journal-writer')
  const surroundings = surroundingsOf(child)
  await makeStore(surroundings, dataDir)
  const { segmentBytes, initZero, recycle, writerDelayMs, flushAfterBytes, commitDelayMicros, durability } = journal
  const running = await startJournalWriter(surroundings, {
    journal: { ...defaultJournalOptions, segmentBytes, initZero, recycle },
    flush: { writerDelayMs, flushAfterBytes, commitDelayMicros, durability },
  })
  child.log.info({ ...running.report }, 'journal recovered')
  child.link.onStop(running.stop)
  child.link.sample(() => ({
    appliedLsn: running.journal.writtenLsn,
    lsn: {
      written: running.journal.writtenLsn,
      flushed: running.journal.flushedLsn,
      checkpoint: running.writer.checkpoint,
    },
  }))
  child.link.ready()
})
