import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import { makeDirectoryNow } from '../kernel/make-directory-adapter.ts'
import type { SupervisedReplication } from './replication-children.ts'

/** Where the cluster of a node is, as its data directory says it whether the node runs or not. Paths, and no secrets. */
export interface ClusterPlace {
  readonly clusterId: string
  readonly metadata: string
  readonly nodeId: string
  readonly tls: SupervisedReplication['tls']
}

const fileName = 'cluster.json'
const temporaryName = 'cluster.json.new'

/** At each start: for whoever operates the cluster, and only a convenience. */
export function writeClusterPlace(
  dataDir: string,
  { clusterId, replication }: { readonly clusterId: string; readonly replication: SupervisedReplication },
): void {
  const { metadata, nodeId, tls } = replication
  const run = join(dataDir, 'run')
  makeDirectoryNow(run)
  writeFileSync(join(run, temporaryName), `${JSON.stringify({ clusterId, metadata, nodeId, tls }, undefined, 2)}\n`)
  renameSync(join(run, temporaryName), join(run, fileName))
}

/** @returns null where no node of a cluster was ever started. @throws CommanderError `foreign_database`: it cannot be understood */
export function readClusterPlace(dataDir: string): ClusterPlace | null {
  const path = join(dataDir, 'run', fileName)
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
    `${path} is damaged: start the node again, which writes it, or give --metadata`,
  )
}

const unreadable = (path: string, cause: unknown): CommanderError =>
  new CommanderError('foreign_database', `${path} cannot be read: ${messageOf(cause)}`, { cause })
