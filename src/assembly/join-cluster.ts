import { isTlsAddress } from '../ipc/tls-address.ts'
import type { Environment } from '../kernel/environment.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { createSystemEnvironment, wakefulScheduler } from '../kernel/system-environment.ts'
import { ClusterRegistry } from '../replication/cluster-registry.ts'
import { metadataKeys } from '../replication/metadata-store.ts'
import { openMetadataStore } from '../replication/open-metadata-store-adapter.ts'
import type { RegisteredServer } from '../replication/registered-server.ts'

export interface JoinSettings {
  /** It was of a cluster before: where there is none by now, the metadata store was lost, or another one is meant. */
  readonly isMember: boolean
  /** For the TLS between hosts. */
  readonly hasCertificates: boolean
  /** For how long a metadata store that does not answer is asked again. */
  readonly waitMs: number
  /** Tells people, once, that it is waited for. */
  readonly say: (text: string) => void
}

const pauseMs = 1_000

/**
 * The id of the cluster of a metadata store, which is that of its database: whoever comes first makes it.
 *
 * @param wanted of the data directory, or of the config. Default: whichever it is
 * @throws CommanderError `foreign_cluster`, `metadata_unavailable`, `invalid_config`
 */
export async function joinCluster(
  metadata: string,
  wanted: string | undefined,
  settings: JoinSettings,
): Promise<string> {
  // Nothing else keeps the process alive yet.
  const environment = { ...createSystemEnvironment(), scheduler: wakefulScheduler }
  const { clock, scheduler } = environment
  const untilMs = clock.monotonicMs() + settings.waitMs
  let isSaid = false
  for (;;) {
    try {
      return await join(metadata, wanted, settings, environment)
    } catch (error) {
      const isDown = isCommanderError(error) && error.code === 'metadata_unavailable'
      const leftMs = untilMs - clock.monotonicMs()
      if (!isDown || leftMs <= 0) throw error
      if (!isSaid) settings.say(`${error.message}; trying again for ${Math.ceil(leftMs / 1000)} s`)
      isSaid = true
    }
    await new Promise<void>((resolve) => scheduler.after(pauseMs, resolve))
  }
}

async function join(
  metadata: string,
  wanted: string | undefined,
  { isMember, hasCertificates }: JoinSettings,
  environment: Environment,
): Promise<string> {
  const store = await openMetadataStore(metadata, environment)
  try {
    // A cluster that is made anew knows nothing of what was acknowledged: its nodes would begin with an empty journal.
    if (isMember && (await store.get(metadataKeys.cluster)) === null) throw noCluster(metadata, wanted)
    const registry = new ClusterRegistry(store, environment)
    const clusterId = await registry.join(wanted)
    // It would only be known from a journal writer that tries in vain to reach them.
    if (!hasCertificates) assertNoneNeedsTls(await registry.servers())
    return clusterId
  } finally {
    await store.close()
  }
}

function noCluster(metadata: string, wanted: string | undefined): CommanderError {
  const message =
    `the metadata store ${metadata} holds no cluster, and this host is a member of ${wanted ?? 'one'}: that store was lost, or another ` +
    'one is meant. Correct replication.metadata, or put the store back; nothing was changed'
  return new CommanderError('foreign_cluster', message, { details: { wanted: wanted ?? null, found: null } })
}

function assertNoneNeedsTls(servers: readonly RegisteredServer[]): void {
  const server = servers.find(({ address, state }) => state === 'active' && isTlsAddress(address))
  if (server === undefined) return
  const message =
    `journal server ${server.id} of the cluster is at ${server.address}, which needs certificates, and none are given: give ` +
    '--replication-tls-ca, --replication-tls-cert and --replication-tls-key (replication.tls), of the authority of the cluster'
  throw new CommanderError('invalid_config', message, { details: { server: server.id, address: server.address } })
}
