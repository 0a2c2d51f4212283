import { hostname } from 'node:os'
import { startJournalMaster } from '../src/assembly/start-journal-master.ts'
import { createRoutedTransport } from '../src/ipc/routed-transport.ts'
import { createTlsTransport, readTlsIdentity } from '../src/ipc/tls-transport-adapter.ts'
import { openMetadataStore } from '../src/replication/open-metadata-store-adapter.ts'
import { runChild } from '../src/supervisor/child-main.ts'
import { ControlOrchestrator } from '../src/supervisor/control-orchestrator.ts'
import type { JournalMasterConfig } from '../src/supervisor/replication-children.ts'

await runChild<JournalMasterConfig>(async ({ config, environment, transport, link }) => {
  const { dataDir, replication } = config
  const { policy, leaseMs, serverSilenceMs, sparesMin, sparesMax, tls, dev, nodeId, metadata } = replication
  const identity = tls === null ? null : readTlsIdentity(tls)
  const { stop } = startJournalMaster({
    environment,
    metadata: await openMetadataStore(metadata as string, environment),
    transport: createRoutedTransport(transport, createTlsTransport(environment, identity)),
    nodeId: nodeId as string,
    leaseMs,
    options: {
      silenceMs: serverSilenceMs,
      policy,
      spares: sparesMin === null ? null : { min: sparesMin, max: sparesMax, host: hostname() },
      mayShareDevice: dev,
    },
    orchestrator:
      sparesMin === null ? null : new ControlOrchestrator({ transport, scheduler: environment.scheduler, dataDir }),
  })
  link.onStop(stop)
  link.ready()
})
