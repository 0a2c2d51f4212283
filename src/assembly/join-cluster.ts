import type { Environment } from '../kernel/environment.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { createSystemEnvironment, wakefulScheduler } from '../kernel/system-environment.ts'
import { ClusterRegistry } from '../replication/cluster-registry.ts'
import { metadataKeys } from '../replication/metadata-store.ts'
import { openMetadataStore } from '../replication/open-metadata-store-adapter.ts'

export interface JoinPatience {
  /** It was of a cluster before: where there is none by now, the metadata store was lost, or another one is meant. */
  readonly isMember: boolean
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
  patience: JoinPatience,
): Promise<string> {
  // Nothing else keeps the process alive yet.
  const environment = { ...createSystemEnvironment(), scheduler: wakefulScheduler }
  const { clock, scheduler } = environment
  const untilMs = clock.monotonicMs() + patience.waitMs
  let isSaid = false
  for (;;) {
    try {
      return await join(metadata, wanted, patience.isMember, environment)
    } catch (error) {
      const isDown = isCommanderError(error) && error.code === 'metadata_unavailable'
      const leftMs = untilMs - clock.monotonicMs()
      if (!isDown || leftMs <= 0) throw error
      if (!isSaid) patience.say(`${error.message}; trying again for ${Math.ceil(leftMs / 1000)} s`)
      isSaid = true
    }
    await new Promise<void>((resolve) => scheduler.after(pauseMs, resolve))
  }
}

async function join(
  metadata: string,
  wanted: string | undefined,
  isMember: boolean,
  environment: Environment,
): Promise<string> {
  const store = await openMetadataStore(metadata, environment)
  try {
    // A cluster that is made anew knows nothing of what was acknowledged: its nodes would begin with an empty journal.
    if (isMember && (await store.get(metadataKeys.cluster)) === null) throw noCluster(metadata, wanted)
    return await new ClusterRegistry(store, environment).join(wanted)
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
