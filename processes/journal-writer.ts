import { prepareStore, surroundingsOf } from '../src/assembly/file-surroundings-adapter.ts'
import { flushOptionsOf, journalOptionsOf, retentionSettingsOf } from '../src/assembly/journal-settings.ts'
import { startJournalWriter } from '../src/assembly/start-journal-writer.ts'
import { CommanderError } from '../src/kernel/errors.ts'
import { lockDatabase } from '../src/observability/process-lock-adapter.ts'
import type { ResolvedConfig } from '../src/sdk/resolved-config.ts'
import { runChild } from '../src/supervisor/child-main.ts'
import type { ChildSettings } from '../src/supervisor/database-children.ts'

const notYet = (): CommanderError =>
  new CommanderError(
    'invalid_config',
    'replication.journal is replicated, but this release cannot start a journal writer on journal servers yet: use --journal local',
  )

await runChild<ChildSettings<ResolvedConfig>>(async (child) => {
  const { config } = child.config
  const { dataDir } = config
  if (config.replication.journal === 'replicated') throw notYet()
  lockDatabase(dataDir, 'journal-writer')
  const surroundings = surroundingsOf(child)
  await prepareStore(surroundings, dataDir)
  const running = await startJournalWriter(surroundings, {
    journal: journalOptionsOf(config),
    flush: flushOptionsOf(config),
    retention: retentionSettingsOf(config),
    attestIntervalMs: config.journal.attestIntervalMs,
  })
  child.link.onStop(running.stop)
  child.link.sample(() => ({
    appliedLsn: running.journal.writtenLsn,
    journal: running.writer.retention.use,
    writtenBytes: running.journal.writtenBytes,
    attestation: running.writer.attestation.status,
    leadership: running.writer.leadership,
    lsn: {
      written: running.journal.writtenLsn,
      flushed: running.journal.flushedLsn,
      checkpoint: running.writer.retention.checkpoint,
    },
  }))
  child.link.ready()
})
