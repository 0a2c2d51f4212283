import type { Log, Random } from '../kernel/environment.ts'
import type { Orchestrator } from '../replication/orchestrator.ts'
import { type DynamicChildren, HostOrchestrator } from './host-orchestrator.ts'
import {
  firstServers,
  journalMasterChild,
  journalServerChild,
  type ReplicationChildrenOptions,
} from './replication-children.ts'

/**
 * What a host of a cluster runs beside its database: the journal servers that were provisioned here, which the config says the first of, and
 * a master.
 * @throws CommanderError `invalid_config`; what the file system says
 */
export async function orchestrateHost(
  options: ReplicationChildrenOptions & { readonly random: Random },
  children: DynamicChildren,
  log: Log,
): Promise<Orchestrator> {
  const { dataDir, replication, random } = options
  const orchestrator = await HostOrchestrator.open({
    children,
    directory: dataDir,
    random,
    first: firstServers(replication),
    specificationOf: (id, directory, slot) => journalServerChild(options, id, directory, slot),
  })
  if (replication.master) children.add(journalMasterChild(options))
  const { length: found } = await orchestrator.list()
  if (found < replication.servers)
    log.warn(
      { configured: replication.servers, provisioned: found },
      'replication.servers counts at the first start only: for more journal servers use commanderdb cluster provision',
    )
  return orchestrator
}
