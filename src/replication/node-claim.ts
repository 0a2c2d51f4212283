import type { Transport } from '../ipc/channel.ts'
import type { Environment } from '../kernel/environment.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { type MetadataStore, metadataKeys } from './metadata-store.ts'
import { decodeNode, type NodeRecord } from './node-record.ts'
import { surveyNodes } from './node-survey.ts'

export interface NodeClaim {
  readonly environment: Environment
  readonly metadata: MetadataStore
  /** To other nodes. */
  readonly transport: Transport
  readonly stream: string
  /** This node; host and socket tell one data directory from another. */
  readonly me: Pick<NodeRecord, 'id' | 'address' | 'host' | 'socket'>
}

const answerMs = 2_000

/**
 * Looks whether the id of this node is free, before it says that it is there: two nodes under one id would take each other's place in
 * the record of the cluster, and lead by turns. One that was there and does not answer is no hindrance: it may have moved here.
 *
 * @throws CommanderError `invalid_config`: a node of another data directory has it, and is there
 */
export async function claimNodeId({ environment, metadata, transport, stream, me }: NodeClaim): Promise<void> {
  const nodes = await recordsOf(metadata)
  const former = nodes.find(({ id }) => id === me.id)
  if (former === undefined || isSamePlace(former, me)) return
  // Whoever listens there by now is another one, or this one is about to.
  const isTaken = nodes.some(({ id, address }) => id !== me.id && address === former.address)
  if (isTaken || former.address === me.address) return
  const { up } = await surveyNodes({ transport, scheduler: environment.scheduler }, [former], stream, answerMs)
  if (up.has(me.id)) throw taken(former)
}

async function recordsOf(metadata: MetadataStore): Promise<readonly NodeRecord[]> {
  try {
    const found = await metadata.list(metadataKeys.nodes)
    return found.flatMap(({ value }) => decodeNode(value) ?? [])
  } catch (error) {
    // A member starts without the metadata store, too, and waits for it later.
    if (isCommanderError(error) && error.code === 'metadata_unavailable') return []
    throw error
  }
}

const isSamePlace = (a: Pick<NodeRecord, 'host' | 'socket'>, b: Pick<NodeRecord, 'host' | 'socket'>): boolean =>
  a.host === b.host && a.socket === b.socket

const taken = ({ id, host, address, socket }: NodeRecord): CommanderError =>
  new CommanderError(
    'invalid_config',
    `there is a node ${id} in this cluster already: it is up on ${host}, at ${address} (its gateway at ${socket}). Give this one ` +
      'another id (--node-id, replication.nodeId); to move a node, stop it first',
    { details: { nodeId: id, host, address } },
  )
