import { archiveReport } from '../src/assembly/archive-report.ts'
import { prepareStore, surroundingsOf } from '../src/assembly/file-surroundings-adapter.ts'
import { flushOptionsOf, journalOptionsOf, retentionSettingsOf } from '../src/assembly/journal-settings.ts'
import type { RunningNode } from '../src/assembly/node-process-adapter.ts'
import { type RunningJournalWriter, startJournalWriter } from '../src/assembly/start-journal-writer.ts'
import { lockDatabase } from '../src/observability/process-lock-adapter.ts'
import type { ResolvedConfig } from '../src/sdk/resolved-config.ts'
import { type Child, runChild } from '../src/supervisor/child-main.ts'
import type { ChildSettings } from '../src/supervisor/database-children.ts'

await runChild<ChildSettings<ResolvedConfig>>(async (child) => {
  lockDatabase(child.config.config.dataDir, 'journal-writer')
  const running = await start(child)
  child.link.onStop(running.stop)
  const measureArchive = running.archiver ? archiveReport(running.archiver, child.metrics) : () => ({})
  child.link.sample(() => ({
    appliedLsn: running.journal.writtenLsn,
    journal: running.writer.retention.use,
    writtenBytes: running.journal.writtenBytes,
    attestation: { ...running.writer.attestation.status, nodes: running.nodeStates?.() ?? [] },
    leadership: running.writer.leadership,
    lsn: {
      written: running.journal.writtenLsn,
      flushed: running.journal.flushedLsn,
      checkpoint: running.writer.retention.checkpoint,
    },
    ...measureArchive(),
  }))
  child.link.ready()
})

async function start(
  child: Child<ChildSettings<ResolvedConfig>>,
): Promise<RunningJournalWriter & Partial<Pick<RunningNode, 'archiver' | 'nodeStates'>>> {
  const { config } = child.config
  const { dataDir, replication } = config
  const surroundings = surroundingsOf(child)
  await prepareStore(surroundings, dataDir)
  const settings = {
    journal: journalOptionsOf(config),
    flush: flushOptionsOf(config),
    retention: retentionSettingsOf(config),
    attestIntervalMs: config.journal.attestIntervalMs,
  }
  if (replication.journal === 'local') return startJournalWriter(surroundings, settings)
  // Loaded by those who need it: what a cluster needs costs time at the start, and memory.
  const { startNodeProcess } = await import('../src/assembly/node-process-adapter.ts')
  const { nodeAddress } = await import('../src/supervisor/replication-children.ts')
  const { requestStatus } = await import('../src/supervisor/status-client.ts')
  const { transport, environment } = child
  const ask = () => requestStatus({ transport, scheduler: environment.scheduler, dataDir })
  const askUrl = (): Promise<string | null> =>
    ask().then(
      ({ url }) => url,
      () => null,
    )
  return startNodeProcess(surroundings, {
    ...settings,
    replication,
    transport,
    address: nodeAddress(replication, dataDir),
    askUrl,
    archive: config.archive,
    dataDir,
  })
}
