import { createSystemEnvironment } from '../kernel/system-environment.ts'
import { ClusterRegistry } from '../replication/cluster-registry.ts'
import { openMetadataStore } from '../replication/open-metadata-store-adapter.ts'

/**
 * The id of the cluster of a metadata store, which is that of its database: whoever comes first makes it.
 *
 * @param wanted of the data directory, or of the config. Default: whichever it is
 * @throws CommanderError `foreign_cluster`, `metadata_unavailable`, `invalid_config`
 */
export async function joinCluster(metadata: string, wanted?: string): Promise<string> {
  const environment = createSystemEnvironment()
  const store = await openMetadataStore(metadata, environment)
  try {
    return await new ClusterRegistry(store, environment).join(wanted)
  } finally {
    await store.close()
  }
}
