import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import { writeDurably } from '../kernel/write-durably-adapter.ts'

/**
 * `cluster.json` in the data directory: its node is one of a cluster, and where that is. Paths, and no secrets. Whoever has it follows the
 * journal of the cluster and keeps none of its own, so that nothing is taken here that the others never see.
 */
export interface ClusterPlace {
  readonly clusterId: string
  readonly metadata: string
  /** null: it has not been started as a node yet. */
  readonly nodeId: string | null
  /** Paths of PEM files. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string } | null
}

export const clusterPlaceName = 'cluster.json'

/** At each start of a node, before anything else of it is there; on the disk when this returns. */
export const writeClusterPlace = (dataDir: string, place: ClusterPlace): void =>
  writeDurably(dataDir, clusterPlaceName, `${JSON.stringify(place, undefined, 2)}\n`)

/** @returns null where no node of a cluster was ever started. @throws CommanderError `foreign_database`: it cannot be understood */
export function readClusterPlace(dataDir: string): ClusterPlace | null {
  const path = join(dataDir, clusterPlaceName)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return null
    throw unreadable(path, error)
  }
  try {
    const place = JSON.parse(text) as ClusterPlace
    if (typeof place.clusterId === 'string' && typeof place.metadata === 'string') return place
  } catch {
    // said below
  }
  throw new CommanderError(
    'foreign_database',
    `${path} is damaged: start the node again as one of its cluster, which writes it, or give --metadata`,
  )
}

/**
 * Before a database is opened that keeps its journal alone.
 * @throws CommanderError `invalid_config`: the directory is that of a node of a cluster; `foreign_database`
 */
export function assertOfNoCluster(dataDir: string): void {
  const place = readClusterPlace(dataDir)
  if (place === null) return
  const node = place.nodeId === null ? '' : ` --node-id ${place.nodeId}`
  const message =
    `${dataDir} is of a node of the cluster ${place.clusterId}: with a journal of its own it would take what the other nodes never see. ` +
    `Start it with --journal replicated --metadata ${place.metadata}${node}, or name another directory`
  throw new CommanderError('invalid_config', message, { details: { clusterId: place.clusterId } })
}

const unreadable = (path: string, cause: unknown): CommanderError =>
  new CommanderError('foreign_database', `${path} cannot be read: ${messageOf(cause)}`, { cause })
