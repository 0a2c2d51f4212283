import { hostname } from 'node:os'
import { prepareStore, surroundingsOf } from '../src/assembly/file-surroundings-adapter.ts'
import { flushOptionsOf, journalOptionsOf, retentionSettingsOf } from '../src/assembly/journal-settings.ts'
import {
  type JournalWriterSettings,
  type RunningJournalWriter,
  startJournalWriter,
} from '../src/assembly/start-journal-writer.ts'
import { startReplicaNode } from '../src/assembly/start-replica-node.ts'
import type { Surroundings } from '../src/assembly/surroundings.ts'
import { createRoutedTransport } from '../src/ipc/routed-transport.ts'
import { createTlsTransport, readTlsIdentity } from '../src/ipc/tls-transport-adapter.ts'
import { lockDatabase } from '../src/observability/process-lock-adapter.ts'
import { openMetadataStore } from '../src/replication/open-metadata-store-adapter.ts'
import type { ResolvedConfig } from '../src/sdk/resolved-config.ts'
import { type Child, runChild } from '../src/supervisor/child-main.ts'
import type { ChildSettings } from '../src/supervisor/database-children.ts'
import { nodeAddress } from '../src/supervisor/replication-children.ts'
import { requestStatus } from '../src/supervisor/status-client.ts'

const lookMs = 2000

await runChild<ChildSettings<ResolvedConfig>>(async (child) => {
  const { config } = child.config
  const { dataDir } = config
  lockDatabase(dataDir, 'journal-writer')
  const surroundings = surroundingsOf(child)
  await prepareStore(surroundings, dataDir)
  const settings = {
    journal: journalOptionsOf(config),
    flush: flushOptionsOf(config),
    retention: retentionSettingsOf(config),
    attestIntervalMs: config.journal.attestIntervalMs,
  }
  const isReplicated = config.replication.journal === 'replicated'
  const running = isReplicated
    ? await startNode(child, surroundings, settings)
    : await startJournalWriter(surroundings, settings)
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

async function startNode(
  { config: { config }, environment, transport }: Child<ChildSettings<ResolvedConfig>>,
  surroundings: Surroundings,
  settings: JournalWriterSettings,
): Promise<RunningJournalWriter> {
  const { dataDir, replication } = config
  const { policy, leaseMs, tls, dev, nodeId, metadata } = replication
  const identity = tls === null ? null : readTlsIdentity(tls)
  /** The gateway starts after this process: where it serves is known later. */
  let url: string | null = null
  const look = async (): Promise<void> => {
    const status = await requestStatus({ transport, scheduler: environment.scheduler, dataDir }).catch(() => null)
    url = status?.url ?? null
    environment.scheduler.after(lookMs, () => void look())
  }
  void look()
  const { running, stop } = await startReplicaNode(surroundings, {
    ...settings,
    metadata: await openMetadataStore(metadata as string, environment),
    clusterTransport: createRoutedTransport(transport, createTlsTransport(environment, identity)),
    me: { id: nodeId as string, incarnation: environment.random.uuid(), address: nodeAddress(replication, dataDir) },
    policy,
    leaseMs,
    mayShareDevice: dev,
    host: hostname(),
    socket: surroundings.addresses.gateway,
    url: () => url,
  })
  return { ...running, stop }
}
