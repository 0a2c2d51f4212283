import type { Listener, Transport } from '../ipc/channel.ts'
import { defaultJournalOptions, type JournalOptions } from '../journal/options.ts'
import type { Environment } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import { ClusterRegistry } from '../replication/cluster-registry.ts'
import type { DiskUse } from '../replication/disk-use-adapter.ts'
import { openServerLog } from '../replication/journal-server-log.ts'
import { JournalServerShell } from '../replication/journal-server-shell.ts'
import type { MetadataStore } from '../replication/metadata-store.ts'
import type { ServerDisk } from '../replication/server-disk.ts'
import type { ServerLog } from '../replication/server-log.ts'
import { ServerRegistration } from '../replication/server-registration.ts'
import type { RunningRole } from './surroundings.ts'

/** What a journal server is configured with. */
export interface JournalServerSettings {
  readonly serverId: string
  /** Default: the cluster that the metadata store is of. */
  readonly clusterId?: string
  /** `tls://host:port`, or the path of a socket. */
  readonly listen: string
  /** Where others reach it, if that is another address. */
  readonly advertise?: string
  /** Default: segments of 16 MiB, zero-filled; no bound but the disk. */
  readonly journal?: Partial<JournalOptions>
  /** What its segments may take on the disk; beyond that it takes nothing until some are trimmed. Default: all there is. */
  readonly maxBytes?: number
  /** How long a read waits for entries that are not committed yet. Default 1000. */
  readonly readWaitMs?: number
}

export interface JournalServerSurroundings {
  readonly environment: Environment
  readonly transport: Transport
  readonly disk: ServerDisk
  readonly metadata: MetadataStore
  readonly host: string
  readonly device: string
  readonly diskUse?: () => DiskUse
  /** The server cannot go on: the process ends. */
  readonly failed: (error: CommanderError) => void
}

export interface RunningJournalServer extends RunningRole {
  readonly log: ServerLog
  readonly shell: JournalServerShell
  readonly registration: ServerRegistration
}

const journalDefaults: JournalOptions = {
  ...defaultJournalOptions,
  segmentBytes: limits.serverFileBytes,
  maxBytes: Number.MAX_SAFE_INTEGER,
}

/**
 * Recovers the log, listens, and registers who it is (I17: nobody is answered before that): whoever finds it registered reaches it.
 * @throws CommanderError as `openServerLog` and `ClusterRegistry.register`
 */
export async function startJournalServer(
  { environment, transport, disk, metadata, host, device, diskUse, failed }: JournalServerSurroundings,
  settings: JournalServerSettings,
): Promise<RunningJournalServer> {
  const { serverId, listen } = settings
  const registry = new ClusterRegistry(metadata, environment)
  const clusterId = await registry.join(settings.clusterId)
  const options = { ...journalDefaults, ...settings.journal }
  const bound = settings.maxBytes === undefined ? {} : { maxBytes: settings.maxBytes }
  const log = await openServerLog({ disk, environment, serverId, clusterId, options, ...bound })
  const { identity } = log.identity
  const address = settings.advertise ?? listen
  const registration = new ServerRegistration({
    store: metadata,
    registry,
    server: { id: serverId, identity, address, host, device, clusterId },
    lost: failed,
  })
  const { readWaitMs } = settings
  const waiting = readWaitMs === undefined ? {} : { readWaitMs }
  const use = diskUse === undefined ? {} : { diskUse }
  const shell = new JournalServerShell({ log, environment, transport, failed, ...use, ...waiting })
  const closeLog = (): Promise<void> =>
    new Promise((resolve, reject) => log.close((error) => (error === null ? resolve() : reject(error))))
  try {
    const listener = await listenFirst(transport, listen, shell, registration)
    const stop = async (): Promise<void> => {
      registration.end()
      shell.stop()
      await listener.close()
      await closeLog()
      await metadata.close()
    }
    return { log, shell, registration, stop }
  } catch (error) {
    registration.end()
    await closeLog()
    throw error
  }
}

async function listenFirst(
  transport: Transport,
  address: string,
  shell: JournalServerShell,
  registration: ServerRegistration,
): Promise<Listener> {
  let isRegistered = false
  const listener = await transport.listen(address, (channel) => {
    if (isRegistered) return shell.accept(channel)
    channel.close(notYet())
    return { frame: () => {}, closed: () => {} }
  })
  try {
    await registration.begin()
    isRegistered = true
    return listener
  } catch (error) {
    await listener.close()
    throw error
  }
}

const notYet = (): CommanderError =>
  new CommanderError('not_ready', 'this journal server is just starting: try again', { retryable: true })
