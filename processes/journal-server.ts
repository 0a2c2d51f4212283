import { hostname } from 'node:os'
import { join } from 'node:path'
import { type JournalServerSettings, startJournalServer } from '../src/assembly/start-journal-server.ts'
import { createRoutedTransport } from '../src/ipc/routed-transport.ts'
import { createTlsTransport, readTlsIdentity, type TlsIdentity } from '../src/ipc/tls-transport-adapter.ts'
import { lockDatabase } from '../src/observability/process-lock-adapter.ts'
import { diskUseOf } from '../src/replication/disk-use-adapter.ts'
import { deviceOf, FileServerDisk } from '../src/replication/file-server-disk.ts'
import { openMetadataStore } from '../src/replication/open-metadata-store-adapter.ts'
import { runChild } from '../src/supervisor/child-main.ts'

interface JournalServerConfig extends JournalServerSettings {
  /** Of this server alone. */
  readonly dataDir: string
  /** `file:DIRECTORY` or `etcd://HOST:PORT`. */
  readonly metadata: string
  /** Paths of PEM files; needed for `tls://` addresses. */
  readonly tls?: TlsIdentity
}

await runChild<JournalServerConfig>(async (child) => {
  const { config, environment } = child
  const { dataDir } = config
  lockDatabase(dataDir, 'journal-server')
  const identity = config.tls === undefined ? null : readTlsIdentity(config.tls)
  const running = await startJournalServer(
    {
      environment,
      transport: createRoutedTransport(child.transport, createTlsTransport(environment, identity)),
      disk: new FileServerDisk(join(dataDir, 'log')),
      metadata: await openMetadataStore(config.metadata, environment),
      host: hostname(),
      device: deviceOf(dataDir),
      diskUse: diskUseOf(join(dataDir, 'log'), environment.clock),
      failed: child.fail,
    },
    config,
  )
  const { log, shell } = running
  child.link.onStop(running.stop)
  child.link.sample(() => ({ journalServer: { streams: log.streams().length, alarms: shell.alarms } }))
  child.link.ready()
})
