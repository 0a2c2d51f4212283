import { existsSync } from 'node:fs'
import { extname, join } from 'node:path'
import { CommanderError, messageOf } from '../src/kernel/errors.ts'
import { systemClock, systemRandom } from '../src/kernel/system-environment.ts'
import { type LogLevel, logLevels } from '../src/observability/logger-adapter.ts'
import type { ResolvedConfig } from '../src/sdk/resolved-config.ts'
import {
  assertOfNoCluster,
  type ClusterPlace,
  readClusterPlace,
  writeClusterPlace,
} from '../src/store/cluster-place-adapter.ts'
import { openIdentity, readIdentity } from '../src/store/identity-adapter.ts'
import { readApplicationName } from '../src/supervisor/application-name-adapter.ts'
import { databaseChildren } from '../src/supervisor/database-children.ts'
import type { SupervisionOutcome } from '../src/supervisor/supervision.ts'
import { type SuperviseOptions, superviseDatabase } from '../src/supervisor/supervisor-main.ts'

/**
 * Runs the database in this process as its supervisor until it is stopped; see `superviseDatabase`.
 *
 * @throws CommanderError `database_locked`, `foreign_database`, `unsupported_version`, `invalid_config`; of a node of a cluster
 * `foreign_cluster`, `metadata_unavailable`
 */
export async function runSupervisor(config: ResolvedConfig): Promise<SupervisionOutcome> {
  // Before the lock, so that nothing is made in a directory that is not ours.
  const known = readIdentity(config.dataDir)
  const clusterId = await clusterOf(config, known?.databaseId)
  const applicationNames = await Promise.all(config.applications.map(({ module }) => readApplicationName(module)))
  return superviseDatabase({
    dataDir: config.dataDir,
    logLevel: logLevelOf(process.env['COMMANDERDB_LOG_LEVEL']),
    children() {
      const environment = { clock: systemClock, random: systemRandom }
      if (clusterId !== undefined) writeClusterPlace(config.dataDir, placeOf(config, clusterId))
      const { databaseId } = openIdentity(config.dataDir, environment, clusterId)
      return databaseChildren({ config, databaseId, applicationNames, programOf })
    },
    orchestrate: clusterId === undefined ? undefined : orchestrated(config, clusterId),
  })
}

/** What only hosts of clusters load and run. */
function orchestrated(
  { dataDir, replication, processes }: ResolvedConfig,
  clusterId: string,
): SuperviseOptions['orchestrate'] {
  return async (children, log) => {
    const { orchestrateHost } = await import('../src/supervisor/orchestrate-host.ts')
    const options = { dataDir, replication, processes, clusterId, programOf, random: systemRandom }
    return orchestrateHost(options, children, log)
  }
}

/** The id of the database that a new directory is to be of; undefined where this node keeps its journal alone. */
async function clusterOf({ replication, dataDir }: ResolvedConfig, databaseId?: string): Promise<string | undefined> {
  const { journal, metadata, clusterId } = replication
  if (journal === 'local' || metadata === null) {
    assertOfNoCluster(dataDir)
    return undefined
  }
  const { joinCluster } = await import('../src/assembly/join-cluster.ts')
  const isMember = readClusterPlace(dataDir) !== null
  if (!isMember && existsSync(join(dataDir, 'journal'))) throw ownJournal(dataDir, metadata)
  // Whoever comes for the first time is told at once; a member has been there, and waits.
  const waitMs = isMember ? replication.metadataWaitMs : 0
  const say = (text: string): boolean => process.stderr.write(`commanderdb: ${text}\n`)
  const settings = { isMember, hasCertificates: replication.tls !== null, waitMs, say }
  const found = await joinCluster(metadata, databaseId ?? clusterId ?? undefined, settings)
  if (clusterId !== null && clusterId !== found) throw otherCluster(dataDir, found, clusterId)
  return found
}

const placeOf = ({ replication }: ResolvedConfig, clusterId: string): ClusterPlace => ({
  clusterId,
  metadata: replication.metadata as string,
  nodeId: replication.nodeId,
  tls: replication.tls,
})

function ownJournal(dataDir: string, metadata: string): CommanderError {
  const message =
    `${dataDir} is of a database with a journal of its own: to make a cluster of it, run commanderdb cluster begin --data-dir ${dataDir} ` +
    `--metadata ${metadata} first; a node that comes to a cluster begins with an empty directory`
  return new CommanderError('invalid_config', message)
}

function otherCluster(dataDir: string, found: string, wanted: string): CommanderError {
  const message = `${dataDir} is of cluster ${found}, and replication.clusterId says ${wanted}: correct one of the two`
  return new CommanderError('foreign_cluster', message, { details: { wanted, found } })
}

/** `.ts` in a clone, `.js` in the package: as this file itself. */
function programOf(role: string): string {
  return join(import.meta.dirname, role + extname(import.meta.filename))
}

function logLevelOf(text: string | undefined): LogLevel {
  return logLevels.find((level) => level === text) ?? 'info'
}

/** By hand: `node processes/supervisor.ts '{ …a resolved config… }'`. */
if (import.meta.main) {
  try {
    const { exitCode, error } = await runSupervisor(JSON.parse(process.argv[2] ?? '') as ResolvedConfig)
    if (error !== undefined) process.stderr.write(`commanderdb: ${error.message}\n`)
    process.exit(exitCode)
  } catch (error) {
    process.stderr.write(`commanderdb: ${messageOf(error)}\n`)
    process.exit(1)
  }
}
